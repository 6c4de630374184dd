"""Normalisation in the format of the library tokenizers, as exports write it and imports recognise it.

The normalisations of nmt_cli.text.normalization become `Replace` steps, whose patterns are regular expressions of
Oniguruma.
"""

import re
from typing import Any

from nmt_cli.data.tokenizing.segmenter import WORD_START
from nmt_cli.text.normalization import INVISIBLE, OPUS_REPLACEMENTS

_Replacements = tuple[tuple[str | None, str], ...]
"""Patterns and what replaces them, in order; without a pattern, the second is a Unicode normalisation form."""

_LINE_BREAKS = "[\x00\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029]"
_WHITE_SPACE = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
_UNDERSCORE = ("\u2581", "_")
_WHITESPACE: _Replacements = (
    _UNDERSCORE,
    ("[\x00-\x20\x7f\x85\u2028\u2029]+", " "),
    (rf"\A[{INVISIBLE}]+", ""),
    (rf"[{INVISIBLE}]+\z", ""),
)
_NFKC: _Replacements = (
    ("[\x00-\x1f\x7f-\x9f\u200b]", " "),
    ("\ufeff", ""),
    _UNDERSCORE,
    (None, "NFKC"),
    (f"[{_WHITE_SPACE}]+", " "),
    (r"\A | \z", ""),
)
_QUOTES: _Replacements = (
    ("´", "'"),
    ("[″‶＂]", '"'),
    ("\u00ad", ""),
    *_NFKC,
    ("[“”„‟«»〝〞〟]", '"'),
    ("[‘’‚‛‹›′‵]", "'"),
    ("[‐‑‒–—―−]", "-"),
)
_PUNCTUATION: _Replacements = (
    ("[—―]", " - "),
    ("`", "'"),
    *_QUOTES,
    ("''", '"'),
    (r" *\( *", " ("),
    (r"\( +", "("),
    (r" *\) *", ") "),
    (r"\) (?=[).!:?;,])", ")"),
    (r"(?<=\d) (?=%)| (?=[:;?!])", ""),
    (r"\A +| +\z", ""),
)
_OPUS: _Replacements = (
    (_LINE_BREAKS, " "),
    _UNDERSCORE,
    ("[。．] *", ". "),
    *((re.escape(sign), text) for sign, text in OPUS_REPLACEMENTS.items() if len(sign) == 1),
    (r"\p{C}", " "),
    (" {2,}", " "),
    (r"\A +| +\z", ""),
)

_REPLACEMENTS: dict[str, _Replacements] = {
    "whitespace": _WHITESPACE,
    "nfc": (*_WHITESPACE, (None, "NFC")),
    "nfkc": _NFKC,
    "quotes": _QUOTES,
    "punctuation": _PUNCTUATION,
    "opus": _OPUS,
    "none": ((_LINE_BREAKS, " "), _UNDERSCORE, (r"\A\ufeff+", "")),
}
"""By value of `tokenizer.normalization`."""

Normalizers = list[dict[str, Any]]


def nmt_normalizers(normalization: str) -> Normalizers:
    """Return the steps of a value of `tokenizer.normalization`."""
    return [
        {"type": form} if pattern is None else substitution(pattern, form)
        for pattern, form in _REPLACEMENTS[normalization]
    ]


def split_normalization(steps: Normalizers) -> tuple[str, Normalizers]:
    """Return the longest normalisation of nmt that the steps begin with, by default `none`, and the other steps."""
    known = {name: nmt_normalizers(name) for name in _REPLACEMENTS}
    found = [name for name, own in known.items() if steps[: len(own)] == own]
    if not found:
        return "none", steps
    longest = max(found, key=lambda name: len(known[name]))
    return longest, steps[len(known[longest]) :]


def space_normalizers(*, remove_extra_whitespaces: bool, add_dummy_prefix: bool) -> Normalizers:
    """Return the steps of a SentencePiece model after its charsmap."""
    removed = [substitution(r"\A +| +\z", ""), EXTRA_SPACES] if remove_extra_whitespaces else []
    prefix = [{"type": "Prepend", "prepend": WORD_START}] if add_dummy_prefix else []
    return [*removed, replacement(" ", WORD_START), *prefix]


def document_normalizers(*, remove_extra_whitespaces: bool, add_dummy_prefix: bool) -> Normalizers:
    """Return the steps of a SentencePiece model without charsmap that reads each line of a document by itself."""
    removed = [substitution(r"(?<=\n) +|\A +| +(?=\n)| +\z", ""), EXTRA_SPACES] if remove_extra_whitespaces else []
    prefix = [
        {"type": "Prepend", "prepend": WORD_START},
        replacement("\n", f"\n{WORD_START}"),
        substitution(rf"(\A|(?<=\n)){WORD_START}(?=\n|\z)", ""),  # an empty line has no tokens
    ]
    return [*removed, *(prefix if add_dummy_prefix else []), replacement(" ", WORD_START)]


def substitution(pattern: str, content: str) -> dict[str, Any]:
    """Return the step that replaces what matches a pattern."""
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def replacement(text: str, content: str) -> dict[str, Any]:
    """Return the step that replaces a text."""
    return {"type": "Replace", "pattern": {"String": text}, "content": content}


EXTRA_SPACES = substitution(" {2,}", " ")
LINE_BREAKS_TO_SPACES = substitution(_LINE_BREAKS, " ")
