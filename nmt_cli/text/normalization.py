"""Named normalisations: what is done to each line before it is cut into subwords."""

import re
import unicodedata
from collections.abc import Callable

_LINE_BREAKS = re.compile("[\x00\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029]")
_SEPARATORS = re.compile("[\x00-\x1f\x7f-\x9f\u200b]")
_SEGMENTER_SPACE = "\u2581"
_BOM = "\ufeff"


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


NORMALIZATIONS: dict[str, Callable[[str], str]] = {"nfkc": _nfkc, "none": _unchanged}
"""By the name that stands in a recipe. Each changes nothing when applied a second time."""
