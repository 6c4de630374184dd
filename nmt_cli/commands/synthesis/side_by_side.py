"""Measure models side by side: scores with significance, findings of the checker, speed and size."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nmt_cli.commands.loading import config_of_model
from nmt_cli.commands.model_config import named_model
from nmt_cli.commands.translators import open_translator
from nmt_cli.console import Reporter
from nmt_cli.data.reading import read_all
from nmt_cli.decoding.requests import Request, TranslateOptions, in_documents, plain_requests
from nmt_cli.evaluation.significance import DEFAULT_RESAMPLES, PairedTest
from nmt_cli.evaluation.system_comparison import ComparedTestSet, Comparison, SystemOutput, compare
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import WEIGHTS
from nmt_cli.text.checks.checker import Checker

_WARM_UP_LINES = 32
"""Translated before the time is taken."""


@dataclass(frozen=True)
class MeasuredSystem:
    """What was measured of one system."""

    name: str
    scores: dict[str, float]
    """By the name of the metric."""
    findings: int
    """Translations in which the checker finds a problem."""
    lines_per_second: float
    megabytes: float
    """Size of the parameters on disk, which is the same in all precisions of the search."""


@dataclass(frozen=True)
class SideBySide:
    """Systems measured on a validation set of a recipe."""

    set_name: str
    sentences: int
    systems: list[MeasuredSystem]
    verdicts: list[str]
    """Of every later system against the first, by each metric."""

    def table(self) -> tuple[str, list[str], list[list[str]]]:
        """Return title, columns and rows for a table."""
        metrics = list(self.systems[0].scores)
        rows = [
            [
                each.name,
                *(f"{each.scores[metric]:.2f}" for metric in metrics),
                f"{each.findings:,}",
                _rounded(each.lines_per_second),
                _rounded(each.megabytes),
            ]
            for each in self.systems
        ]
        title = f"Validation set {self.set_name}, {self.sentences:,} sentences"
        return title, ["", *metrics, "flagged lines", "lines/s", "MB on disk"], rows


def measure(
    recipe: Recipe, systems: dict[str, TranslateOptions], reporter: Reporter, set_name: str | None = None
) -> SideBySide:
    """Translate a validation set of a recipe, by default the first, with each system; the first is the baseline."""
    data = recipe.data
    name = set_name or next(iter(data.valid))
    corpus = data.valid[name]
    languages = data.languages_of(corpus)
    examples = read_all(corpus, languages, data.on_error)
    sources, references = examples.sources, [examples.targets]
    requests = plain_requests(sources, examples.source_columns, corpus.target_language)
    settings = for_language(recipe.evaluation, languages[1])
    outputs, speeds = {}, {}
    for system, options in systems.items():
        reporter.info(f"measuring {system}")
        outputs[system], speeds[system] = _translate(_with_languages(options, languages), requests)
    test = PairedTest("randomisation", DEFAULT_RESAMPLES["randomisation"], settings.seed)
    compared = [SystemOutput(system, (system,), (lines,)) for system, lines in outputs.items()]
    comparison = compare(compared, ComparedTestSet(name, references, sources), settings, test)
    check = Checker(*languages)
    measured = [
        MeasuredSystem(
            system,
            _scores(comparison, system),
            sum(bool(check(source, line)) for source, line in zip(sources, outputs[system], strict=True)),
            speeds[system],
            sum(_weight_bytes(path) for path in options.models) / 1e6,
        )
        for system, options in systems.items()
    ]
    return SideBySide(name, len(sources), measured, [result.verdict for result in comparison.results])


def _with_languages(options: TranslateOptions, languages: tuple[str, str]) -> TranslateOptions:
    """Return the options with the languages of a set, if the models have a token for each language."""
    if config_of_model(named_model(options.models[0]).files).language_tokens is None:
        return options
    return replace(options, source_language=languages[0], target_language=languages[1])


def _translate(options: TranslateOptions, lines: Sequence[Request]) -> tuple[list[str], float]:
    """Return the translations, and the lines per second from lines to lines, without loading."""
    translator = open_translator(options)
    requests = list(in_documents(lines, translator.context.size))
    list(translator.translate(requests[:_WARM_UP_LINES]))
    started = time.perf_counter()
    texts = [each.best.text for each in translator.translate(requests)]
    return texts, len(texts) / (time.perf_counter() - started)


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def _scores(comparison: Comparison, system: str) -> dict[str, float]:
    return {each.name: each.value for each in comparison.scores if each.system == system}


def _weight_bytes(path: Path) -> int:
    return (named_model(path).files.folder / WEIGHTS).stat().st_size
