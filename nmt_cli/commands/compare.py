"""nmt compare: several systems on the same test sets → which is better, where, and how sure that is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nmt_cli import console, files
from nmt_cli.commands.compared import (
    Candidate,
    common_sets,
    judged_by,
    open_candidate,
    other_decoding,
    runs_by_name,
    systems,
)
from nmt_cli.commands.results import stdout
from nmt_cli.commands.test_sets import words_seen
from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics import build_metrics
from nmt_cli.evaluation.significance import DEFAULT_RESAMPLES, PairedTest, SignificanceMethod
from nmt_cli.evaluation.system_comparison import (
    ComparedTestSet,
    Comparison,
    SystemScore,
    compare,
    format_sentence_count,
)
from nmt_cli.recipe.decoding import AfterTraining
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import override
from nmt_cli.reporting.comparison import write_comparison
from nmt_cli.reporting.templates import score_text
from nmt_cli.text.lines import read_lines

_LINES_SHOWN = 3


@dataclass(frozen=True)
class Options:
    """How systems are compared."""

    tests: Sequence[str] = ()
    references: Sequence[Path] = ()
    source: Path | None = None
    method: SignificanceMethod = "randomisation"
    resamples: int | None = None
    """None: as many as are usual for the method."""
    overrides: Sequence[str] = ()


def compare_systems(paths: Sequence[Path], options: Options, as_json: bool = False, page: Path | None = None) -> None:
    """Compare runs, evaluated sets or files; the result goes to stdout, for people or as one JSON document.

    The same, with pictures and how runs were trained, goes to `page` as HTML.
    """
    candidates = _open(paths)
    found = comparisons(candidates, options)
    if page is not None:
        write_comparison(found, runs_by_name(candidates), page)
        console.info(f"report: {page}")
    if as_json:
        result = files.json_bytes({name: asdict(each) for name, each in found.items()})
    else:
        result = "\n".join("".join(f"{line}\n" for line in _told(each)) for each in found.values()).encode()
    with stdout() as stream:
        stream.write(result)


def _open(paths: Sequence[Path]) -> list[Candidate]:
    if len(paths) < 2:
        raise RecipeError("give at least two runs, folders of evaluated sets or files of translations to compare")
    return [open_candidate(path) for path in paths]


def comparisons(candidates: Sequence[Candidate], options: Options) -> dict[str, Comparison]:
    """A comparison on each test set that all have in common, the first system being what others are held against."""
    settings = _settings(candidates, options.overrides)
    build_metrics(settings)  # what one lacks is told before any work
    test = PairedTest(options.method, options.resamples or DEFAULT_RESAMPLES[options.method], settings.seed)
    seen = _words_seen(candidates)
    compared = {}
    for name in common_sets(candidates, options.tests):
        translations = [candidate.translations(name) for candidate in candidates]
        references, sources = judged_by(translations, options.references, options.source)
        for told in other_decoding(candidates, name):
            console.info(told)
        common = ComparedTestSet(name, references, sources, _tags(candidates, name, len(references[0])), seen)
        compared[name] = compare(systems(candidates, translations), common, settings, test)
    return compared


def _settings(candidates: Sequence[Candidate], overrides: Sequence[str]) -> Evaluation:
    """Those of the first recipe, with changes."""
    recipe = next((each.recipe for each in candidates if each.recipe is not None), None)
    known = AfterTraining() if recipe is None else AfterTraining(decoding=recipe.decoding, evaluation=recipe.evaluation)
    return override(known, overrides).evaluation


def _words_seen(candidates: Sequence[Candidate]) -> Mapping[str, int] | None:
    """Of the first recipe's training text."""
    recipe = next((each.recipe for each in candidates if each.recipe is not None), None)
    return None if recipe is None else words_seen(recipe)


def _tags(candidates: Sequence[Candidate], name: str, count: int) -> list[str] | None:
    """What kind each line is of, if a recipe's test set says so and its file is still at hand."""
    for candidate in candidates:
        test = None if candidate.recipe is None else candidate.recipe.data.test.get(name)
        if test is not None and test.tags is not None and test.tags.is_file():
            tags = list(read_lines(test.tags))
            return tags if len(tags) == count else None
    return None


def _told(found: Comparison) -> Iterator[str]:
    test = found.test
    method = {"bootstrap": "paired bootstrap", "randomisation": "approximate randomisation"}[test.method]
    yield f"{found.test_set}: {format_sentence_count(found.sentences)}, {method} with {test.resamples:,} resamples"
    yield ""
    names = list(dict.fromkeys(score.system for score in found.scores))
    metrics = list(dict.fromkeys((score.metric, score.name) for score in found.scores))
    cells = {(score.system, score.metric): _cell(score) for score in found.scores}
    rows = [[name, *(cells[name, key] for key, _ in metrics)] for name in names]
    yield from _table([["", *(name for _, name in metrics)], *rows])
    yield ""
    yield from (result.verdict for result in found.results)
    key, name = metrics[0]
    parts = [
        [f"{part.kind}: {part.name}", f"{part.sentences:,}", *(score_text(part.scores[key][each]) for each in names)]
        for part in found.slices
    ]
    if parts:
        yield ""
        yield from _table([[f"{name} where", "sentences", *names], *parts])
    for pair in found.pairs:
        for title, changes in (("gains", pair.improved), ("loses", pair.worsened)):
            for change in changes[:_LINES_SHOWN]:
                yield ""
                yield (
                    f"{pair.second} {title} most: line {change.line},"
                    f" {pair.sort_metric} {score_text(change.first_score)} → {score_text(change.second_score)}"
                )
                said = [("source", change.source)] if change.source is not None else []
                said += [("reference", reference) for reference in change.references]
                said += [(pair.first, change.first), (pair.second, change.second)]
                width = max(len(who) for who, _ in said)
                yield from (f"  {who:<{width}}  {what}".rstrip() for who, what in said)


def _cell(score: SystemScore) -> str:
    interval = "" if score.interval is None else f" ± {score_text(score.interval.half_width, score.value)}"
    spread = "" if score.stdev is None else f", over seeds ± {score_text(score.stdev, score.value)}"
    return f"{score_text(score.value)}{interval}{spread}"


def _table(rows: list[list[Any]]) -> Iterator[str]:
    """Columns side by side, the first aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        aligned = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *aligned])
