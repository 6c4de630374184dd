"""What a run learned from, and how long its sentences are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from nmt_cli.data.preparation.manifest import CorpusStats, DropStats, PreparedSummary, read_prepared_summary
from nmt_cli.errors import DataError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.plots.histogram import Histogram, draw_histogram
from nmt_cli.reporting.run_report.evaluations import Evaluation
from nmt_cli.reporting.run_report.section import Section, absent
from nmt_cli.runs.history import History
from nmt_cli.runs.journal import CorpusExposure


@dataclass(frozen=True)
class _Corpus:
    counts: CorpusStats
    drops: list[DropStats]
    share: float
    """Of all target subwords that training learned from or, while that is not known, will read; in per cent."""
    passes: float | None
    """How often its pairs came, on average; None if that is not known."""
    is_training: bool


@dataclass(frozen=True)
class _Corpora:
    corpora: list[_Corpus]
    epochs: float
    target_tokens: int
    missing: str
    """Why there are no corpora to show, or empty."""
    histograms: list[Markup]


def corpora_section(
    recipe: Recipe | None, history: History | None, summary: dict[str, Any], evaluations: Sequence[Evaluation]
) -> Section:
    """The mixture that training read, what preprocessing dropped, and histograms of lengths."""
    missing, prepared, histograms = "", None, []
    try:
        prepared = _prepared_summary(recipe, summary)
        histograms = _training_lengths(prepared)
    except DataError as error:
        missing = str(error)
    histograms += [_evaluated_lengths(found) for found in evaluations if found.sentences]
    corpora = _shares(prepared, history.mixture if history else {}) if prepared else []
    if not corpora and not histograms:
        return absent("Data", missing)
    content = _Corpora(
        corpora,
        history.epochs if history else 0.0,
        history.target_tokens if history else 0,
        missing,
        [draw_histogram(histogram) for histogram in histograms],
    )
    return Section("Data", "corpora.html.j2", content)


def _prepared_summary(recipe: Recipe | None, summary: dict[str, Any]) -> PreparedSummary:
    """The prepared data, if it still is what the run learned from."""
    if recipe is None:
        raise DataError("The recipe of the run cannot be read, so its data is not known.")
    folder = recipe.data.prepared
    if not folder.is_dir():
        raise DataError(
            f"The prepared data is not at {folder}, as seen from here, so its counts are not known;"
            " make the report where the run was trained."
        )
    prepared = read_prepared_summary(folder)
    if prepared.fingerprint != summary.get("data"):
        raise DataError(f"{folder} now holds other data than this run learned from, so its counts are not shown.")
    return prepared


def _shares(prepared: PreparedSummary, mixture: Mapping[str, CorpusExposure]) -> list[_Corpus]:
    corpora = {counts.name: counts for counts in prepared.corpora if counts.name.startswith("train/")}
    none = CorpusExposure(0, 0)
    came = {name: mixture.get(name.removeprefix("train/"), none) for name in corpora} if mixture else {}
    tokens = {
        name: came[name].target_tokens if came else counts.num_tokens("target") for name, counts in corpora.items()
    }
    total = sum(tokens.values()) or 1
    return [
        _Corpus(
            counts,
            prepared.drops(counts),
            100 * tokens.get(counts.name, 0) / total,
            came[counts.name].pairs / max(1, counts.kept) if counts.name in came else None,
            counts.name in corpora,
        )
        for counts in prepared.corpora
    ]


def _training_lengths(prepared: PreparedSummary) -> list[Histogram]:
    sides: dict[str, Counter[int]] = {"source": Counter(), "target": Counter()}
    for counts in prepared.corpora:
        if counts.name.startswith("train/"):
            for side, lengths in counts.lengths.items():
                sides[side].update(lengths)
    return [Histogram("Lengths in training", "subwords", sides)]


def _evaluated_lengths(found: Evaluation) -> Histogram:
    sentences = found.sentences
    return Histogram(
        f"Lengths in {found.name}",
        "words between spaces",
        {
            "translation": _words(sentence.hypothesis for sentence in sentences),
            "reference": _words(sentence.references[0] for sentence in sentences if sentence.references),
        },
    )


def _words(lines: Iterable[str]) -> Counter[int]:
    return Counter(len(line.split()) for line in lines)
