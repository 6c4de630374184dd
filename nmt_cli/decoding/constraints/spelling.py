"""Phrases as target tokens, in the ways in which a model may spell them.

A phrase means whole words, so its first token begins a word; in scripts without spaces it may begin anywhere. Besides
the tokenizer's own segmentation ("▁Haus"), the text can be spelled by other pieces ("▁H aus", "▁Ha us", …). A model
that must not generate the one may generate the other, so bad words are forbidden in many spellings.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.decoding.sentences import Phrase
from nmt_cli.text.word_boundaries import character_class

_MAX_SPELLINGS = 16
"""Further spellings of a bad word: those with the fewest subwords, which a model is most likely to use instead."""
_MAX_PREFIX_SPELLINGS = 3
"""Spellings of the beginning of a word that a prefix ends within, up to each of its characters."""
_CACHE_SIZE = 1 << 14
_LEADING_CHARACTERS = "。、,.x"
"""Characters that may precede a phrase without a space."""


@dataclass(frozen=True)
class PrefixTokens:
    """The beginning of a translation: tokens, then one of some phrases, if there are any."""

    tokens: Phrase
    continuations: tuple[Phrase, ...] = ()


class Speller:
    """Spells phrases with the target pieces of a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._unk = tokenizer, tokenizer.special_tokens.unk
        self.usual = lru_cache(_CACHE_SIZE)(self._usual)
        """Return the most likely spelling of a phrase; None if the vocabulary lacks tokens for it."""
        self.all_spellings = lru_cache(_CACHE_SIZE)(self._all_spellings)
        """Return the usual spelling, and others that decode to the same text."""

    @cached_property
    def _ids(self) -> dict[str, int]:
        return self._tokenizer.target.ids_by_text(PieceKind.NORMAL, PieceKind.USER_DEFINED)

    @cached_property
    def _max_piece_length(self) -> int:
        return max(map(len, self._ids), default=1)

    def prefix(self, text: str) -> PrefixTokens:
        """Return the tokens of a prefix. A translation may continue its last word."""
        tokens = self._encode(text, strip=False)
        if not tokens or character_class(text[-1]) not in ("word", "space"):
            return PrefixTokens(tokens)
        before, _, last = self._tokenizer.normalize(text).rpartition(" ")
        if text[-1].isspace():
            before, last = f"{before} {last}", ""
        continuations = self._continuations("▁" + last)
        if not continuations:
            return PrefixTokens(tokens)
        return PrefixTokens(self._encode(before, strip=False), continuations)

    def with_prefix(self, prefix: str, text: str) -> str:
        """Return a translation that begins with `prefix`, with exactly the characters of the prefix."""
        normalized = self._tokenizer.normalize(prefix)
        if not text.startswith(normalized):
            return text
        rest = text[len(normalized) :]
        return prefix + (rest.lstrip(" ") if prefix[-1:].isspace() else rest)

    def _usual(self, text: str) -> Phrase | None:
        unspaced = self._unspaced(text)
        phrase = self._encode(text) if unspaced is None else unspaced
        return phrase if phrase and self._unk not in phrase else None

    def _all_spellings(self, text: str) -> tuple[Phrase, ...]:
        spelled = self._tokenizer.normalize(text).strip().replace(" ", "▁")
        if not spelled:
            return ()
        found = [self.usual(text), self._encode(text), *self._shortest_spellings("▁" + spelled, _MAX_SPELLINGS)[-1]]
        if self._unspaced(text) is not None:
            found += self._shortest_spellings(spelled, _MAX_SPELLINGS)[-1]
        distinct = dict.fromkeys(phrase for phrase in found if phrase)
        return tuple(phrase for phrase in distinct if self._unk not in phrase)

    def _continuations(self, word: str) -> tuple[Phrase, ...]:
        """Return short spellings of all words that begin with `word`, up to the piece that reaches its end."""
        shortest = self._shortest_spellings(word, _MAX_PREFIX_SPELLINGS)
        return tuple(
            (*before, token)
            for start in range(len(word))
            for before in shortest[start]
            for piece, token in self._ids.items()
            if piece.startswith(word[start:])
        )

    def _encode(self, text: str, *, strip: bool = True) -> Phrase:
        return tuple(self._tokenizer.encode_target([text.strip() if strip else text])[0])

    def _unspaced(self, text: str) -> Phrase | None:
        """Return the spelling, after other characters, of a phrase in a script without spaces."""
        text = text.strip()
        if not text or character_class(text[0]) != "unspaced":
            return None
        for lead in _LEADING_CHARACTERS:
            alone, both = self._tokenizer.encode_target([lead, lead + text])
            if both[: len(alone)] == alone:
                return tuple(both[len(alone) :])
        return None

    def _shortest_spellings(self, word: str, count: int) -> list[list[Phrase]]:
        """Return, up to each character, the spellings of the fewest pieces, by dynamic programming."""
        shortest: list[list[Phrase]] = [[()], *([] for _ in word)]
        for end in range(1, len(word) + 1):
            spellings = [
                (*before, self._ids[word[start:end]])
                for start in range(max(0, end - self._max_piece_length), end)
                if word[start:end] in self._ids
                for before in shortest[start]
            ]
            shortest[end] = sorted(spellings, key=len)[:count]
        return shortest


def continuation_mask(tokenizer: Tokenizer) -> list[bool]:
    """Return whether each target token continues a word, so that the text before it is not yet a whole word."""
    target = tokenizer.target
    mask = [character_class(piece[0]) == "word" for piece in target.entries]
    for token, byte in target.byte_values().items():
        mask[token] = byte >= 0x80 or character_class(chr(byte)) == "word"
    return mask


def unused_bytes(tokenizer: Tokenizer) -> set[int]:
    """Return byte tokens that never occur in tokenized text: their character has a piece, or is normalized away.

    If generated, they would spell words in a way that constraints cannot match.
    """
    target = tokenizer.target
    pieces = target.ids_by_text(PieceKind.NORMAL)
    characters = {token: chr(byte) for token, byte in target.byte_values().items() if byte < 0x80}
    return {
        token
        for token, character in characters.items()
        if character.replace(" ", "▁") in pieces or tokenizer.normalize(f"a{character}a") != f"a{character}a"
    }
