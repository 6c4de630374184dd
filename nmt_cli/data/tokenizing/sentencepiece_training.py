"""Train SentencePiece models on normalised text."""

import io
import random
import re
from array import array
from collections.abc import Iterable
from typing import Literal

import sentencepiece

from nmt_cli.data.tokenizing.sentencepiece_model import add_word_start_piece
from nmt_cli.errors import RecipeError, VocabularySizeError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.normalization import NORMALIZATIONS

MAX_CHARACTERS = 50_000_000
"""Maximum size of the training sample. With it, unigram training needs less than 1.2 GiB of memory."""

CHARACTER_COVERAGE = 0.9995
"""Fraction of the characters of a text, counted with repetition, that get a piece if bytes stand for the others."""

_MAX_LINE_LENGTH = 1000
"""In characters. Longer lines are truncated, so that no single line outweighs all others."""

_THREADS = 16
"""Constant on all machines: the last digits of the sums in unigram training depend on it."""

_NUM_BYTES = 256

ModelType = Literal["unigram", "bpe", "char", "word"]


def train_sentencepiece(
    settings: TokenizerSettings,
    model_type: ModelType,
    num_pieces: int,
    sentences: list[str],
    *,
    allow_fewer: bool = False,
    covers_all: bool = False,
) -> bytes:
    """Train a SentencePiece model that has ▁ as a piece, and return it serialised.

    Args:
        num_pieces: Number of pieces, including the unknown piece.
        allow_fewer: Whether the model may have fewer pieces if the text does not yield `num_pieces`.
        covers_all: Whether each character gets a piece.

    Raises:
        RecipeError: The text or the settings do not allow so many or so few pieces.
    """
    symbols, num_special = normalized_symbols(settings), settings.vocabulary_size - num_pieces
    needed = 2 + len(symbols) + (_NUM_BYTES if settings.byte_fallback else 0)
    if allow_fewer and num_pieces < needed:
        raise _too_small(num_special + needed)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=model_type,
            vocab_size=num_pieces,
            hard_vocab_limit=not allow_fewer,
            byte_fallback=settings.byte_fallback,
            user_defined_symbols=symbols,
            character_coverage=1.0 if covers_all else _character_coverage(settings, sentences),
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
        raise _recipe_error(str(error), num_special) from error
    return add_word_start_piece(model.getvalue())


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


def _character_coverage(settings: TokenizerSettings, sentences: list[str]) -> float:
    """Return the fraction of the characters of the text, counted with repetition, that get a piece.

    The rarest characters are left to byte fallback. Without it, they become unknown if the alphabet is large.
    """
    if settings.byte_fallback:
        return CHARACTER_COVERAGE
    alphabet = set[str]().union(*sentences)
    return 1.0 if len(alphabet) <= settings.vocabulary_size // 4 else CHARACTER_COVERAGE


def _recipe_error(message: str, num_special: int) -> RecipeError:
    """Convert an error message of SentencePiece to a RecipeError that names the setting to change."""
    if largest := re.search(r"value <= (\d+)", message):
        possible = int(largest[1]) + num_special
        message = f"is too large for this text, which allows {possible} subwords at most; set it to {possible} or less"
        return VocabularySizeError(f"tokenizer.vocabulary_size: {message}", possible)
    if smallest := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return _too_small(int(smallest[1]) + num_special)
    return RecipeError(f"tokenizer: SentencePiece cannot learn subwords from this text: {message}")


def _too_small(needed: int) -> VocabularySizeError:
    message = f"is too small for this text, whose characters alone need {needed}; set it to {needed} or more"
    return VocabularySizeError(f"tokenizer.vocabulary_size: {message}", needed)
