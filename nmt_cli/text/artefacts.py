"""Traces of other programs and formats in text: escapes, markers of subwords, tokenisation, markup."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from nmt_cli.text.word_boundaries import spaced_letters


@dataclass(frozen=True)
class Artefact:
    """A kind of trace, which plain text hardly ever has."""

    name: str
    """As in `3 lines contain …`."""
    remedy: str
    """An imperative, such as `unescape them`."""
    occurs_in: Callable[[str], object]
    """Returns whether a line has it."""
    min_fraction: float = 0.01
    """Fraction of lines from which a text is suspicious."""

    def count(self, lines: Sequence[str]) -> int:
        """Return the number of lines that have it."""
        return sum(bool(self.occurs_in(line)) for line in lines)


def _is_json(line: str) -> bool:
    return line.startswith("{") and line.endswith("}") and '":' in line


def _is_decomposed(line: str) -> bool:
    """Return whether NFC would compose letters; it makes letters of Bengali, Hindi and Hebrew longer instead."""
    return not line.isascii() and len(normalize("NFC", line)) < len(line)


def _is_spaced(line: str) -> bool:
    spaced, adjacent = spaced_letters(line)
    return spaced >= 2 and 3 * spaced > adjacent


TOKENISED = Artefact(
    "a full stop or comma after a space", "detokenise them", re.compile(r"\w [.,](?: |$)").search, min_fraction=0.3
)
ARTEFACTS = (
    Artefact(
        "escaped characters such as &apos;",
        "unescape them, such as with Moses' deescape-special-chars",
        re.compile(r"&(?:apos|quot|amp|lt|gt|nbsp|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});").search,
    ),
    Artefact("unknown words (<unk>, ⁇)", "use text from before tokenisation", re.compile("<unk>|<UNK>|⁇").search),
    Artefact("subword markers (▁, @@)", "join the subwords", re.compile("▁|@@(?: |$)").search),
    Artefact("Moses' markers such as @-@", "detokenise them", re.compile("@[-/,.]@").search),
    Artefact("SGML tags", "extract the segments", re.compile(r"</?(?:seg|doc|refset|srcset|tstset)\b").search),
    Artefact("JSON objects", "extract the text, or read the file as JSON lines", _is_json),
    Artefact("fields separated by |||", "keep only the text", re.compile(r" \|\|\| ").search),
    Artefact("tabs", "keep only the column of the text", re.compile("\t").search),
    Artefact("decomposed letters (a letter and a combining accent)", "apply Unicode NFC to all text", _is_decomposed),
    Artefact("spaces between letters of a script without spaces", "detokenise them", _is_spaced, min_fraction=0.3),
)
"""Those by which hypotheses and references must not differ."""
