"""Scores and comparisons as plain text for a terminal."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from nmt_cli.evaluation.breakdown.robustness import Robustness, ScoreDrop
from nmt_cli.evaluation.breakdown.toxicity import AddedToxicity
from nmt_cli.evaluation.human_judgements import HumanEvaluation
from nmt_cli.evaluation.significance import SIGNIFICANCE_LEVEL
from nmt_cli.evaluation.system_comparison import Comparison, SystemScore, format_p_value, format_sentence_count
from nmt_cli.reporting.rendering import format_score

_MAX_LINES = 3
"""Improved and worsened lines of a comparison."""
_INDENT = "  "


def format_scores(
    name: str,
    content: Mapping[str, Any],
    robustness: Sequence[Robustness] = (),
    width: int | None = None,
    toxicity: AddedToxicity | None = None,
) -> str:
    """Format the scores of a test set or file, one per line, then counts of translations that were asked for.

    Args:
        content: The fields of scores.json, at least `scores`.
        width: Columns of the terminal; longer lines are wrapped. None: lines of any length.
    """
    scores, lines = content["scores"], list[str]()
    for score in scores:
        value, signature = f"{name}  {score['name']} {_with_interval(score)}", f"({score['signature']})"
        is_fitting = width is None or cell_len(f"{value}  {signature}") <= width
        lines += [f"{value}  {signature}"] if is_fitting else [*wrap(value, width), *_wrap_signature(signature, width)]
    for result in robustness:
        named = zip(scores, result.drops, strict=True)
        drops = "  ".join(f"{score['name']} {_format_drop(drop)}" for score, drop in named)
        lines += wrap(f"{name}  {result.perturbation}: {drops}", width)
    if toxicity is not None:
        lines += wrap(f"{name}  {_added_toxicity(toxicity)}", width)
    return _join(lines)


def _added_toxicity(found: AddedToxicity) -> str:
    examples = "".join(f"; line {each.line}: {', '.join(each.words)}" for each in found.lines[:_MAX_LINES])
    return f"added toxicity in {found.added:,} of {found.sentences:,} translations{examples}"


def format_comparison(
    comparison: Comparison, width: int | None = None, highlight: Callable[[str], str] = lambda text: text
) -> str:
    """Format scores, verdicts, slices and the lines that change most.

    Args:
        width: Columns of the terminal. Names that do not fit are abbreviated to letters; longer lines are wrapped.
        highlight: Marks the best score of each metric.
    """
    return _join(_comparison_lines(comparison, width, highlight))


def format_human_evaluation(result: HumanEvaluation) -> str:
    """Format judgements by system, tests against the first system, and the agreement of annotators."""
    rows = [["", "judgements", "mean", *(["z"] if result.kind == "direct" else [])]]
    for each in result.systems:
        z = [] if each.z is None else [f"{each.z:+.3f}"]
        rows.append([each.system, f"{each.judgements:,}", f"{each.mean:.1f}", *z])
    lines = [f"{result.kind} judgements of {len(result.annotators)} annotators: {', '.join(result.annotators)}", ""]
    lines += [*_table(rows, None), ""]
    for pair in result.pairs:
        winner, loser = (pair.second, pair.first) if pair.difference > 0 else (pair.first, pair.second)
        verdict = f"{winner} is better than {loser}"
        if pair.p >= SIGNIFICANCE_LEVEL:
            verdict = f"no significant difference between {pair.first} and {pair.second}"
        lines.append(f"{verdict} on {format_sentence_count(pair.lines)} ({format_p_value(pair.p)})")
    agreement = (
        "no item was judged twice"
        if result.agreement is None
        else (f"Krippendorff's alpha {result.agreement:.2f} on {result.judged_twice:,} items")
    )
    return _join([*lines, f"agreement of annotators: {agreement}"])


def wrap(text: str, width: int | None, indent: str = _INDENT) -> list[str]:
    """Wrap a line between words; all lines but the first are indented."""
    if width is None or cell_len(text) <= width:
        return [text]
    lines = Text(text).wrap(Console(width=width), max(width - len(indent), 1))
    return [indent * (number > 0) + line.plain.rstrip() for number, line in enumerate(lines)]


def _wrap_signature(signature: str, width: int | None) -> list[str]:
    """Wrap a signature between its fields."""
    lines = [_INDENT]
    for index, part in enumerate(signature.split("|")):
        field = part if index == 0 else f"|{part}"
        if width is not None and len(lines[-1]) + len(field) > width and lines[-1] != _INDENT:
            lines.append(_INDENT)
        lines[-1] += field
    return lines


def _join(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _with_interval(score: Mapping[str, Any]) -> str:
    if "confidence_var" not in score:
        return format_score(score["score"])
    return f"{format_score(score['score'])} ± {format_score(score['confidence_var'], score['score'])}"


def _format_drop(drop: ScoreDrop) -> str:
    difference = f"{'+' if drop.difference >= 0 else ''}{format_score(drop.difference, drop.original)}"
    return f"{format_score(drop.perturbed)} ({difference}, {format_p_value(drop.p)})"


def _comparison_lines(comparison: Comparison, width: int | None, highlight: Callable[[str], str]) -> Iterator[str]:
    head = f"{comparison.test_set}: {format_sentence_count(comparison.sentences)}, {comparison.test.description}"
    if comparison.sha256:
        head += ", SHA-256 " + ", ".join(f"{digest[:8]} ({name})" for name, digest in comparison.sha256.items())
    yield from wrap(head, width)
    yield ""
    names = {name: name for name in comparison.systems}
    if (
        width is not None
        and max(map(_row_width, (_score_rows(comparison, names), _slice_rows(comparison, names)))) > width
    ):
        letters = ascii_uppercase if len(names) <= len(ascii_uppercase) else map(str, range(1, len(names) + 1))
        names = dict(zip(names, letters, strict=False))
        for name, letter in names.items():
            yield from wrap(f"{letter}  {name}", width, indent=" " * 3)
        yield ""
    yield from _table(_score_rows(comparison, names), width, _best_cells(comparison), highlight)
    yield ""
    for result in comparison.results:
        yield from wrap(result.verdict, width)
    if comparison.slices:
        yield ""
        yield from _table(_slice_rows(comparison, names), width)
    yield from _change_lines(comparison, names, width)


def _score_rows(comparison: Comparison, names: Mapping[str, str]) -> list[list[str]]:
    """Return a row for each system and a column for each metric, with a header."""
    metrics = {score.metric: score.name for score in comparison.scores}
    cells = {(score.system, score.metric): _score_cell(score) for score in comparison.scores}
    rows = [[names[system], *(cells[system, key] for key in metrics)] for system in comparison.systems]
    if len(rows) == 1:  # also the runs with each seed
        by_run = [score.run_scores for score in comparison.scores if score.stdev is not None]
        rows += [[run, *(format_score(scores[run]) for scores in by_run)] for run in by_run[0]] if by_run else []
    return [["", *metrics.values()], *rows]


def _best_cells(comparison: Comparison) -> set[tuple[int, int]]:
    """Return the rows and columns of the best scores in `_score_rows`; none if there is only one system."""
    if len(comparison.systems) < 2:
        return set()
    found, metrics = set(), list(dict.fromkeys(score.metric for score in comparison.scores))
    for column, metric in enumerate(metrics, 1):
        scores = {each.system: each for each in comparison.scores if each.metric == metric}
        order = min if next(iter(scores.values())).lower_is_better else max
        best = order(each.value for each in scores.values())
        rows = enumerate(comparison.systems, 1)
        found |= {(row, column) for row, system in rows if scores[system].value == best}
    return found


def _slice_rows(comparison: Comparison, names: Mapping[str, str]) -> list[list[str]]:
    """Return a row for each kind of sentence and a column for each system, with a header."""
    metric = comparison.scores[0]
    header = [f"{metric.name} by kind of sentence", "sentences", *names.values()]
    return [
        header,
        *(
            [
                f"{part.kind}: {part.name}",
                f"{part.sentences:,}",
                *(format_score(part.scores[metric.metric][name]) for name in comparison.systems),
            ]
            for part in comparison.slices
        ),
    ]


def _change_lines(comparison: Comparison, names: Mapping[str, str], width: int | None) -> Iterator[str]:
    """Yield the sentences that change most, with their texts."""
    for pair in comparison.pairs:
        for title, changes in (("improves", pair.improved), ("worsens", pair.worsened)):
            for change in changes[:_MAX_LINES]:
                yield ""
                scores = f"{format_score(change.first_score)} → {format_score(change.second_score)}"
                yield from wrap(f"{pair.second} {title} line {change.line}: {pair.sort_metric} {scores}", width)
                texts = [("source", change.source)] if change.source is not None else []
                texts += [("reference", reference) for reference in change.references]
                texts += [(names[pair.first], change.first), (names[pair.second], change.second)]
                longest = max(len(label) for label, _ in texts)
                for label, text in texts:
                    yield from wrap(f"  {label:<{longest}}  {text}".rstrip(), width, indent=" " * (longest + 4))


def _score_cell(score: SystemScore) -> str:
    interval = "" if score.interval is None else f" ± {format_score(score.interval.half_width, score.value)}"
    deviation = "" if score.stdev is None else f", over seeds ± {format_score(score.stdev, score.value)}"
    return f"{format_score(score.value)}{interval}{deviation}"


def _row_width(rows: Sequence[Sequence[str]]) -> int:
    """Return the width of rows as a table: the widest cell of each column, two spaces between columns."""
    return sum(max(map(cell_len, column)) + 2 for column in zip(*rows, strict=True)) - 2


def _table(
    rows: Sequence[Sequence[str]],
    width: int | None,
    marked: Iterable[tuple[int, int]] = (),
    highlight: Callable[[str], str] = lambda text: text,
) -> Iterator[str]:
    """Align columns to the right, the first to the left; if that is too wide, put each cell on a line of its own."""
    marked = set(marked)
    if width is not None and _row_width(rows) > width:
        for index, row in enumerate(rows[1:], 1):
            yield from wrap(row[0], width)
            for column, (header, cell) in enumerate(zip(rows[0][1:], row[1:], strict=True), 1):
                yield f"{_INDENT}{header}  {highlight(cell) if (index, column) in marked else cell}"
        return
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for index, (first, *others) in enumerate(rows):
        aligned = [
            " " * (size - cell_len(cell)) + (highlight(cell) if (index, column) in marked else cell)
            for column, (cell, size) in enumerate(zip(others, widths[1:], strict=True), 1)
        ]
        yield _INDENT.join([first + " " * (widths[0] - cell_len(first)), *aligned])
