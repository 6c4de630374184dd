"""SentencePiece learns its subwords from text that is already normalised."""

import io
import random
import re
from array import array
from collections.abc import Iterable

import sentencepiece

from nmt_cli.data.tokenizing.model_file import Entry, more_entries, read_model
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.normalization import NORMALIZATIONS

MOST_CHARACTERS = 50_000_000
"""A random sample of so many is learned from. With it, unigram learning stays below 1.2 GiB of memory."""

_LONGEST = 1000
"""Characters. Of a longer line the beginning is learned from, so that no freak line outweighs all others."""

_THREADS = 16
"""Always the same number, on any machine: the sums of unigram training depend on it in the last digit."""


_TYPES = {"unigram": "unigram", "bpe": "bpe", "character": "char", "byte": "char", "word": "word"}
"""SentencePiece's names. Bytes are characters of which none but the space is a piece."""

_BYTES = 256
_SPACE = "▁"


def train_segmenter(settings: TokenizerSettings, pieces: int, lines: Iterable[str], seed: int) -> bytes:
    """A serialised SentencePiece model of `pieces` pieces, the unknown one included; same input, same bytes.

    Characters and words are as many as the text has, if that is less; bytes are always the same.
    """
    special, symbols = settings.vocabulary_size - pieces, _symbols(settings)
    if settings.algorithm == "byte":
        sentences, pieces = [" "], 2 + _BYTES + len(symbols)
    else:
        sentences = sample(lines, seed)
    if settings.algorithm == "word":
        pieces -= 1  # the space, which is no word
    if settings.algorithm in ("character", "word"):
        needed = 2 + len(symbols) + (_BYTES if settings.byte_fallback else 0)
        if pieces < needed:
            raise _too_small(settings.vocabulary_size - pieces + needed)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=_TYPES[settings.algorithm],
            vocab_size=pieces,
            hard_vocab_limit=settings.algorithm not in ("character", "word"),
            byte_fallback=settings.byte_fallback,
            user_defined_symbols=symbols,
            character_coverage=_coverage(settings, sentences),
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=4 * _LONGEST,  # in bytes; longer ones would be left out without a word
            unk_id=0,
            unk_surface="⁇",
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            num_threads=_THREADS,
            minloglevel=3,
        )
    except RuntimeError as error:
        raise _explained(str(error), special) from error
    return _with_space(model.getvalue())


def sample(lines: Iterable[str], seed: int) -> list[str]:
    """All lines or, where they are too long together, a random part of them; the chance is the same for each line."""
    generator, chance, characters = random.Random(seed), 1.0, 0
    kept, drawn = list[str](), array("d")
    for line in lines:
        number = generator.random()
        if number < chance:
            kept.append(line[:_LONGEST])
            drawn.append(number)
            characters += len(kept[-1])
        while characters > MOST_CHARACTERS:
            chance *= 0.9
            kept = [line for line, number in zip(kept, drawn, strict=True) if number < chance]
            drawn = array("d", (number for number in drawn if number < chance))
            characters = sum(map(len, kept))
    return kept


def _symbols(settings: TokenizerSettings) -> list[str]:
    """The recipe's symbols as normalised text has them; RecipeError if it never has one, or if it is no piece."""
    normalize = NORMALIZATIONS[settings.normalization]
    symbols = list(dict.fromkeys(map(normalize, settings.symbols)))
    if symbols and settings.algorithm == "word":
        raise RecipeError("tokenizer.symbols: are of no use to the algorithm word, which cuts at spaces only")
    for symbol in symbols:
        if not symbol or " " in symbol:
            raise RecipeError(
                f"tokenizer.symbols: {' '.join(settings.symbols)}: one of them is {symbol!r} once it is normalised, and"
                " must be characters without a space"
            )
        if symbol == "<unk>" or re.fullmatch("<0x[0-9A-F]{2}>", symbol):
            raise RecipeError(f"tokenizer.symbols: {symbol} is what SentencePiece calls a piece of its own")
    return symbols


def _with_space(segmenter: bytes) -> bytes:
    """A model that has the space among its pieces."""
    entries = read_model(segmenter).entries
    if any(entry.text == _SPACE for entry in entries):
        return segmenter
    return segmenter + more_entries([Entry(_SPACE, min(entry.score for entry in entries) - 1)])


def _coverage(settings: TokenizerSettings, sentences: list[str]) -> float:
    """Share of the running characters that get a piece: the rarest are spelt as bytes, or there are too many."""
    if settings.algorithm not in ("unigram", "bpe"):
        return 1.0
    if settings.byte_fallback:
        return 0.9995
    alphabet: set[str] = set()
    for sentence in sentences:
        alphabet.update(sentence)
    return 1.0 if len(alphabet) <= settings.vocabulary_size // 4 else 0.9995


def _explained(message: str, special_tokens: int) -> RecipeError:
    """What SentencePiece complains about, in terms of the recipe."""
    if largest := re.search(r"value <= (\d+)", message):
        possible = int(largest[1]) + special_tokens
        return RecipeError(
            f"tokenizer.vocabulary_size: is too large for this text, from which {possible} subwords at most "
            f"can be made; set it to {possible} or less"
        )
    if smallest := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return _too_small(int(smallest[1]) + special_tokens)
    return RecipeError(f"tokenizer: SentencePiece cannot learn subwords from this text: {message}")


def _too_small(needed: int) -> RecipeError:
    return RecipeError(
        f"tokenizer.vocabulary_size: is too small for this text, whose characters alone need {needed}; "
        f"set it to {needed} or more"
    )
