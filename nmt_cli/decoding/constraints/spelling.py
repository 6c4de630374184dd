"""Target tokens of phrases, in all spellings that a model is likely to use.

A phrase consists of whole words, so its first token begins a word; in scripts without spaces it may begin anywhere.
Besides the tokenizer's own segmentation ("▁Haus"), other pieces give the same text ("▁H aus", "▁Ha us", …). A model
may use them if the first is forbidden, so bad words are forbidden in many spellings.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.decoding.sentences import Decode, Phrase
from nmt_cli.text.word_boundaries import character_class

_MAX_SPELLINGS = 16
"""Maximum number of further spellings of a bad word. The shortest are kept, as a model is most likely to use them."""
_MAX_PREFIX_SPELLINGS = 3
"""Maximum number of spellings of each beginning of the last word of a prefix."""
_CACHE_SIZE = 1 << 14
_LEADING_CHARACTERS = "。、,.x"
"""Tried in turn before a phrase, to spell it without a leading ▁. `x` is for vocabularies without the others."""


@dataclass(frozen=True)
class PrefixTokens:
    """The beginning of a translation: `tokens`, then one of `completions`, which complete its last word, if any."""

    tokens: Phrase
    completions: tuple[Phrase, ...] = ()


class Speller:
    """Spells phrases with the target pieces of a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._unk = tokenizer, tokenizer.special_tokens.unk
        self.usual_spelling = lru_cache(_CACHE_SIZE)(self._usual_spelling)
        """Return the most likely spelling of a phrase; None if the vocabulary lacks tokens for it."""
        self.likely_spellings = lru_cache(_CACHE_SIZE)(self._likely_spellings)
        """Return the usual spelling of a phrase, and others that decode to the same text."""

    @cached_property
    def _ids(self) -> dict[str, int]:
        return self._tokenizer.target.ids_by_text(PieceKind.NORMAL, PieceKind.USER_DEFINED)

    @cached_property
    def _continuation_mask(self) -> list[bool]:
        return continuation_mask(self._tokenizer)

    @cached_property
    def _max_piece_length(self) -> int:
        return max(map(len, self._ids), default=1)

    def encode_prefix(self, text: str) -> PrefixTokens:
        """Return the tokens of a prefix. The translation may continue the last word of the prefix."""
        tokens = self._encode(text, is_prefix=True)
        if not tokens or character_class(text[-1]) not in ("word", "space"):
            return PrefixTokens(tokens)
        before, _, last = self._tokenizer.normalize(text).rpartition(" ")
        if text[-1].isspace():
            before, last = f"{before} {last}", ""
        is_marked = bool(before) or self._tokenizer.target.segmenter.marks_first_word
        completions = self._completions("▁" * is_marked + last)
        if not completions:
            return PrefixTokens(tokens)
        return PrefixTokens(self._encode(before, is_prefix=True), completions)

    def with_prefix(self, prefix: str, text: str) -> str:
        """Return a translation with its prefix as the user wrote it, not normalised and with unknown characters."""
        decoded = self._tokenizer.decode_target([list(self._encode(prefix, is_prefix=True))])[0]
        for beginning in (self._tokenizer.normalize(prefix), decoded.rstrip()):
            if beginning and text.startswith(beginning):
                rest = text[len(beginning) :]
                return prefix + (rest.lstrip(" ") if prefix[-1:].isspace() else rest)
        return text

    def spelling_in(self, tokens: Phrase, start: int, end: int, decode: Decode) -> Phrase:
        """Return the tokens of characters `start` to `end` of a translation; empty if some are copied from its source.

        If no space precedes the characters, the tokens begin with the sign before them: `' eau` in `l'eau`. The tokens
        `eau` alone would also match the end of other words.
        """
        beginnings = decode([list(tokens[:length]) for length in range(len(tokens) + 1)])
        text, continues = beginnings[-1], self._continuation_mask
        before = [length for length, each in enumerate(beginnings) if len(each) <= start and text.startswith(each)]
        first = max(before, default=0)
        last = next(length for length in range(first, len(beginnings)) if beginnings[length][:end] == text[:end])
        if any(token >= len(continues) for token in tokens[:last]):
            return ()
        while first and continues[tokens[first]]:
            first -= 1
        return tokens[first:last]

    def _usual_spelling(self, text: str) -> Phrase | None:
        without_space = self._spelling_without_space(text)
        phrase = self._encode(text) if without_space is None else without_space
        return phrase if phrase and self._unk not in phrase else None

    def _likely_spellings(self, text: str) -> tuple[Phrase, ...]:
        spelled = self._tokenizer.normalize(text).strip().replace(" ", "▁")
        if not spelled:
            return ()
        found = [self.usual_spelling(text), self._encode(text)]
        found += self._shortest_spellings("▁" + spelled, _MAX_SPELLINGS)[-1]
        if self._spelling_without_space(text) is not None:
            found += self._shortest_spellings(spelled, _MAX_SPELLINGS)[-1]
        distinct = dict.fromkeys(phrase for phrase in found if phrase)
        return tuple(phrase for phrase in distinct if self._unk not in phrase)

    def _completions(self, word: str) -> tuple[Phrase, ...]:
        """Return short spellings of `word`. The last piece may extend beyond its end."""
        shortest = self._shortest_spellings(word, _MAX_PREFIX_SPELLINGS)
        return tuple(
            (*before, token)
            for start in range(len(word))
            for before in shortest[start]
            for piece, token in self._ids.items()
            if piece.startswith(word[start:])
        )

    def _encode(self, text: str, *, is_prefix: bool = False) -> Phrase:
        """Return the tokens of whole words within a line, or of a prefix."""
        if not is_prefix:
            text = text.strip() if self._tokenizer.target.segmenter.marks_first_word else f" {text.strip()}"
        return tuple(self._tokenizer.encode_target([text])[0])

    def _spelling_without_space(self, text: str) -> Phrase | None:
        """Spell a phrase as in running text of a script without spaces, without a leading ▁; None for other scripts."""
        text = text.strip()
        if not text or character_class(text[0]) != "unspaced":
            return None
        for character in _LEADING_CHARACTERS:
            alone, both = self._tokenizer.encode_target([character, character + text])
            if both[: len(alone)] == alone:
                return tuple(both[len(alone) :])
        return None

    def _shortest_spellings(self, word: str, count: int) -> list[list[Phrase]]:
        """Return, for each n, the `count` spellings of the first n characters with the fewest pieces."""
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
    """Return [V], whether each target token continues the word before it."""
    target = tokenizer.target
    mask = [character_class(piece[0]) == "word" for piece in target.entries]
    for token, byte in target.byte_values().items():
        mask[token] = byte >= 0x80 or character_class(chr(byte)) == "word"
    return mask


def unused_bytes(tokenizer: Tokenizer) -> set[int]:
    """Return byte tokens that never occur in tokenized text: their character has a piece, or normalisation removes it.

    If generated, they would spell words in a way that constraints cannot match.
    """
    target = tokenizer.target
    pieces = target.ids_by_text(PieceKind.NORMAL, PieceKind.USER_DEFINED)
    characters = {token: chr(byte) for token, byte in target.byte_values().items() if byte < 0x80}
    return {
        token
        for token, character in characters.items()
        if character.replace(" ", "▁") in pieces or tokenizer.normalize(f"a{character}a") != f"a{character}a"
    }


def suppressed_tokens(tokenizer: Tokenizer, separators: Collection[int] = ()) -> list[int]:
    """Return the target tokens that must never be generated, sorted: all except text, eos and `separators`."""
    target = tokenizer.target
    unused = {*target.tags.values(), *target.without_piece, *unused_bytes(tokenizer)} - set(separators)
    return sorted({*tokenizer.special_tokens.ids, *unused} - {tokenizer.special_tokens.eos})
