"""Attention matrices."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nmt_cli.reporting.rendering import render_html

_CELL_SIZE = 18
_LETTER_WIDTH = 7.2
"""Approximate pixels of a letter of the labels."""
_MAX_LABEL_LENGTH = 16
_MIN_WEIGHT = 1 / 64
"""Smaller weights would be invisible and are not drawn."""


@dataclass(frozen=True)
class AttentionMap:
    """Attention of each target subword to each source subword."""

    line: int
    """1-based line of the test set."""
    source: Sequence[str]
    target: Sequence[str]
    weights: Sequence[Sequence[float]]
    """[T,S]; each row sums to 1."""


@dataclass(frozen=True)
class _Cell:
    x: int
    y: int
    opacity: str
    text: str


def draw_attention(attention: AttentionMap) -> Markup:
    """Draw a figure with source subwords from left to right and target subwords from top to bottom."""
    source, target = ([_label(piece) for piece in side] for side in (attention.source, attention.target))
    left, top = (round(_LETTER_WIDTH * max(map(len, side), default=0)) + 10 for side in (target, source))
    cells = [
        _Cell(
            left + _CELL_SIZE * column,
            top + _CELL_SIZE * row,
            f"{min(weight, 1):.2f}",
            f"{word} ← {attended}: {weight:.2f}",
        )
        for row, (word, weights) in enumerate(zip(target, attention.weights, strict=True))
        for column, (attended, weight) in enumerate(zip(source, weights, strict=True))
        if weight >= _MIN_WEIGHT
    ]
    return render_html(
        "heatmap.svg.j2",
        attention=attention,
        source=source,
        target=target,
        left=left,
        top=top,
        cell=_CELL_SIZE,
        cells=cells,
        width=left + _CELL_SIZE * len(source) + 4,
        height=top + _CELL_SIZE * len(target) + 4,
    )


def _label(piece: str) -> str:
    return piece if len(piece) <= _MAX_LABEL_LENGTH else piece[: _MAX_LABEL_LENGTH - 1] + "…"
