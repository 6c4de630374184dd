"""SentencePiece learns pieces from text that is already normalised."""

import io
import random
import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import sentencepiece

from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece
from nmt_cli.data.tokenizing.sentencepiece_model import read_model, serialize_pieces
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.normalization import NORMALIZATIONS

MAX_CHARACTERS = 50_000_000
"""Size of the random sample to learn from. Unigram training then needs less than 1.2 GiB of memory."""

_MAX_LINE_LENGTH = 1000
"""In characters. Longer lines are truncated, so that no single line outweighs all others."""

_THREADS = 16
"""Constant on all machines: the last digits of the sums in unigram training depend on it."""

_NUM_BYTES = 256

ModelType = Literal["unigram", "bpe", "char", "word"]


@dataclass(frozen=True)
class TrainingPlan:
    """What SentencePiece is asked for."""

    model_type: ModelType
    sentences: list[str]
    symbols: list[str]
    """User-defined, normalised."""
    num_pieces: int
    """The unknown piece included."""
    is_limit: bool = False
    """Whether fewer pieces are fine, if the text has no more. Otherwise exactly `num_pieces` are made."""
    covers_all: bool = False
    """Whether each character gets a piece."""


def train_sentencepiece(settings: TokenizerSettings, plan: TrainingPlan) -> bytes:
    """Return a serialised SentencePiece model, which has ▁ as a piece. RecipeError if the plan is impossible."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(plan.sentences),
            model_writer=model,
            model_type=plan.model_type,
            vocab_size=plan.num_pieces,
            hard_vocab_limit=not plan.is_limit,
            byte_fallback=settings.byte_fallback,
            user_defined_symbols=plan.symbols,
            character_coverage=1.0 if plan.covers_all else _character_coverage(settings, plan.sentences),
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=4 * _MAX_LINE_LENGTH,  # in bytes; longer ones would be skipped silently
            unk_id=0,
            unk_surface="⁇",
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=_THREADS,
            minloglevel=3,
        )
    except RuntimeError as error:
        raise _recipe_error(str(error), settings.vocabulary_size - plan.num_pieces) from error
    return _with_space(model.getvalue())


def check_size(settings: TokenizerSettings, plan: TrainingPlan) -> None:
    """Raise RecipeError if a vocabulary of characters or words is too small for the pieces that are always there."""
    needed = 2 + len(plan.symbols) + (_NUM_BYTES if settings.byte_fallback else 0)
    if plan.num_pieces < needed:
        raise _too_small(settings.vocabulary_size - plan.num_pieces + needed)


def sample_lines(lines: Iterable[str], seed: int) -> list[str]:
    """Return all lines, or a random sample with MAX_CHARACTERS at most; each line is equally probable."""
    rng, probability, num_characters = random.Random(seed), 1.0, 0
    kept, draws = list[str](), array("d")
    for line in lines:
        draw = rng.random()
        if draw < probability:
            kept.append(line[:_MAX_LINE_LENGTH])
            draws.append(draw)
            num_characters += len(kept[-1])
        while num_characters > MAX_CHARACTERS:
            probability *= 0.9
            kept = [line for line, draw in zip(kept, draws, strict=True) if draw < probability]
            draws = array("d", (draw for draw in draws if draw < probability))
            num_characters = sum(map(len, kept))
    return kept


def normalized_symbols(settings: TokenizerSettings) -> list[str]:
    """Return the recipe's symbols, normalised; RecipeError if one cannot occur in normalised text or is reserved."""
    normalize = NORMALIZATIONS[settings.normalization]
    symbols = list(dict.fromkeys(map(normalize, settings.symbols)))
    for symbol in symbols:
        if not symbol or " " in symbol:
            raise RecipeError(
                f"tokenizer.symbols: {' '.join(settings.symbols)}: a symbol becomes {symbol!r} when it is normalised;"
                " it must be characters without a space"
            )
        if symbol == "<unk>" or re.fullmatch("<0x[0-9A-F]{2}>", symbol):
            raise RecipeError(f"tokenizer.symbols: {symbol} is reserved by SentencePiece")
    return symbols


def _with_space(model: bytes) -> bytes:
    pieces = read_model(model).pieces
    if any(piece.text == WORD_START for piece in pieces):
        return model
    return model + serialize_pieces([Piece(WORD_START, min(piece.score for piece in pieces) - 1)])


def _character_coverage(settings: TokenizerSettings, sentences: list[str]) -> float:
    """Return the fraction of the running characters that get a piece.

    The rarest characters are left to byte fallback, or left out if there are too many.
    """
    if settings.byte_fallback:
        return 0.9995
    alphabet: set[str] = set()
    for sentence in sentences:
        alphabet.update(sentence)
    return 1.0 if len(alphabet) <= settings.vocabulary_size // 4 else 0.9995


def _recipe_error(message: str, num_special: int) -> RecipeError:
    """Return an error of SentencePiece in terms of the recipe."""
    if largest := re.search(r"value <= (\d+)", message):
        possible = int(largest[1]) + num_special
        return RecipeError(
            f"tokenizer.vocabulary_size: is too large for this text, which allows {possible} subwords at most; "
            f"set it to {possible} or less"
        )
    if smallest := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return _too_small(int(smallest[1]) + num_special)
    return RecipeError(f"tokenizer: SentencePiece cannot learn subwords from this text: {message}")


def _too_small(needed: int) -> RecipeError:
    return RecipeError(
        f"tokenizer.vocabulary_size: is too small for this text, whose characters alone need {needed}; "
        f"set it to {needed} or more"
    )
