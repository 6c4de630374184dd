"""The verdict on one pair of lines; whatever selects or checks pairs asks here."""

from typing import Literal

Fault = Literal["empty", "too_long"]

_BLANK = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + "\x00\u200b\ufeff"


def fault(source: str, target: str) -> Fault | None:
    """Why a pair is of no use, or None: `empty` if a side holds nothing that can be seen."""
    return "empty" if is_blank(source) or is_blank(target) else None


def is_blank(line: str) -> bool:
    """Whether there is nothing to see, however long the line is."""
    return not line.strip(_BLANK)
