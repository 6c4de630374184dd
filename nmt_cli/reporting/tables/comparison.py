"""Comparisons as tables for papers and programs: Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.system_comparison import Comparison, PairwiseResult, SystemScore, format_sentence_count
from nmt_cli.reporting.rendering import escape_markdown, format_score

_LEVELS = [(0.01, "‡"), (0.05, "†")]
"""Marks of significant differences, by the level of p."""
_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "→": r"$\to$",
    "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "−": "$-$", "<": "$<$", ">": "$>$", "|": r"\textbar{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip
_CSV_COLUMNS = [
    "test_set", "system", "changes", "metric", "score", "stdev", "seeds", "low", "high", "difference", "p", "seed_p",
    "human_agreement", "is_significant", "signature", "sentences",
]  # fmt: skip


@dataclass(frozen=True)
class _Cell:
    text: str
    is_best: bool = False


def format_table(comparisons: Mapping[str, Comparison], layout: str, ablation: bool = False) -> str:
    """Format comparisons, by test set, of the same systems as one table with a row per system.

    Args:
        layout: markdown, latex or csv.
        ablation: Name systems by the settings in which they differ from the first, and show differences to it.
    """
    if layout == "csv":
        return _csv(comparisons.values())
    each = list(comparisons.values())
    header = [f"{comparison.test_set} {name}" for comparison in each for name in _metrics(comparison).values()]
    rows = [(_label(each[0], system, ablation), list(_cells(each, system, ablation))) for system in each[0].systems]
    return _RENDERERS[layout](header, rows, list(_notes(each)))


def _metrics(comparison: Comparison) -> dict[str, str]:
    return {score.metric: score.name for score in comparison.scores}


def _label(comparison: Comparison, system: str, ablation: bool) -> str:
    changes = comparison.changes.get(system, ())
    if not ablation or not changes:
        return system
    return ", ".join(f"{change.key} {change.old} → {change.new}" for change in changes)


def _cells(comparisons: Iterable[Comparison], system: str, ablation: bool) -> Iterator[_Cell]:
    for comparison in comparisons:
        for metric in _metrics(comparison):
            scores = {score.system: score for score in comparison.scores if score.metric == metric}
            result = _result(comparison, system, metric)
            score = scores[system]
            best = (min if score.lower_is_better else max)(each.value for each in scores.values())
            yield _Cell(_cell_text(score, result, ablation), score.value == best and len(scores) > 1)


def _cell_text(score: SystemScore, result: PairwiseResult | None, ablation: bool) -> str:
    text = format_score(score.value)
    if score.stdev is not None:
        text += f" ± {format_score(score.stdev, score.value)}"
    if result is None:
        return text
    if ablation:
        sign = "+" if result.difference >= 0 else "−"
        text += f" ({sign}{format_score(abs(result.difference), score.value)})"
    return text + _mark(result)


def _mark(result: PairwiseResult) -> str:
    """Return the mark of the strictest level at which a difference is significant, by both tests."""
    if result.second_is_better is None:
        return ""
    p = max(result.p, result.seed_p or 0.0)
    return next(mark for level, mark in _LEVELS if p < level)


def _result(comparison: Comparison, system: str, metric: str) -> PairwiseResult | None:
    found = (each for each in comparison.results if (each.second, each.metric) == (system, metric))
    return next(found, None)


def _notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the sentences that belong below the table."""
    first = comparisons[0]
    if first.results:
        marks = ", ".join(f"{mark} p < {level:g}" for level, mark in reversed(_LEVELS))
        yield f"{marks} against {first.systems[0]} ({first.test.description}); the best score is bold."
    seeds = {len(score.run_scores) for score in first.scores if score.stdev is not None}
    if seeds:
        yield f"±: standard deviation over {' or '.join(map(str, sorted(seeds)))} seeds."
    for name, signature in {score.name: score.signature for score in first.scores}.items():
        yield f"{name}: {signature}."
    for each in comparisons:
        hashes = ", ".join(f"{name} {digest[:12]}" for name, digest in each.sha256.items())
        yield f"{each.test_set}: {format_sentence_count(each.sentences)}, SHA-256 of {hashes}."


def _markdown(header: Sequence[str], rows: Sequence[tuple[str, list[_Cell]]], notes: Sequence[str]) -> str:
    lines = ["| System | " + " | ".join(map(escape_markdown, header)) + " |", "|:--|" + "--:|" * len(header)]
    for label, cells in rows:
        shown = (f"**{cell.text}**" if cell.is_best else cell.text for cell in cells)
        lines.append(f"| {escape_markdown(label)} | {' | '.join(shown)} |")
    return "\n".join([*lines, "", *map(escape_markdown, notes), ""])


def _latex(header: Sequence[str], rows: Sequence[tuple[str, list[_Cell]]], notes: Sequence[str]) -> str:
    """Return a table for the packages booktabs and T1 or Unicode fonts."""
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{l{'r' * len(header)}}}", r"\toprule"]
    lines += [" & ".join(["System", *map(_escape_latex, header)]) + r" \\", r"\midrule"]
    for label, cells in rows:
        texts = ((_escape_latex(cell.text), cell.is_best) for cell in cells)
        shown = (rf"\textbf{{{text}}}" if is_best else text for text, is_best in texts)
        lines.append(" & ".join([_escape_latex(label), *shown]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{_escape_latex(' '.join(notes))}}}", r"\end{table}"]
    return "\n".join([*lines, ""])


def _escape_latex(text: str) -> str:
    return re.sub(".", lambda found: _LATEX.get(found[0], found[0]), text)


def _csv(comparisons: Iterable[Comparison]) -> str:
    """Return a row for each system, metric and test set, with every figure in full."""
    file = io.StringIO()
    writer = csv.DictWriter(file, _CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for comparison in comparisons:
        for score in comparison.scores:
            result, interval = _result(comparison, score.system, score.metric), score.interval
            changes = comparison.changes.get(score.system, ())
            row: dict[str, object] = {
                "test_set": comparison.test_set,
                "system": score.system,
                "changes": "; ".join(f"{each.key}={each.new}" for each in changes),
                "metric": score.metric,
                "score": score.value,
                "stdev": score.stdev,
                "seeds": len(score.run_scores),
                "low": interval and interval.low,
                "high": interval and interval.high,
                "signature": score.signature,
                "sentences": comparison.sentences,
            }
            if result is not None:
                row |= {"difference": result.difference, "p": result.p, "seed_p": result.seed_p}
                row |= {"human_agreement": result.human_agreement}
                row |= {"is_significant": str(result.second_is_better is not None).lower()}
            writer.writerow(row)
    return file.getvalue()


_RENDERERS: dict[str, Callable[[Sequence[str], Sequence[tuple[str, list[_Cell]]], Sequence[str]], str]] = {
    "markdown": _markdown,
    "latex": _latex,
}
