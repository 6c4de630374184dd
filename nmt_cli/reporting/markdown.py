"""Any text as Markdown that shows exactly that text."""

import re
import unicodedata

_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$]")
_INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Cs"}
_JOINERS = "\u200c\u200d"  # part of words and of emoji


def text(value: str) -> str:
    """Text to stand in a table cell or a line: no character has a meaning, none is invisible or breaks the line."""
    if not value.strip():
        return "*(empty)*"
    return _SPECIAL.sub(r"\\\g<0>", visible(value))


def code(value: str) -> str:
    """Text as a code span: file names, hashes."""
    shown = visible(value)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    padding = " " if "`" in shown else ""
    return f"{ticks}{padding}{shown}{padding}{ticks}"


def visible(value: str) -> str:
    """Text whose control and formatting characters are spelt out, as \\x1b or \\u2028."""
    return "".join(_spell(character) for character in value)


def _spell(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _INVISIBLE:
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
