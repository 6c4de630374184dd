"""Where a model looked: a matrix of attention."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nmt_cli.reporting.templates import render_html

_CELL = 18
_LETTER = 7.2
"""Pixels, about, of a letter of the labels."""
_LONGEST_LABEL = 16
_FAINT = 1 / 64
"""Weights below this are not seen, and not drawn."""


@dataclass(frozen=True)
class AttentionMap:
    """How much each target subword looked at each source subword."""

    line: int
    """Number of the line in its set, from 1."""
    source: Sequence[str]
    target: Sequence[str]
    weights: Sequence[Sequence[float]]
    """[T,S]; each row sums to one."""


@dataclass(frozen=True)
class _Cell:
    x: int
    y: int
    opacity: str
    text: str


def draw_attention(attention: AttentionMap) -> Markup:
    """A figure: source subwords from left to right, target subwords from top to bottom."""
    source, target = ([_label(piece) for piece in side] for side in (attention.source, attention.target))
    left, top = (round(_LETTER * max(map(len, side), default=0)) + 10 for side in (target, source))
    cells = [
        _Cell(left + _CELL * column, top + _CELL * row, f"{min(weight, 1):.2f}", f"{word} ← {seen}: {weight:.2f}")
        for row, (word, weights) in enumerate(zip(target, attention.weights, strict=True))
        for column, (seen, weight) in enumerate(zip(source, weights, strict=True))
        if weight >= _FAINT
    ]
    return render_html(
        "heatmap.svg.j2",
        attention=attention,
        source=source,
        target=target,
        left=left,
        top=top,
        cell=_CELL,
        cells=cells,
        width=left + _CELL * len(source) + 4,
        height=top + _CELL * len(target) + 4,
    )


def _label(piece: str) -> str:
    return piece if len(piece) <= _LONGEST_LABEL else piece[: _LONGEST_LABEL - 1] + "…"
