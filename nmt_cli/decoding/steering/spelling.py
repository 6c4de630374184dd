"""Phrases in raw text → target tokens, in the ways in which a model may spell them."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.decoding.sentences import Phrase
from nmt_cli.text.word_boundaries import character_class

_OTHER_SPELLINGS = 16
"""Of a phrase that is forbidden, beside the usual one: those of the fewest subwords, which a model may flee to."""
_SPELLINGS_WITHIN = 3
"""Ways to spell the beginning of a word that a prefix ends within, up to each of its characters."""
_REMEMBERED = 1 << 14
_LEADS = "。、,.x"
"""What may stand before a phrase without a space."""


@dataclass(frozen=True)
class Beginning:
    """How a translation begins: with tokens, and after these with one of some phrases, if there are any."""

    prefix: Phrase
    openings: tuple[Phrase, ...] = ()


class Speller:
    """Knows the target pieces of one tokenizer.

    A phrase is meant as whole words, so its first token begins one; in scripts without spaces it can stand anywhere.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.usual = lru_cache(_REMEMBERED)(self._usual)
        """The phrase as a translation is most likely to hold it; None if the model has no tokens for it."""
        self.all = lru_cache(_REMEMBERED)(self._all)
        """The usual spelling and others that decode to the same text."""

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return self._tokenizer.target.ids_by_text(PieceKind.NORMAL, PieceKind.USER_DEFINED)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._numbers), default=1)

    def _usual(self, text: str) -> Phrase | None:
        within = self._within(text)
        phrase = self._encoded(text) if within is None else within
        return phrase if phrase and self._tokenizer.special_tokens.unk not in phrase else None

    def _all(self, text: str) -> tuple[Phrase, ...]:
        spelled = self._tokenizer.normalize(text).strip().replace(" ", "▁")
        if not spelled:
            return ()
        found = [self.usual(text), self._encoded(text), *self._best_spellings("▁" + spelled, _OTHER_SPELLINGS)[-1]]
        if self._within(text) is not None:
            found += self._best_spellings(spelled, _OTHER_SPELLINGS)[-1]
        known = dict.fromkeys(phrase for phrase in found if phrase)
        return tuple(phrase for phrase in known if self._tokenizer.special_tokens.unk not in phrase)

    def beginning(self, prefix: str) -> Beginning:
        """How a translation begins that begins with `prefix`, in whose last word it may go on."""
        whole = tuple(self._tokenizer.encode_target([prefix])[0])
        if not whole or character_class(prefix[-1]) not in ("word", "space"):
            return Beginning(whole)
        before, _, last = self._tokenizer.normalize(prefix).rpartition(" ")
        if prefix[-1].isspace():
            before, last = f"{before} {last}", ""
        openings = self._openings("▁" + last)
        if not openings:
            return Beginning(whole)
        return Beginning(tuple(self._tokenizer.encode_target([before])[0]), openings)

    def begun(self, prefix: str, text: str) -> str:
        """A translation that begins as `beginning` says, with exactly the characters of the prefix."""
        normal = self._tokenizer.normalize(prefix)
        if not text.startswith(normal):
            return text
        rest = text[len(normal) :]
        return prefix + (rest.lstrip(" ") if prefix[-1:].isspace() else rest)

    def _openings(self, word: str) -> tuple[Phrase, ...]:
        """Ways to spell a word, of the fewest pieces up to any place, that end with it or with a piece beyond it."""
        best = self._best_spellings(word, _SPELLINGS_WITHIN)
        return tuple(
            (*before, number)
            for start in range(len(word))
            for before in best[start]
            for piece, number in self._numbers.items()
            if piece.startswith(word[start:])
        )

    def _encoded(self, text: str) -> Phrase:
        return tuple(self._tokenizer.encode_target([text.strip()])[0])

    def _within(self, text: str) -> Phrase | None:
        """How a phrase of a script without spaces is spelled after other characters."""
        text = text.strip()
        if not text or character_class(text[0]) != "unspaced":
            return None
        for lead in _LEADS:
            alone, both = self._tokenizer.encode_target([lead, lead + text])
            if both[: len(alone)] == alone:
                return tuple(both[len(alone) :])
        return None

    def _best_spellings(self, word: str, most: int) -> list[list[Phrase]]:
        """Up to each place: spellings of the fewest pieces, by dynamic programming."""
        best: list[list[Phrase]] = [[()], *([] for _ in word)]
        for end in range(1, len(word) + 1):
            ways = [
                (*before, self._numbers[word[start:end]])
                for start in range(max(0, end - self._longest), end)
                if word[start:end] in self._numbers
                for before in best[start]
            ]
            best[end] = sorted(ways, key=len)[:most]
        return best


def continuing(tokenizer: Tokenizer) -> list[bool]:
    """By target token: whether it goes on with a word, so that what was said before it is not yet a whole word."""
    target = tokenizer.target
    found = [character_class(piece[0]) == "word" for piece in target.entries]
    for number, byte in target.byte_values().items():
        found[number] = byte >= 0x80 or character_class(chr(byte)) == "word"
    return found


def needless(tokenizer: Tokenizer) -> set[int]:
    """Target tokens that no text is cut into: bytes of characters that have a piece, or that normalising changes.

    No model has learned to say them; said all the same, they would be a spelling of words that nobody looks for.
    """
    target = tokenizer.target
    pieces = target.ids_by_text(PieceKind.NORMAL)
    characters = {number: chr(byte) for number, byte in target.byte_values().items() if byte < 0x80}
    return {
        number
        for number, character in characters.items()
        if character.replace(" ", "▁") in pieces or tokenizer.normalize(f"a{character}a") != f"a{character}a"
    }
