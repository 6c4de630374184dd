"""Add subwords to an existing tokenizer for a new language or domain. Existing ids do not change."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import WORD_START
from nmt_cli.data.tokenizing.sentencepiece_model import sample_lines
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings

_MAX_WORDS = 500_000
"""Number of distinct words to learn from, most frequent first. Rarer words would not add a piece."""


@dataclass(frozen=True)
class VocabularyExtension:
    """For each new entry of a side, the old ids to initialise its embedding from."""

    source: list[list[int]]
    target: list[list[int]]

    @classmethod
    def between(cls, old: Tokenizer, new: Tokenizer) -> "VocabularyExtension | None":
        """Return the entries that `new` adds to `old`; None if `new` does not extend `old`."""
        common = [(each.normalization, each.joint, each.factors, each.special_tokens) for each in (old, new)]
        sides = [(old.source, new.source), (old.target, new.target)]
        if common[0] != common[1] or not all(_extends(after, before) for before, after in sides):
            return None
        return cls(*(_constituent_ids(before, after) for before, after in sides))


def extend(
    tokenizer: Tokenizer, settings: TokenizerSettings, source: Iterable[str], target: Iterable[str], seed: int
) -> Tokenizer:
    """Return a tokenizer with `settings.extension.pieces` additional pieces, learned from normalised lines.

    Raises:
        RecipeError: The text yields fewer pieces.
    """
    if settings.extension is None:
        return tokenizer
    texts = [chain(source, target)] if tokenizer.joint else [source, target]
    sides = [
        _extend_vocabulary(vocabulary, lines, settings.extension.pieces, seed)
        for vocabulary, lines in zip((tokenizer.source, tokenizer.target), texts, strict=False)
    ]
    return Tokenizer(tokenizer.normalization, sides[0], sides[-1], tokenizer.factors)


def _extends(new: Vocabulary, old: Vocabulary) -> bool:
    return (
        new.segmenter.model.startswith(old.segmenter.model)
        and new.entries[: len(old)] == old.entries
        and old.tags.items() <= new.tags.items()
    )


def _constituent_ids(old: Vocabulary, new: Vocabulary) -> list[list[int]]:
    """For each new entry, return the old ids of its text if it is a piece, and of all old tags if it is a tag."""
    tags, ids = set(new.tags.values()), range(len(old), len(new))
    of_pieces = iter(old.encode_fragments([new.entries[i] for i in ids if i not in tags]))
    return [list(old.tags.values()) if i in tags else next(of_pieces) for i in ids]


def _extend_vocabulary(vocabulary: Vocabulary, lines: Iterable[str], num_pieces: int, seed: int) -> Vocabulary:
    counts = Counter(word for line in sample_lines(lines, seed) for word in line.split(" ") if word)
    word_counts = {f"{WORD_START}{word}": count for word, count in counts.most_common(_MAX_WORDS)}
    pieces = vocabulary.segmenter.learn_pieces(word_counts, num_pieces)
    if len(pieces) < num_pieces:
        raise RecipeError(
            f"tokenizer.extension.pieces: is too large for this text, which allows {len(pieces)} more subwords at most"
            + (f"; set it to {len(pieces)} or less" if pieces else "; leave out tokenizer.extension")
        )
    return vocabulary.with_pieces(pieces)
