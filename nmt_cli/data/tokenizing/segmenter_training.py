"""SentencePiece learns its subwords from text that is already normalised."""

import io
import random
import re
from collections.abc import Iterable

import sentencepiece

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.data import TokenizerSettings

MOST_SENTENCES = 2_000_000
"""More teach nothing new; a random sample of this many is learned from."""

_LONGEST = 1000
"""Characters. Of a longer line the beginning is learned from, so that no freak line outweighs all others."""

_THREADS = 16
"""Always the same number, on any machine: the sums of unigram training depend on it in the last digit."""


def train_segmenter(settings: TokenizerSettings, pieces: int, lines: Iterable[str], seed: int) -> bytes:
    """A serialised SentencePiece model of `pieces` pieces, the unknown one included; same input, same bytes."""
    sentences = _sample(lines, seed)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=settings.algorithm,
            vocab_size=pieces,
            byte_fallback=settings.byte_fallback,
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
        raise _explained(str(error), settings.vocabulary_size - pieces) from error
    return model.getvalue()


def _sample(lines: Iterable[str], seed: int) -> list[str]:
    """All lines or, where there are too many, a random sample that each enters with equal chance (Vitter 1985)."""
    generator = random.Random(seed)
    kept: list[str] = []
    for number, line in enumerate(lines):
        if number < MOST_SENTENCES:
            kept.append(line[:_LONGEST])
        elif (place := int(generator.random() * (number + 1))) < MOST_SENTENCES:
            kept[place] = line[:_LONGEST]
    return kept


def _coverage(settings: TokenizerSettings, sentences: list[str]) -> float:
    """Share of the running characters that get a piece: the rarest are spelt as bytes, or there are too many."""
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
        needed = int(smallest[1]) + special_tokens
        return RecipeError(
            f"tokenizer.vocabulary_size: is too small for this text, whose characters alone need {needed}; "
            f"set it to {needed} or more"
        )
    return RecipeError(f"tokenizer: SentencePiece cannot learn subwords from this text: {message}")
