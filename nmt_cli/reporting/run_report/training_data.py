"""Page section on the training data: mixture, dropped pairs and length histograms."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nmt_cli.data.preparation.manifest import PreparedSummary, read_prepared_summary
from nmt_cli.errors import DataError
from nmt_cli.reporting.evaluation_files import StoredEvaluation
from nmt_cli.reporting.plots.figures import draw_histogram
from nmt_cli.reporting.rendering import PageSection, empty_section
from nmt_cli.reporting.run_report import RunContents
from nmt_cli.runs.journal import CorpusExposure
from nmt_cli.text.word_boundaries import words


def training_data_section(contents: RunContents) -> PageSection:
    """Show each corpus's share of training, what preprocessing dropped, and histograms of lengths."""
    history, problem, corpora, histograms = contents.history, "", [], []
    try:
        prepared = _read_prepared(contents)
        histograms = [_training_lengths(prepared)]
        corpora = _corpora(prepared, history.mixture if history else {})
    except DataError as error:
        problem = str(error)
    histograms += [
        _evaluation_lengths(each) for each in contents.evaluations if each.sentences and "@" not in each.name
    ]
    if not corpora and not histograms:
        return empty_section("Data", problem)
    content = {
        "corpora": corpora,
        "epochs": history.epochs if history else 0.0,
        "target_tokens": history.target_tokens if history else 0,
        "problem": problem,
        "unit": contents.recipe.data.unit if contents.recipe is not None else "sentence pairs",
        "histograms": histograms,
    }
    return PageSection("Data", "training_data.html.j2", content)


def _read_prepared(contents: RunContents) -> PreparedSummary:
    """Read the prepared data; raises DataError if it is not what the run was trained on."""
    if contents.recipe is None:
        raise DataError("The recipe of the run cannot be read, so its data is unknown.")
    folder, started_in = contents.recipe.data.prepared, contents.summary.get("folder")
    if not folder.is_dir() and isinstance(started_in, str) and "\0" not in started_in:
        folder = Path(started_in) / folder
    if not folder.is_dir():
        raise DataError(
            f"The prepared data is not found at {folder}, so its counts are unknown;"
            " make the report in the working directory of the training."
        )
    prepared = read_prepared_summary(folder)
    if prepared.fingerprint != contents.summary.get("data"):
        raise DataError(f"{folder} is no longer the data that this run was trained on, so its counts are not shown.")
    return prepared


def _corpora(prepared: PreparedSummary, mixture: Mapping[str, CorpusExposure]) -> list[dict[str, Any]]:
    training = {counts.name: counts for counts in prepared.corpora if counts.name.startswith("train/")}
    unread = CorpusExposure(0, 0)
    read = {name: mixture.get(name.removeprefix("train/"), unread) for name in training} if mixture else {}
    tokens = {
        name: read[name].target_tokens if read else counts.num_tokens("target") for name, counts in training.items()
    }
    total = sum(tokens.values()) or 1
    return [
        {
            "counts": counts,
            "drops": prepared.drops(counts),
            # Of all target subwords that training has read or, if that is unknown, will read.
            "percentage": 100 * tokens.get(counts.name, 0) / total,
            # Mean number of times each pair was read.
            "epochs": read[counts.name].pairs / max(1, counts.num_kept) if counts.name in read else None,
            "is_training": counts.name in training,
        }
        for counts in prepared.corpora
    ]


def _training_lengths(prepared: PreparedSummary) -> Markup:
    sides: dict[str, Counter[int]] = {"source": Counter(), "target": Counter()}
    for counts in prepared.corpora:
        if counts.name.startswith("train/"):
            for side, lengths in counts.lengths.items():
                sides[side].update(lengths)
    return draw_histogram("Lengths of training sentences", "subwords", sides)


def _evaluation_lengths(evaluation: StoredEvaluation) -> Markup:
    sentences = evaluation.sentences
    lengths = {
        "translation": _count_lengths(sentence.hypothesis for sentence in sentences),
        "reference": _count_lengths(sentence.references[0] for sentence in sentences if sentence.references),
    }
    return draw_histogram(f"Lengths in {evaluation.name}", "words", lengths)


def _count_lengths(lines: Iterable[str]) -> Counter[int]:
    return Counter(len(words(line)) for line in lines)
