"""Attention of one line by layer and head: as SVG, PNG, text and JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from nmt_cli.errors import RecipeError
from nmt_cli.reporting.plots.figures import MAX_LABEL_LENGTH, shorten
from nmt_cli.reporting.rendering import render_html
from nmt_cli.text.lines import escape_invisible

Weights = Sequence[Sequence[float]]
"""[T,S]"""
_CELL, _GAP, _TITLE, _LETTER_WIDTH = 16, 18, 18, 7.0
_SHADES = " ░▒▓█"
_PNG_ZOOM = 2


@dataclass(frozen=True)
class AttentionHeads:
    """Attention weights of some layers and heads."""

    source: str
    translation: str
    columns: Sequence[str]
    """Subwords [S] that are attended to."""
    rows: Sequence[str]
    """Subwords [T] that attend, or that are predicted from there."""
    weights: Sequence[Sequence[Weights]]
    """[L,H,T,S]; each row sums to 1."""
    names: Sequence[Sequence[str]] = ()
    """[L,H] titles; by default the numbers of layer and head, from 1."""

    def title(self, layer: int, head: int) -> str:
        """Return the title of a layer and head, both from 0."""
        return self.names[layer][head] if self.names else f"layer {layer + 1}, head {head + 1}"

    def selected(self, layer: int | None, head: int | None) -> "AttentionHeads":
        """Return only the given layer and head, numbered from 1; None: all, and of heads their mean as well.

        Raises:
            RecipeError: The model has fewer.
        """
        num_heads = min(map(len, self.weights))
        for option, number, count in (("layer", layer, len(self.weights)), ("head", head, num_heads)):
            if number is not None and not 1 <= number <= count:
                raise RecipeError(f"--{option} {number}: the model has {option}s 1 to {count}")
        layers = range(len(self.weights)) if layer is None else [layer - 1]
        heads = range(num_heads) if head is None else [head - 1]
        weights = [[self.weights[each][inner] for inner in heads] for each in layers]
        return replace(self, weights=weights, names=[[self.title(each, inner) for inner in heads] for each in layers])

    def averaged(self) -> "AttentionHeads":
        """Return the mean over the heads of the last layer."""
        last = self.weights[-1]
        mean = [[fmean(values) for values in zip(*rows, strict=True)] for rows in zip(*last, strict=True)]
        name = self.title(len(self.weights) - 1, 0)
        return replace(self, weights=[[mean]], names=[[f"{name.partition(',')[0]}, mean of {len(last)} heads"]])

    def as_json(self) -> dict[str, Any]:
        """Return sides, subwords, titles and weights as plain data."""
        names = [[self.title(each, head) for head in range(len(heads))] for each, heads in enumerate(self.weights)]
        return asdict(replace(self, names=names))

    def as_svg(self) -> str:
        """Draw a panel for each head, with a row of panels for each layer."""
        rows, columns = ([shorten(piece, MAX_LABEL_LENGTH) for piece in side] for side in (self.rows, self.columns))
        left, top = (round(_LETTER_WIDTH * max(map(len, side))) + 10 for side in (rows, columns))
        width, height = left + _CELL * len(columns) + _GAP, _TITLE + top + _CELL * len(rows) + _GAP
        panels = [
            (width * head, height * layer, self.title(layer, head), weights)
            for layer, heads in enumerate(self.weights)
            for head, weights in enumerate(heads)
        ]
        svg = render_html(
            "attention.svg.j2",
            panels=panels,
            rows=rows,
            columns=columns,
            left=left,
            top=_TITLE + top,
            cell=_CELL,
            width=width * max(map(len, self.weights)),
            height=height * len(self.weights),
        )
        return str(svg)

    def _repr_svg_(self) -> str:
        """Draw itself in a notebook."""
        return self.as_svg()

    def as_png(self) -> bytes:
        """Draw the SVG as PNG. Raises RecipeError if the package resvg-py is not installed."""
        try:
            from resvg_py import svg_to_bytes
        except ImportError as error:
            raise RecipeError("PNG needs the package resvg-py; pip install 'nmt-cli[png]', or write SVG") from error
        return bytes(svg_to_bytes(svg_string=self.as_svg(), zoom=_PNG_ZOOM))

    def as_text(self) -> str:
        """Draw each head with letters: darker cells mean more attention; columns are numbered."""
        rows = [escape_invisible(piece) for piece in self.rows]
        width, size = max(map(len, rows)), len(str(len(self.columns)))
        numbers = " ".join(f"{number:>{size}}" for number in range(1, len(self.columns) + 1))
        names = "  ".join(f"{number} {escape_invisible(piece)}" for number, piece in enumerate(self.columns, 1))
        lines = [f"source       {self.source}", f"translation  {self.translation}", f"columns      {names}"]
        for layer, heads in enumerate(self.weights):
            for head, weights in enumerate(heads):
                lines += ["", f"{self.title(layer, head)}", f"{'':{width}}  {numbers}"]
                for piece, values in zip(rows, weights, strict=True):
                    cells = " ".join(_shade(value) * size for value in values)
                    lines.append(f"{piece:<{width}}  {cells}".rstrip())
        return "".join(f"{line}\n" for line in lines)


def _shade(weight: float) -> str:
    return _SHADES[min(round(weight * len(_SHADES)), len(_SHADES) - 1)]
