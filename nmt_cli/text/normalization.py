"""Named normalisations: what is done to each line before it is cut into subwords."""

import re
import unicodedata
from collections.abc import Callable

from nmt_cli.text.punctuation import has_signs, has_special_quotes, plain_before, plain_quotes, set_signs, set_spaces

_LINE_BREAKS = re.compile("[\x00\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029]")
_SEPARATORS = re.compile("[\x00-\x1f\x7f-\x9f\u200b]")
_SEGMENTER_SPACE = "\u2581"
_BOM = "\ufeff"
_LINES_AT_ONCE, _PARTS = 64, 4


def one_line(text: str) -> str:
    """Turn into a space each NUL and each character that some program takes for the end of a line."""
    return _LINE_BREAKS.sub(" ", text)


def _unchanged(line: str) -> str:
    """Leave all as it is, but for what cannot be kept.

    Line breaks of any kind and NUL become spaces, since a line must stay one line. U+2581, by which
    SentencePiece writes a space, becomes the low line that it looks like. Byte order marks at the
    beginning vanish, as they would be taken for one of the file.
    """
    return one_line(line).replace(_SEGMENTER_SPACE, "_").lstrip(_BOM)


def _nfkc(line: str) -> str:
    """Unicode's NFKC, with one space for each run of white space, controls and zero-width spaces; none at the ends.

    Stray byte order marks vanish.
    """
    line = _SEPARATORS.sub(" ", line).replace(_BOM, "").replace(_SEGMENTER_SPACE, "_")
    return " ".join(unicodedata.normalize("NFKC", line).split())


def _quotes(line: str) -> str:
    """As `nfkc`, and quotation marks, apostrophes and dashes as a keyboard has them; soft hyphens vanish."""
    return plain_quotes(_nfkc(plain_before(line)))


def _punctuation(line: str) -> str:
    """As `quotes`, and spaces and signs as in Moses' `normalize-punctuation`, where it asks for no language."""
    return set_spaces(_quotes(set_signs(line)))


NORMALIZATIONS: dict[str, Callable[[str], str]] = {
    "nfkc": _nfkc,
    "quotes": _quotes,
    "punctuation": _punctuation,
    "none": _unchanged,
}
"""By the name that stands in a recipe. Each changes nothing when applied a second time."""


def _stays_unchanged(text: str) -> bool:
    return text.isprintable() and _SEGMENTER_SPACE not in text


def _stays_nfkc(text: str) -> bool:
    # What is printable has no white space but spaces, no controls and no byte order marks.
    return (
        text.isprintable()
        and "  " not in text
        and _SEGMENTER_SPACE not in text
        and text[:1] != " "
        and text[-1:] != " "
        and unicodedata.is_normalized("NFKC", text)
    )


def _stays_quotes(text: str) -> bool:
    return _stays_nfkc(text) and not has_special_quotes(text)


def _stays_punctuation(text: str) -> bool:
    return _stays_quotes(text) and not has_signs(text)


_STAYS: dict[str, Callable[[str], bool]] = {
    "nfkc": _stays_nfkc,
    "quotes": _stays_quotes,
    "punctuation": _stays_punctuation,
    "none": _stays_unchanged,
}
"""Whether lines, joined by spaces, are sure to be normalised as they are; not all that are need be found."""


def normalize_lines(name: str, lines: list[str]) -> list[str]:
    """Each line as the normalisation of that name makes it, many times faster where most are so already."""
    normalize, stays = NORMALIZATIONS[name], _STAYS[name]

    def normalized(some: list[str]) -> list[str]:
        if stays(" ".join(some)):
            return some
        if len(some) == 1:
            return [normalize(some[0])]
        step = -(-len(some) // _PARTS)
        return [line for start in range(0, len(some), step) for line in normalized(some[start : start + step])]

    starts = range(0, len(lines), _LINES_AT_ONCE)
    return [line for start in starts for line in normalized(lines[start : start + _LINES_AT_ONCE])]
