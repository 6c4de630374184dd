"""Quotation marks, dashes and other signs, made plain, and the spaces around them."""

import re

_EARLY = str.maketrans({"´": "'", "″": '"', "‶": '"', "＂": '"', "\u00ad": None})
"""Signs that NFKC would take apart, and the soft hyphen."""
_DOUBLE = "“”„‟«»〝〞〟"
_SINGLE = "‘’‚‛‹›′‵"
_DASHES = "‐‑‒–—―−"
_PLAIN = str.maketrans(dict.fromkeys(_DOUBLE, '"') | dict.fromkeys(_SINGLE, "'") | dict.fromkeys(_DASHES, "-"))
_SPECIAL = (*_DOUBLE, *_SINGLE, *_DASHES, *"´″‶\u00ad")
_WIDE_DASHES = str.maketrans(dict.fromkeys("—―", " - ") | {"`": "'"})
_SIGNS = ("(", ")", "`", "''", " %", " :", " ;", " ?", " !")


def plain_before(text: str) -> str:
    """What must be done before NFKC: it makes of ´ a space and an accent, and of ″ two primes."""
    return text if text.isascii() else text.translate(_EARLY)


def plain_quotes(text: str) -> str:
    """Quotation marks, apostrophes, dashes and the minus sign as ASCII has them."""
    return text if text.isascii() else text.translate(_PLAIN)


def has_special_quotes(text: str) -> bool:
    """Whether there is anything that the two functions above change."""
    return not text.isascii() and any(sign in text for sign in _SPECIAL)


def set_signs(text: str) -> str:
    """Spaces around long dashes, and an apostrophe for a grave accent that stands alone."""
    return text.translate(_WIDE_DASHES) if "`" in text or not text.isascii() else text


def set_spaces(text: str) -> str:
    """Of a line with plain quotes: one for two apostrophes, a space outside parentheses, none before : ; ? ! %."""
    text = text.replace("''", '"')
    if "(" in text or ")" in text:
        text = re.sub(r" *\( *", " (", text)
        text = re.sub(r"\( +", "(", text)
        text = re.sub(r" *\) *", ") ", text)
        text = re.sub(r"\) (?=[).!:?;,])", ")", text)
    text = re.sub(r"(?<=\d) (?=%)| (?=[:;?!])", "", text)
    return " ".join(text.split(" ")).strip(" ")


def has_signs(text: str) -> bool:
    """Whether there may be anything that the two functions above change."""
    return any(sign in text for sign in _SIGNS)
