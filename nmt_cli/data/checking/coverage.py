"""How much of a text a tokenizer knows: what it must spell in bytes, or cannot write at all."""

import re
from collections import Counter

from nmt_cli.data.checking.finding import Finding, share
from nmt_cli.data.checking.sampling import Sample, some
from nmt_cli.data.tokenizer import Subwords, Tokenizer

_LINES = 2000
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_MANY_BYTES, _MANY_UNKNOWN = 0.02, 0.002
"""Shares of the tokens. Each character that is spelt makes one to four bytes, each of them hard to learn."""
_NAMED = 6
"""Characters that are named as examples."""


def coverage(corpus: Sample, tokenizer: Tokenizer) -> list[Finding]:
    """Finds a side of which much is unknown or spelt in bytes."""
    findings = []
    for side, code in zip(("source", "target"), corpus.languages, strict=True):
        subwords: Subwords = getattr(tokenizer, side)
        lines = [tokenizer.normalize(line) for line in some(corpus.sides[side], _LINES)]
        findings += _judge(corpus.name, f"{side} ({code})", subwords, lines, tokenizer.unknown)
    return findings


def _judge(name: str, side: str, subwords: Subwords, lines: list[str], unknown: int) -> list[Finding]:
    tokens = Counter(token for row in subwords.encode(lines) for token in row)
    spelling = {number for number, piece in enumerate(subwords.vocabulary) if _BYTE.fullmatch(piece)}
    if not tokens or not any(letter.isalpha() for piece in subwords.pieces() for letter in piece.text):
        return []  # nothing to see, or a tokenizer of bytes alone
    lost, spelt = tokens[unknown], sum(tokens[token] for token in spelling)
    if lost > _MANY_UNKNOWN * tokens.total():
        what = f"{share(lost, tokens.total())} of the {side} tokens are unknown{_examples(subwords, lines)}"
        advice = "set tokenizer.byte_fallback: true, or learn subwords from text that has these characters"
        return [Finding("warning", "coverage", name, what, advice)]
    if spelt > _MANY_BYTES * tokens.total():
        what = f"{share(spelt, tokens.total())} of the {side} tokens are single bytes{_examples(subwords, lines)}"
        advice = "learn subwords from text that has these characters; is this the language that the model learns?"
        return [Finding("warning", "coverage", name, what, advice)]
    return []


def _examples(subwords: Subwords, lines: list[str]) -> str:
    """The most frequent characters that are in no piece."""
    known = {letter for piece in subwords.pieces() for letter in piece.text}
    strange = Counter(letter for line in lines for letter in line if letter not in known and letter != " ")
    named = " ".join(letter for letter, _ in strange.most_common(_NAMED) if letter.isprintable())
    return f", such as {named}" if named else ""
