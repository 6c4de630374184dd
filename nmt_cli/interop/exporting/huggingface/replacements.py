"""The normalisations of nmt_cli.text.normalization as replacements, for programs in other languages.

Patterns are regular expressions of Oniguruma, which the library tokenizers uses.
"""

import re

from nmt_cli.text.normalization import INVISIBLE, OPUS_REPLACEMENTS

Replacements = tuple[tuple[str | None, str], ...]
"""Patterns and what replaces them, in order; without a pattern, the second is a Unicode normalisation form."""

LINE_BREAKS = "[\x00\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029]"
_WHITE_SPACE = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
_UNDERSCORE = ("\u2581", "_")
_WHITESPACE: Replacements = (
    _UNDERSCORE,
    ("[\x00-\x20\x7f\x85\u2028\u2029]+", " "),
    (rf"\A[{INVISIBLE}]+", ""),
    (rf"[{INVISIBLE}]+\z", ""),
)
_NFKC: Replacements = (
    ("[\x00-\x1f\x7f-\x9f\u200b]", " "),
    ("\ufeff", ""),
    _UNDERSCORE,
    (None, "NFKC"),
    (f"[{_WHITE_SPACE}]+", " "),
    (r"\A | \z", ""),
)
_QUOTES: Replacements = (
    ("´", "'"),
    ("[″‶＂]", '"'),
    ("\u00ad", ""),
    *_NFKC,
    ("[“”„‟«»〝〞〟]", '"'),
    ("[‘’‚‛‹›′‵]", "'"),
    ("[‐‑‒–—―−]", "-"),
)
_PUNCTUATION: Replacements = (
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
_OPUS: Replacements = (
    (LINE_BREAKS, " "),
    _UNDERSCORE,
    ("[。．] *", ". "),
    *((re.escape(sign), text) for sign, text in OPUS_REPLACEMENTS.items() if len(sign) == 1),
    (r"\p{C}", " "),
    (" {2,}", " "),
    (r"\A +| +\z", ""),
)

REPLACEMENTS: dict[str, Replacements] = {
    "whitespace": _WHITESPACE,
    "nfc": (*_WHITESPACE, (None, "NFC")),
    "nfkc": _NFKC,
    "quotes": _QUOTES,
    "punctuation": _PUNCTUATION,
    "opus": _OPUS,
    "none": ((LINE_BREAKS, " "), _UNDERSCORE, (r"\A\ufeff+", "")),
}
"""By value of `tokenizer.normalization`."""
