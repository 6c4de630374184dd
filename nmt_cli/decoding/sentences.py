"""Input of a search: source sentences as token ids, with the constraints on their translations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from nmt_cli.data.arrays import Integers
from nmt_cli.data.token_corpus import Columns
from nmt_cli.data.tokenizer import Tokenizer

Phrase = tuple[int, ...]
"""Consecutive target tokens."""
Decode = Callable[[list[list[int]]], list[str]]
"""Returns the text of each row of target tokens."""


@dataclass(frozen=True)
class PhraseBonus:
    """A phrase that search prefers. `bonus`, in nats, is for the whole phrase."""

    phrase: Phrase
    bonus: float


@dataclass(frozen=True)
class HardTerm:
    """The required translation of characters `start` to `end` of a source text."""

    start: int
    end: int
    target: str


@dataclass(frozen=True)
class Constraints:
    """Constraints on one translation, in target tokens."""

    prefix: Phrase = ()
    """The translation begins with these tokens."""
    prefix_completions: tuple[Phrase, ...] = ()
    """One of these follows the prefix, if there are any: the prefix of a text may end within a word."""
    forced_phrases: tuple[Phrase, ...] = ()
    """Each occurs at least as often as it is listed here."""
    bad_words: tuple[Phrase, ...] = ()
    """None of these phrases occurs."""
    bonuses: tuple[PhraseBonus, ...] = ()
    hard_terms: tuple[HardTerm, ...] = ()
    """`forced_phrases` ends with their targets, in this order."""

    def __bool__(self) -> bool:
        return bool(self.prefix or self.prefix_completions or self.forced_phrases or self.bad_words or self.bonuses)

    @property
    def sufficient_length(self) -> int:
        """The length that always suffices for the prefix, its completion and the forced phrases."""
        completion = max(map(len, self.prefix_completions), default=0)
        return len(self.prefix) + completion + sum(map(len, self.forced_phrases))

    def without_hard_terms(self) -> Self:
        """Return the constraints without the terms and their phrases."""
        phrases = self.forced_phrases[: len(self.forced_phrases) - len(self.hard_terms)]
        return replace(self, forced_phrases=phrases, hard_terms=())


NO_CONSTRAINTS = Constraints()


@dataclass(frozen=True)
class SentenceInput:
    """A source text that is translated at once: a line, or a segment of a line."""

    line: int
    """1-based number of its line."""
    tokens: list[int]
    """Source tokens without eos."""
    constraints: Constraints = NO_CONSTRAINTS
    tags: tuple[int, ...] = ()
    """Source tokens that precede `tokens` and are not part of the text."""
    columns: Columns = field(default_factory=dict)
    """Source columns of `tokens`."""
    prompt: tuple[int, ...] = ()
    """Target tokens before the translation, equally many for all sentences of a model; none: decoder_start."""
    suffix: tuple[int, ...] = ()
    """Source tokens after eos."""
    copies: tuple[int, ...] = ()
    """For each of `tokens`, its id in the target vocabulary or beyond it (see `oov`), as which it can be copied."""
    num_context_tokens: int = 0
    """How many of the tags belong to context lines that are not translated with this one."""

    @property
    def source_length(self) -> int:
        """Source tokens that the model reads, eos included."""
        return len(self.tags) + len(self.tokens) + 1 + len(self.suffix)


def padded_columns(batch: Sequence[SentenceInput]) -> dict[str, Integers]:
    """Return the source columns [B,S,…] of a batch; 0 at tags, eos and padding."""
    longest, found = max(sentence.source_length for sentence in batch), {}
    for name, first in batch[0].columns.items():
        found[name] = np.zeros((len(batch), longest, *first.shape[1:]), np.int64)
        for row, sentence in zip(found[name], batch, strict=True):
            start = len(sentence.tags)
            row[start : start + len(sentence.tokens)] = sentence.columns[name]
    return found


def with_copies(
    tokenizer: Tokenizer, sentences: Sequence[SentenceInput], texts: Sequence[str], is_needed: bool = False
) -> Sequence[SentenceInput]:
    """Set `copies` of sentences, from their texts.

    Return the sentences unchanged unless the model copies words outside the vocabulary or `is_needed`. If a text is
    tokenized differently on its own, as a part of a very long word, all its copies are unk.
    """
    if not (tokenizer.copies or is_needed):
        return sentences
    unk = tokenizer.special_tokens.unk
    copied = [tuple(row) for row in tokenizer.encode_copies(list(texts))]
    return [
        replace(each, copies=copies if len(copies) == len(each.tokens) else (unk,) * len(each.tokens))
        for each, copies in zip(sentences, copied, strict=True)
    ]
