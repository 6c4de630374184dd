"""The tokenizer to look at text with, and how much of a text it knows."""

from collections import Counter
from dataclasses import dataclass
from itertools import chain

from nmt_cli.data.checking.finding import Finding, share
from nmt_cli.data.checking.sampling import Sample, some
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.data.tokenizing.tags import tags_of
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import NmtError, RecipeError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.normalization import NORMALIZATIONS

_PAIRS = 10_000
"""To learn from: some seconds."""
_SEED = 1
_FEWEST = 500
"""Subwords for which a sample should be enough."""
_LINES = 2000
_MANY_BYTES, _MANY_UNKNOWN = 0.02, 0.002
"""Shares of the tokens. Each character that is spelt makes one to four bytes, each of them hard to learn."""
_NAMED = 6
"""Characters that are named as examples."""


@dataclass(frozen=True)
class Found:
    """A tokenizer, if there is any, and what is to be said of it."""

    tokenizer: Tokenizer | None
    origin: str
    """Where it is from, in words; empty if there is none."""
    findings: list[Finding]


def find_tokenizer(recipe: Recipe, train: list[Sample]) -> Found:
    """The tokenizer of the recipe's prepared folder, if it is as the recipe says; else one learned from samples.

    It is not looked for where the recipe takes one over: the caller has that.
    """
    if (prepared := _prepared(recipe)) is not None:
        return Found(prepared, f"the tokenizer of {recipe.data.prepared}", [])
    corpora = [corpus.sides for corpus in train]
    each = max(1, _PAIRS // max(1, len(corpora)))
    sides = [list(chain.from_iterable(some(corpus[side], each) for corpus in corpora)) for side in ("source", "target")]
    whole = all(corpus.is_whole and len(corpus.pairs) <= each for corpus in train)
    if not any(sides):
        return Found(None, "", [])
    normalize = NORMALIZATIONS[recipe.tokenizer.normalization]
    sources, targets = ([normalize(line) for line in side] for side in sides)
    settings = recipe.tokenizer
    while True:
        try:
            tokenizer = Tokenizer.train(settings, sources, targets, _SEED, tags_of(recipe.data))
        except RecipeError as error:
            if whole or settings.vocabulary_size < _FEWEST:
                where, _, what = str(error).partition(": ")
                return Found(None, "", [Finding("error" if whole else "fact", "vocabulary", where, what)])
            # A sample has fewer words than its corpus.
            settings = settings.model_copy(update={"vocabulary_size": settings.vocabulary_size // 2})
        else:
            break
    return Found(tokenizer, f"{settings.vocabulary_size:,} subwords learned quickly from a sample", [])


def _prepared(recipe: Recipe) -> Tokenizer | None:
    folder = recipe.data.prepared / "tokenizer"
    if not Tokenizer.is_saved_in(folder):
        return None
    try:
        found = Tokenizer.load(folder)
    except NmtError:
        return None
    wanted = recipe.tokenizer
    fits = found.normalization == wanted.normalization and found.joint == wanted.joint
    return found if fits and max(found.source_size, found.target_size) == wanted.vocabulary_size else None


def coverage(corpus: Sample, tokenizer: Tokenizer) -> list[Finding]:
    """Finds a side of which much is unknown or spelt in bytes."""
    findings = []
    for side, code in zip(("source", "target"), corpus.languages, strict=True):
        vocabulary: Vocabulary = getattr(tokenizer, side)
        lines = [tokenizer.normalize(line) for line in some(corpus.sides[side], _LINES)]
        findings += _judge(corpus.name, f"{side} ({code})", vocabulary, lines, tokenizer.special_tokens.unk)
    return findings


def _judge(name: str, side: str, vocabulary: Vocabulary, lines: list[str], unknown: int) -> list[Finding]:
    tokens = Counter(token for row in vocabulary.encode(lines) for token in row)
    byte_ids = vocabulary.byte_values()
    if not tokens or not any(letter.isalpha() for text in vocabulary.ids_by_text(PieceKind.NORMAL) for letter in text):
        return []  # nothing to see, or a tokenizer of bytes alone
    lost, spelt = tokens[unknown], sum(tokens[token] for token in byte_ids)
    if lost > _MANY_UNKNOWN * tokens.total():
        what = f"{share(lost, tokens.total())} of the {side} tokens are unknown{_examples(vocabulary, lines)}"
        advice = "set tokenizer.byte_fallback: true, or learn subwords from text that has these characters"
        return [Finding("warning", "coverage", name, what, advice)]
    if spelt > _MANY_BYTES * tokens.total():
        what = f"{share(spelt, tokens.total())} of the {side} tokens are single bytes{_examples(vocabulary, lines)}"
        advice = "learn subwords from text that has these characters; is this the language that the model learns?"
        return [Finding("warning", "coverage", name, what, advice)]
    return []


def _examples(vocabulary: Vocabulary, lines: list[str]) -> str:
    """The most frequent characters that are in no piece."""
    known = {letter for text in vocabulary.ids_by_text(PieceKind.NORMAL) for letter in text}
    strange = Counter(letter for line in lines for letter in line if letter not in known and letter != " ")
    named = " ".join(letter for letter, _ in strange.most_common(_NAMED) if letter.isprintable())
    return f", such as {named}" if named else ""
