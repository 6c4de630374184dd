"""Text normalisations, applied to each line before tokenisation.

They apply to both sides, so a translation can never contain what its normalisation replaces. The default therefore
keeps everything that is visible: NFC decomposes letters of Bengali, Hindi and Hebrew, and NFKC turns 10² into 102, `，`
into `,` and one vowel of Thai and Lao into two characters.

Exports contain a copy of this file, so it imports nothing from nmt.
"""

import re
import unicodedata
from collections.abc import Callable

_LINE_BREAKS = re.compile("[\x00\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029]")
INVISIBLE = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + "\x00\u200b\ufeff"
"""White space, NUL, zero-width spaces and byte order marks."""
_BLANK_CATEGORIES = ("Zs", "Zl", "Zp", "Cc", "Cf")
_SPACES = re.compile("[\x00-\x20\x7f\x85\u2028\u2029]+")
"""Not the other C1 controls, which stand for quotation marks and letters of Windows code pages in real text."""
_SEPARATORS = re.compile("[\x00-\x1f\x7f-\x9f\u200b]")
_SEGMENTER_SPACE = "\u2581"
_BOM = "\ufeff"
_LINES_PER_BATCH, _NUM_PARTS = 64, 4
_BEFORE_NFKC = str.maketrans({"´": "'", "″": '"', "‶": '"', "＂": '"', "\u00ad": None})
"""Signs that NFKC would decompose, and the soft hyphen."""
_DOUBLE = "“”„‟«»〝〞〟"
_SINGLE = "‘’‚‛‹›′‵"
_DASHES = "‐‑‒–—―−"
_PLAIN = str.maketrans(dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_SINGLE, "'") | dict.fromkeys(_DASHES, "-"))
_SPECIAL = (*_DOUBLE, *_SINGLE, *_DASHES, *"´″‶\u00ad")
_WIDE_DASHES = str.maketrans(dict.fromkeys("—―", " - ") | {"`": "'"})
_SIGNS = ("(", ")", "`", "''", " %", " :", " ;", " ?", " !")

OPUS_REPLACEMENTS = dict(
    zip(
        "，、”“∶：？《》）！（；１」「０３２５６９７８４～’━〈〉【】％",
        ',,""::?"")!(;"""032569784~\'-<>[]%',
        strict=True,
    )
) | {"…": "...", "。 *": ". ", "． *": ". "}
"""Substitutions of OPUS-MT's `preprocess.sh`. It replaces １ with a quotation mark, as Moses does."""
_OPUS_SIGNS = str.maketrans({sign: text for sign, text in OPUS_REPLACEMENTS.items() if len(sign) == 1})


def is_blank(text: str) -> bool:
    """Return whether a text has no visible character, only spaces, controls and formats such as U+200B."""
    return all(unicodedata.category(character) in _BLANK_CATEGORIES for character in text)


def one_line(text: str) -> str:
    """Replace NUL and every character that some program treats as a line break with a space."""
    return _LINE_BREAKS.sub(" ", text)


def _unchanged(line: str) -> str:
    """Change only what cannot be represented.

    Line breaks of any kind and NUL become spaces. U+2581, the space symbol of SentencePiece, becomes an underscore.
    Leading byte order marks are removed, as they would be mistaken for that of a file.
    """
    return one_line(line).replace(_SEGMENTER_SPACE, "_").lstrip(_BOM)


def _whitespace(line: str) -> str:
    """Replace each run of spaces, ASCII controls and line breaks with one space; strip invisible characters.

    Other white space is kept within the line: no-break, thin, ideographic and zero-width spaces.
    """
    return _SPACES.sub(" ", line.replace(_SEGMENTER_SPACE, "_")).strip(INVISIBLE)


def _nfc(line: str) -> str:
    """Apply `whitespace` and NFC."""
    return unicodedata.normalize("NFC", _whitespace(line))


def _nfkc(line: str) -> str:
    """Apply NFKC and collapse white space, control characters and zero-width spaces into single spaces.

    Spaces at the ends and byte order marks are removed.
    """
    line = _SEPARATORS.sub(" ", line).replace(_BOM, "").replace(_SEGMENTER_SPACE, "_")
    return " ".join(unicodedata.normalize("NFKC", line).split())


def _quotes(line: str) -> str:
    """Apply `nfkc` and replace quotation marks, apostrophes and dashes with ASCII; remove soft hyphens."""
    return _fold_quotes(_nfkc(_fold_before_nfkc(line)))


def _punctuation(line: str) -> str:
    """Apply `quotes` and the language-independent rules of Moses' `normalize-punctuation`."""
    return _fix_spaces(_quotes(_fold_signs(line)))


