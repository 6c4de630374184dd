"""Phrases in raw text → target tokens, in the ways in which a model may spell them."""

from collections.abc import Sequence

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.sentences import Phrase
from nmt_cli.text.words import kind

_OTHER_SPELLINGS = 16
"""Of a phrase that is forbidden, beside the usual one: those of the fewest subwords, which a model may flee to."""
_LEADS = "。、,.x"


class Speller:
    """Knows the target pieces of one tokenizer.

    A phrase is meant as whole words, so its first token begins one; in scripts without spaces it can stand anywhere.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        pieces = [piece for piece in tokenizer.target.pieces() if piece.number != tokenizer.unknown]
        self._numbers = {piece.text: piece.number for piece in pieces}
        self._longest = max(map(len, self._numbers), default=1)

    def usual(self, text: str) -> Phrase | None:
        """The phrase as a translation is most likely to hold it; None if the model has no tokens for it."""
        within = self._within(text)
        phrase = self._encoded(text) if within is None else within
        return phrase if phrase and self._tokenizer.unknown not in phrase else None

    def all(self, text: str) -> list[Phrase]:
        """The usual spelling and others that decode to the same text."""
        spelled = self._tokenizer.normalize(text).strip().replace(" ", "▁")
        found = [self.usual(text), self._encoded(text), *self._others("▁" + spelled)]
        if self._within(text) is not None:
            found += self._others(spelled)
        known = dict.fromkeys(phrase for phrase in found if phrase)
        return [phrase for phrase in known if self._tokenizer.unknown not in phrase]

    def _encoded(self, text: str) -> Phrase:
        return tuple(self._tokenizer.encode_target([text.strip()])[0])

    def _within(self, text: str) -> Phrase | None:
        """How a phrase of a script without spaces is spelled after other characters."""
        text = text.strip()
        if not text or kind(text[0]) != "unspaced":
            return None
        for lead in _LEADS:
            alone, both = self._tokenizer.encode_target([lead, lead + text])
            if both[: len(alone)] == alone:
                return tuple(both[len(alone) :])
        return None

    def _others(self, spelled: str) -> list[Phrase]:
        """Spellings of the fewest pieces, by dynamic programming over the characters."""
        best: list[list[Phrase]] = [[()], *([] for _ in spelled)]
        for end in range(1, len(spelled) + 1):
            ways = [
                (*before, self._numbers[spelled[start:end]])
                for start in range(max(0, end - self._longest), end)
                if spelled[start:end] in self._numbers
                for before in best[start]
            ]
            best[end] = sorted(ways, key=len)[:_OTHER_SPELLINGS]
        return best[-1]


def continuing(tokenizer: Tokenizer) -> list[bool]:
    """By target token: whether it goes on with a word, so that what was said before it is not yet a whole word."""
    return [_goes_on(piece) for piece in tokenizer.target.vocabulary]


def _goes_on(piece: str) -> bool:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        byte = int(piece[3:5], 16)
        return byte >= 0x80 or kind(chr(byte)) == "word"
    return not _is_special(piece) and kind(piece[0]) == "word"


def phrases(texts: Sequence[str], speller: Speller) -> tuple[Phrase, ...]:
    """All spellings of all texts."""
    return tuple(phrase for text in texts for phrase in speller.all(text))
