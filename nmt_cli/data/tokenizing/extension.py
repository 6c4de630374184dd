"""Add subwords to an existing tokenizer for a new language or domain. Existing ids do not change."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind
from nmt_cli.data.tokenizing.sentencepiece_training import sample_lines
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings

_MAX_WORDS = 500_000
"""Number of distinct words to learn from, most frequent first. Rarer words would not add a piece."""

NO_LANGUAGES: Mapping[str, str] = {}


@dataclass(frozen=True)
class VocabularyExtension:
    """For each new entry of a side, the old ids to initialise its embedding from."""

    source: list[list[int]]
    target: list[list[int]]

    @classmethod
    def between(
        cls, old: Tokenizer, new: Tokenizer, languages: Mapping[str, str] = NO_LANGUAGES
    ) -> "VocabularyExtension | None":
        """Return the entries that `new` adds to `old`; None if `new` does not extend `old`.

        Args:
            languages: For each new language token, the old one whose embedding initialises it.
        """
        common = [(each.normalization, each.joint, each.factors, each.special_tokens) for each in (old, new)]
        sides = [(old.source, new.source), (old.target, new.target)]
        if common[0] != common[1] or not all(_extends(after, before) for before, after in sides):
            return None
        return cls(*(_constituent_ids(before, after, languages) for before, after in sides))


def extend(
    tokenizer: Tokenizer, settings: TokenizerSettings, source: Iterable[str], target: Iterable[str], seed: int
) -> Tokenizer:
    """Return a tokenizer with `settings.extension.pieces` additional pieces, learned from normalised lines.

    Raises:
        RecipeError: The text yields fewer pieces.
    """
    if settings.extension is None or settings.extension.pieces is None:
        return tokenizer
    texts = [chain(source, target)] if tokenizer.joint else [source, target]
    vocabularies = [tokenizer.source, tokenizer.target]
    pieces = [
        _learn_pieces(vocabulary, lines, settings.extension.pieces, seed)
        for vocabulary, lines in zip(vocabularies, texts, strict=False)
    ]
    if tokenizer.has_shared_ids and not tokenizer.joint:
        sides = [
            _with_shared_entries(vocabulary, each, pieces)
            for vocabulary, each in zip(vocabularies, pieces, strict=True)
        ]
    else:
        sides = [vocabulary.with_pieces(each) for vocabulary, each in zip(vocabularies, pieces, strict=False)]
    return Tokenizer(tokenizer.normalization, sides[0], sides[-1], tokenizer.factors)


def _with_shared_entries(
    vocabulary: Vocabulary, pieces: Sequence[Piece], pieces_of_both: Sequence[Sequence[Piece]]
) -> Vocabulary:
    """Return a vocabulary with the new entries of both sides, but only the new pieces of this side.

    Text never becomes the pieces of the other side.
    """
    segmenter, known = vocabulary.segmenter, {piece.text for piece in vocabulary.segmenter.pieces}
    texts = dict.fromkeys(piece.text for each in pieces_of_both for piece in each)
    entries = vocabulary.entries + [text for text in texts if text not in set(vocabulary.entries)]
    own = {piece.text: piece for piece in pieces}
    unused = list[Piece]()
    if segmenter.name == "unigram":  # in BPE, unused pieces would change the merges
        unused = [Piece(text, 0.0, PieceKind.UNUSED) for text in texts if text not in own]
    added = [piece for piece in (*own.values(), *unused) if piece.text not in known]
    return Vocabulary(segmenter.with_pieces(added), entries, vocabulary.special_tokens, vocabulary.tags)


def _extends(new: Vocabulary, old: Vocabulary) -> bool:
    return (
        new.segmenter.model.startswith(old.segmenter.model)
        and new.entries[: len(old)] == old.entries
        and old.tags.items() <= new.tags.items()
    )


def _constituent_ids(old: Vocabulary, new: Vocabulary, languages: Mapping[str, str]) -> list[list[int]]:
    """Return the old ids of each new entry: those of the text of a piece, all tags for a tag.

    A new language token has the id of the old language token in `languages`.
    """
    ids, names = range(len(old), len(new)), {i: name for name, i in new.tags.items()}
    ids_of_pieces = iter(old.encode_fragments([new.entries[i] for i in ids if i not in names]))
    found = list[list[int]]()
    for i in ids:
        if i not in names:
            found.append(next(ids_of_pieces))
        elif names[i] in languages:
            found.append([old.tags[languages[names[i]]]])
        else:
            found.append(list(old.tags.values()))
    return found


def _learn_pieces(vocabulary: Vocabulary, lines: Iterable[str], num_pieces: int, seed: int) -> list[Piece]:
    counts = Counter(word for line in sample_lines(lines, seed) for word in line.split(" ") if word)
    word_counts = {f"{WORD_START}{word}": count for word, count in counts.most_common(_MAX_WORDS)}
    pieces = vocabulary.segmenter.learn_pieces(word_counts, num_pieces)
    if len(pieces) < num_pieces:
        raise RecipeError(
            f"tokenizer.extension.pieces: is too large for this text, which allows {len(pieces)} more subwords at most"
            + (f"; set it to {len(pieces)} or less" if pieces else "; leave out tokenizer.extension")
        )
    return pieces
