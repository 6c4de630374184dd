"""The tokenizer with which the text is checked, and the fraction of the text that it does not know."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from nmt_cli.data.arrays import evenly_spaced
from nmt_cli.data.checking import DataFinding, percentage
from nmt_cli.data.checking.sampling import CorpusSample
from nmt_cli.data.preparation.tokenizer_training import adapted_max_length, adapted_vocabulary_sizes, train_adapted
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import PieceKind
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import NmtError, RecipeError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.checks.scripts import script_of
from nmt_cli.text.normalization import NORMALIZATIONS

_MAX_PAIRS = 10_000
"""Pairs to train a tokenizer on, which takes some seconds."""
_SEED = 1
_MAX_LINES = 2000
_MAX_BYTES, _MAX_UNKNOWN = 0.02, 0.002
"""Fractions of the tokens. Each character in bytes takes one to four tokens, which are hard to learn."""
_SAMPLE_FACTOR = 2.5
"""A tokenizer trained on a sample may lack so many times as many characters as the one that is trained on all text: in
28,000 pairs of English and Chinese, 3.5 % of the tokens were bytes with the former and 1.7 % with the latter."""
_MAX_QUOTED = 6
"""Characters quoted as examples."""


@dataclass(frozen=True)
class CheckTokenizer:
    """The tokenizer with which the text is checked, and the settings that follow from the text."""

    tokenizer: Tokenizer | None
    """None if none could be trained."""
    origin: str
    """Where it is from, for messages; empty if there is none."""
    is_of_sample: bool
    """Whether it was trained on a part of the text."""
    vocabulary_size: int
    """That suits the text."""
    max_length: int
    """In tokens; that of the recipe if it gives one."""
    findings: list[DataFinding]


def find_tokenizer(recipe: Recipe, train: list[CorpusSample], pretrained: Tokenizer | None) -> CheckTokenizer:
    """Return the pretrained tokenizer, or that of the prepared folder if it matches, or else train one on samples."""
    max_pairs = max(1, _MAX_PAIRS // max(1, len(train)))
    normalize = NORMALIZATIONS[pretrained.normalization if pretrained else recipe.tokenizer.normalization]
    pairs = [
        (normalize(source), normalize(target))
        for corpus in train
        for source, target in evenly_spaced(corpus.pairs, max_pairs)
    ]
    if not pairs:
        return CheckTokenizer(pretrained, "", False, recipe.tokenizer.vocabulary_size, recipe.data.max_length, [])

    def texts() -> Sequence[Iterable[str]]:
        return [map(itemgetter(side), pairs) for side in (0, 1)]

    scale = sum(corpus.num_pairs for corpus in train) / len(pairs)
    size, findings = max(adapted_vocabulary_sizes(recipe, texts, scale)), list[DataFinding]()
    is_of_sample = False
    if pretrained is not None:
        tokenizer, origin = pretrained, f"the tokenizer of {recipe.tokenizer.path}"
    elif (prepared := _prepared_tokenizer(recipe)) is not None:
        tokenizer, origin = prepared, f"the tokenizer of {recipe.data.prepared}"
    else:
        try:
            is_of_sample = scale > 1
            tokenizer = train_adapted(recipe, texts, _SEED, scale, is_of_sample)
        except RecipeError as error:
            where, _, message = str(error).partition(": ")
            findings.append(DataFinding("error" if scale == 1 else "fact", "vocabulary", where, message))
            return CheckTokenizer(None, "", False, size, recipe.data.max_length, findings)
        origin = f"{max(tokenizer.source_size, tokenizer.target_size):,} subwords trained on a sample"
    return CheckTokenizer(tokenizer, origin, is_of_sample, size, adapted_max_length(recipe, tokenizer, pairs), findings)


def _prepared_tokenizer(recipe: Recipe) -> Tokenizer | None:
    folder = recipe.data.prepared / "tokenizer"
    if not Tokenizer.is_saved_in(folder):
        return None
    try:
        found = Tokenizer.load(folder)
    except NmtError:
        return None
    wanted = recipe.tokenizer
    is_of_size = max(found.source_size, found.target_size) == wanted.vocabulary_size
    matches = found.normalization == wanted.normalization and found.joint == wanted.joint
    return found if matches and (is_of_size or not recipe.gives("tokenizer.vocabulary_size")) else None


def check_coverage(
    corpus: CorpusSample, tokenizer: Tokenizer, is_of_sample: bool = False, copies: bool = False
) -> list[DataFinding]:
    """Check the fraction of unknown and byte-fallback tokens on each side.

    Args:
        is_of_sample: Whether the tokenizer was trained on a part of the text.
        copies: Whether the model copies unknown words, so that they may be many.
    """
    findings, factor = list[DataFinding](), _SAMPLE_FACTOR if is_of_sample else 1.0
    for side, code in zip(("source", "target"), corpus.languages, strict=True):
        vocabulary: Vocabulary = getattr(tokenizer, side)
        lines = [tokenizer.normalize(line) for line in evenly_spaced(corpus.sides[side], _MAX_LINES)]
        unk = tokenizer.special_tokens.unk
        findings += _check_side(corpus.name, f"{side} ({code})", vocabulary, lines, None if copies else unk, factor)
    return findings


def _check_side(
    name: str, side: str, vocabulary: Vocabulary, lines: list[str], unk: int | None, factor: float
) -> list[DataFinding]:
    tokens = _count_tokens(vocabulary, lines)
    if not tokens or not any(letter.isalpha() for letter in _known_characters(vocabulary)):
        return []  # no text, or a tokenizer of bytes only
    num_unknown, num_bytes = 0 if unk is None else tokens[unk], _num_bytes(vocabulary, tokens)
    unknown = _unknown_characters(vocabulary, lines)
    quoted = " ".join(letter for letter in unknown[:_MAX_QUOTED] if letter.isprintable())
    examples = f", such as {quoted}" if quoted else ""
    if num_unknown > factor * _MAX_UNKNOWN * tokens.total():
        message = f"{percentage(num_unknown, tokens.total())} of the {side} tokens are unknown{examples}"
        advice = "set tokenizer.byte_fallback: true, or train the tokenizer on text with these characters"
    elif num_bytes > factor * _MAX_BYTES * tokens.total():
        message = f"{percentage(num_bytes, tokens.total())} of the {side} tokens are single bytes{examples}"
        advice = "train the tokenizer on text with these characters"
        composed = _count_tokens(vocabulary, [unicodedata.normalize("NFC", line) for line in lines])
        if 2 * _num_bytes(vocabulary, composed) < num_bytes:
            advice = "set tokenizer.normalization: nfc, because here letters and their marks are separate characters"
        elif not {script_of(letter) for letter in unknown[:1]} <= set(map(script_of, _known_characters(vocabulary))):
            advice += "; is this the right language?"
    else:
        return []
    return [DataFinding("warning", "coverage", name, message, advice)]


def _count_tokens(vocabulary: Vocabulary, lines: list[str]) -> Counter[int]:
    return Counter(token for row in vocabulary.encode(lines) for token in row)


def _num_bytes(vocabulary: Vocabulary, tokens: Counter[int]) -> int:
    """Return how many of the tokens are byte-fallback tokens."""
    return sum(tokens[token] for token in vocabulary.byte_values())


def _known_characters(vocabulary: Vocabulary) -> set[str]:
    return {letter for text in vocabulary.ids_by_text(PieceKind.NORMAL) for letter in text}


def _unknown_characters(vocabulary: Vocabulary, lines: list[str]) -> list[str]:
    """Return the characters that are in no piece, the most frequent first."""
    known = _known_characters(vocabulary)
    counts = Counter(letter for line in lines for letter in line if letter not in known and letter != " ")
    return [letter for letter, _ in counts.most_common()]
