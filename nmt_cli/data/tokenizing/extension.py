"""More subwords for a tokenizer that a model knows already, for a new language or domain.

What the old segmenter cuts a text into is merged further, as byte-pair encoding does it. So no text is cut into more
pieces than before, and each new piece consists of old ones, from which its embedding can be made.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import sentencepiece

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.merging import Merging
from nmt_cli.data.tokenizing.model_file import Entry, Kind, more_entries, other_habits, read_model
from nmt_cli.data.tokenizing.segmenter_training import sample
from nmt_cli.data.tokenizing.subwords import Subwords
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings

_MOST_WORDS = 500_000
"""Distinct ones; the rarer ones teach nothing that would be learned."""
_LONGEST = 16
"""Characters of a piece, as SentencePiece has it."""
_UNCOVERED = 0.0005
"""Share of the running characters that may stay without a piece."""
_PREFERENCE = 2**-8
"""How much better a unigram piece is than its two parts: enough to be taken, too little to change any other cut."""


@dataclass(frozen=True)
class Growth:
    """What is new in an extended tokenizer; for each new entry of a side, the old entries that it consists of."""

    source: list[list[int]]
    target: list[list[int]]


def extend(
    tokenizer: Tokenizer, settings: TokenizerSettings, source: Iterable[str], target: Iterable[str], seed: int
) -> Tokenizer:
    """A tokenizer with as many more subwords as `settings.extension` says, learned from normalised lines.

    They are put at the end. RecipeError if the text does not give so many.
    """
    if settings.extension is None:
        return tokenizer
    wanted = settings.extension.pieces
    if tokenizer.joint:
        both = _extended(tokenizer.source, chain(source, target), wanted, seed)
        return Tokenizer(tokenizer.normalization, both, both, tokenizer.factors)
    return Tokenizer(
        tokenizer.normalization,
        _extended(tokenizer.source, source, wanted, seed),
        _extended(tokenizer.target, target, wanted, seed),
        tokenizer.factors,
    )


def growth(old: Tokenizer, new: Tokenizer) -> Growth | None:
    """What is new; None if the new tokenizer does not begin with all that the old one has."""
    traits = [(each.normalization, each.joint, each.factors) for each in (old, new)]
    if traits[0] != traits[1]:
        return None
    sides = [(old.source, new.source), (old.target, new.target)]
    if not all(_begins_with(ours, theirs) for theirs, ours in sides):
        return None
    source, target = (_parts(theirs, ours) for theirs, ours in sides)
    return Growth(source, target)


def _begins_with(new: Subwords, old: Subwords) -> bool:
    return (
        new.segmenter.startswith(old.segmenter)
        and new.vocabulary[: len(old.vocabulary)] == old.vocabulary
        and old.tags.items() <= new.tags.items()
    )


def _parts(old: Subwords, new: Subwords) -> list[list[int]]:
    """Of each new entry: a piece consists of what the old side cuts it into, a tag of all old tags."""
    tags = {*new.tags.values()}
    numbers = range(len(old.vocabulary), len(new.vocabulary))
    cut = iter(old.encode_parts([new.vocabulary[number] for number in numbers if number not in tags]))
    return [list(old.tags.values()) if number in tags else next(cut) for number in numbers]


def _extended(side: Subwords, lines: Iterable[str], wanted: int, seed: int) -> Subwords:
    words = Counter(word for line in sample(lines, seed) for word in line.split(" ") if word)
    counted = [(f"▁{word}", count) for word, count in words.most_common(_MOST_WORDS)]
    if side.algorithm == "word":
        entries = _new_words(side, counted, wanted)
    else:
        entries = _new_characters(side, counted, wanted)
        if side.algorithm != "character":
            entries += _merged(side, entries, counted, wanted - len(entries))
    if len(entries) < wanted:
        raise RecipeError(
            f"tokenizer.extension.pieces: is too large for this text, from which {len(entries)} more subwords at most"
            " can be made" + (f"; set it to {len(entries)} or less" if entries else "; leave out tokenizer.extension")
        )
    return side.with_pieces(entries)


def _new_words(side: Subwords, counted: list[tuple[str, int]], wanted: int) -> list[Entry]:
    known, lowest = {piece.text for piece in side.pieces()}, _lowest(side)
    new = [word for word, _ in counted if word not in known]
    return [Entry(word, lowest - 1 - place) for place, word in enumerate(new[:wanted])]


def _new_characters(side: Subwords, counted: list[tuple[str, int]], wanted: int) -> list[Entry]:
    """Frequent characters that no piece holds: the commonest of them, until few are left."""
    known = {piece.text for piece in side.pieces() + side.symbols()}
    running: Counter[str] = Counter()
    for word, count in counted:
        for character in word:
            running[character] += count
    new = sorted((character for character in running if character not in known), key=lambda c: (-running[c], c))
    if side.algorithm != "character":
        left, bearable, most = sum(running[c] for c in new), _UNCOVERED * running.total(), wanted // 2
        needed = []
        for character in new[:most]:
            if left <= bearable:
                break
            needed.append(character)
            left -= running[character]
        new = needed
    lowest, step = _lowest(side), 0 if side.algorithm == "unigram" else 1
    return [Entry(character, lowest - step * place) for place, character in enumerate(new[:wanted], 1)]


def _merged(side: Subwords, before: list[Entry], counted: list[tuple[str, int]], wanted: int) -> list[Entry]:
    """New pieces of letters, each made of two that stand side by side most often once all before it are made."""
    segmenter = side.segmenter + more_entries(before)
    entries = read_model(segmenter).entries
    processor = sentencepiece.SentencePieceProcessor(model_proto=segmenter + other_habits(first_word=False))
    cut = processor.encode([word for word, _ in counted])
    fits = [entry.kind == Kind.NORMAL and _is_letters(entry.text) for entry in entries]
    texts = [entry.text for entry in entries]
    merging = Merging(texts, fits, [(row, count) for row, (_, count) in zip(cut, counted, strict=True)], _LONGEST)
    scores = [entry.score for entry in entries]
    lowest, new = _lowest(side) - len(before), list[Entry]()
    while len(new) < wanted and (made := merging.next()) is not None:
        left, right = made
        score = scores[left] + scores[right] + _PREFERENCE if side.algorithm == "unigram" else lowest - 1 - len(new)
        scores.append(score)
        new.append(Entry(texts[left] + texts[right], score))
    return new


def _lowest(side: Subwords) -> float:
    return min((piece.score for piece in side.pieces()), default=0.0)


def _is_letters(text: str) -> bool:
    """Whether a piece is made of letters, but for the mark of a word before them."""
    return all(map(_is_letter, text.removeprefix("▁")))


@lru_cache(maxsize=1 << 16)
def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"
