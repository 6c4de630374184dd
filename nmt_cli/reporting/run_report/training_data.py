"""Page section on the training data: mixture, dropped pairs and length histograms."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from nmt_cli.data.preparation.manifest import CorpusStats, DropStats, PreparedSummary, read_prepared_summary
from nmt_cli.errors import DataError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.evaluation_files import StoredEvaluation
from nmt_cli.reporting.plots.figures import HistogramChart, draw_histogram
from nmt_cli.reporting.rendering import PageSection, empty_section
from nmt_cli.runs.history import History
from nmt_cli.runs.journal import CorpusExposure


@dataclass(frozen=True)
class _Corpus:
    counts: CorpusStats
    drops: list[DropStats]
    percentage: float
    """Of all target subwords that training has read or, if that is unknown, will read."""
    epochs: float | None
    """Mean number of times each pair was read; None if unknown."""
    is_training: bool


@dataclass(frozen=True)
class _TrainingData:
    corpora: list[_Corpus]
    epochs: float
    target_tokens: int
    problem: str
    """Why the corpora cannot be shown, or empty."""
    histograms: list[Markup]


def training_data_section(
    recipe: Recipe | None, history: History | None, summary: dict[str, Any], evaluations: Sequence[StoredEvaluation]
) -> PageSection:
    """Show each corpus's share of training, what preprocessing dropped, and histograms of lengths."""
    problem, prepared, histograms = "", None, []
    try:
        prepared = _read_prepared(recipe, summary)
        histograms = [_training_lengths(prepared)]
    except DataError as error:
        problem = str(error)
    histograms += [_evaluation_lengths(evaluation) for evaluation in evaluations if evaluation.sentences]
    corpora = _corpora(prepared, history.mixture if history else {}) if prepared else []
    if not corpora and not histograms:
        return empty_section("Data", problem)
    content = _TrainingData(
        corpora,
        history.epochs if history else 0.0,
        history.target_tokens if history else 0,
        problem,
        [draw_histogram(histogram) for histogram in histograms],
    )
    return PageSection("Data", "training_data.html.j2", content)


def _read_prepared(recipe: Recipe | None, summary: dict[str, Any]) -> PreparedSummary:
    """Read the prepared data; raises DataError if it is not what the run was trained on."""
    if recipe is None:
        raise DataError("The recipe of the run cannot be read, so its data is unknown.")
    folder = recipe.data.prepared
    if not folder.is_dir():
        raise DataError(
            f"The prepared data is not found at {folder}, so its counts are unknown;"
            " make the report in the working directory of the training."
        )
    prepared = read_prepared_summary(folder)
    if prepared.fingerprint != summary.get("data"):
        raise DataError(f"{folder} is no longer the data that this run was trained on, so its counts are not shown.")
    return prepared


def _corpora(prepared: PreparedSummary, mixture: Mapping[str, CorpusExposure]) -> list[_Corpus]:
    training = {counts.name: counts for counts in prepared.corpora if counts.name.startswith("train/")}
    unread = CorpusExposure(0, 0)
    read = {name: mixture.get(name.removeprefix("train/"), unread) for name in training} if mixture else {}
    tokens = {
        name: read[name].target_tokens if read else counts.num_tokens("target") for name, counts in training.items()
    }
    total = sum(tokens.values()) or 1
    return [
        _Corpus(
            counts,
            prepared.drops(counts),
            100 * tokens.get(counts.name, 0) / total,
            read[counts.name].pairs / max(1, counts.kept) if counts.name in read else None,
            counts.name in training,
        )
        for counts in prepared.corpora
    ]


def _training_lengths(prepared: PreparedSummary) -> HistogramChart:
    sides: dict[str, Counter[int]] = {"source": Counter(), "target": Counter()}
    for counts in prepared.corpora:
        if counts.name.startswith("train/"):
            for side, lengths in counts.lengths.items():
                sides[side].update(lengths)
    return HistogramChart("Lengths of training sentences", "subwords", sides)


def _evaluation_lengths(evaluation: StoredEvaluation) -> HistogramChart:
    sentences = evaluation.sentences
    return HistogramChart(
        f"Lengths in {evaluation.name}",
        "words",
        {
            "translation": _count_lengths(sentence.hypothesis for sentence in sentences),
            "reference": _count_lengths(sentence.references[0] for sentence in sentences if sentence.references),
        },
    )


def _count_lengths(lines: Iterable[str]) -> Counter[int]:
    return Counter(len(line.split()) for line in lines)