def _fold_before_nfkc(text: str) -> str:
    """Replace signs that NFKC would decompose: ´ into a space and an accent, ″ into two primes."""
    return text if text.isascii() else text.translate(_BEFORE_NFKC)


def _fold_quotes(text: str) -> str:
    """Replace quotation marks, apostrophes, dashes and the minus sign with ASCII."""
    return text if text.isascii() else text.translate(_PLAIN)


def _has_special_quotes(text: str) -> bool:
    """Return whether the two functions above would change the text."""
    return not text.isascii() and any(sign in text for sign in _SPECIAL)


def _fold_signs(text: str) -> str:
    """Put spaces around long dashes, and replace a single grave accent with an apostrophe."""
    return text.translate(_WIDE_DASHES) if "`" in text or not text.isascii() else text


def _fix_spaces(text: str) -> str:
    """Replace two apostrophes with a quotation mark, put spaces outside parentheses, remove them before : ; ? ! %."""
    text = text.replace("''", '"')
    if "(" in text or ")" in text:
        text = re.sub(r" *\( *", " (", text)
        text = re.sub(r"\( +", "(", text)
        text = re.sub(r" *\) *", ") ", text)
        text = re.sub(r"\) (?=[).!:?;,])", ")", text)
    text = re.sub(r"(?<=\d) (?=%)| (?=[:;?!])", "", text)
    return " ".join(text.split(" ")).strip(" ")


def _has_signs(text: str) -> bool:
    """Return whether the two functions above might change the text."""
    return any(sign in text for sign in _SIGNS)


def _opus(line: str) -> str:
    """Do what OPUS-MT's `preprocess.sh` does before SentencePiece.

    Full-width signs, quotation marks and … become ASCII, control and format characters spaces, runs of spaces one.
    """
    line = re.sub("[。．] *", ". ", one_line(line).replace(_SEGMENTER_SPACE, "_")).translate(_OPUS_SIGNS)
    if not line.isprintable():
        line = "".join(" " if unicodedata.category(character)[0] == "C" else character for character in line)
    return re.sub("  +", " ", line).strip(" ")


NORMALIZATIONS: dict[str, Callable[[str], str]] = {
    "whitespace": _whitespace,
    "nfc": _nfc,
    "nfkc": _nfkc,
    "quotes": _quotes,
    "punctuation": _punctuation,
    "opus": _opus,
    "none": _unchanged,
}
"""Normalisations by their name in a recipe. All are idempotent."""


def _is_unchanged(text: str) -> bool:
    return text.isprintable() and _SEGMENTER_SPACE not in text


def _is_whitespace(text: str) -> bool:
    # Printable text has no white space except spaces, no control characters and no byte order marks.
    return _is_unchanged(text) and "  " not in text and text[:1] != " " and text[-1:] != " "


def _is_nfc(text: str) -> bool:
    return _is_whitespace(text) and unicodedata.is_normalized("NFC", text)


def _is_nfkc(text: str) -> bool:
    return _is_whitespace(text) and unicodedata.is_normalized("NFKC", text)


def _is_quotes(text: str) -> bool:
    return _is_nfkc(text) and not _has_special_quotes(text)


def _is_punctuation(text: str) -> bool:
    return _is_quotes(text) and not _has_signs(text)


def _is_opus(text: str) -> bool:
    return text.isascii() and _is_whitespace(text)


_IS_NORMALIZED: dict[str, Callable[[str], bool]] = {
    "whitespace": _is_whitespace,
    "nfc": _is_nfc,
    "nfkc": _is_nfkc,
    "quotes": _is_quotes,
    "punctuation": _is_punctuation,
    "opus": _is_opus,
    "none": _is_unchanged,
}
"""Quick checks of lines joined by spaces: True guarantees that they are normalised, False does not exclude it."""


def normalize_lines(name: str, lines: list[str]) -> list[str]:
    """Normalise each line. Much faster than line by line if most lines are normalised already."""
    normalize, is_normalized = NORMALIZATIONS[name], _IS_NORMALIZED[name]

    def normalize_batch(batch: list[str]) -> list[str]:
        if is_normalized(" ".join(batch)):
            return batch
        if len(batch) == 1:
            return [normalize(batch[0])]
        step = -(-len(batch) // _NUM_PARTS)
        return [line for start in range(0, len(batch), step) for line in normalize_batch(batch[start : start + step])]

    starts = range(0, len(lines), _LINES_PER_BATCH)
    return [line for start in starts for line in normalize_batch(lines[start : start + _LINES_PER_BATCH])]
