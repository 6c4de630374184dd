"""The section `tokenizer`."""

from typing import Annotated, Literal

from pydantic import Field

from nmt_cli.recipe.section import NO_SPACES, RESERVED_TOKEN, Conflicts, Count, File, Section

Symbol = Annotated[str, Field(pattern=NO_SPACES)]


class Extension(Section):
    """Additional subwords for a pretrained tokenizer, to fine-tune its model to a new language or domain."""

    pieces: Count
    """Number of subwords; they are learned from this recipe's text and appended to the vocabulary."""


class MonolingualText(Section):
    """Text without translation to learn subwords from, besides the training corpora; plain or compressed."""

    source: list[File] = []
    """Files in the source language."""
    target: list[File] = []
    """Files in the target language."""


class TokenizerSettings(Section):
    """How text is split into subwords."""

    path: File | None = None
    """Use the tokenizer of this run, checkpoint, model or tokenizer folder, or this SentencePiece model, instead of
    training one. Of the keys below, only `extension` then has an effect."""
    extension: Extension | None = None
    normalization: Literal["nfkc", "quotes", "punctuation", "none"] = "nfkc"
    """Normalisation before tokenization. nfkc: Unicode NFKC and single spaces; quotes: also plain quotes, dashes and
    spaces; punctuation: also punctuation as in Moses; none: nothing."""
    algorithm: Literal["unigram", "bpe", "character", "byte", "word"] = "unigram"
    """Kind of subwords; unigram and bpe are trained by SentencePiece."""
    vocabulary_size: Annotated[int, Field(ge=8, le=1_000_000)] = 8000
    """Number of subwords, special tokens included; of each side, or of both sides together if joint. Ignored by
    `byte`."""
    joint: bool = True
    """Use one vocabulary for both languages."""
    byte_fallback: bool = True
    """Spell characters that did not occur in training as bytes, so that nothing is unknown."""
    symbols: list[Symbol] = []
    """Pieces that are never split, such as `<br>`; unigram may still split one of common letters."""
    monolingual: MonolingualText = MonolingualText()

    def conflicts(self) -> Conflicts:
        if self.extension is not None and self.path is None:
            yield "extension", "requires path, the tokenizer to extend"
        if self.path is None and self.algorithm == "byte" and not self.byte_fallback:
            yield "byte_fallback", "must be true for algorithm byte, which has no other subwords"
        for index, symbol in enumerate(self.symbols):
            if RESERVED_TOKEN.fullmatch(symbol):
                yield ("symbols", index), f"{symbol} is reserved by the tokenizer; use another name"
            if symbol in self.symbols[:index]:
                yield ("symbols", index), f"{symbol} occurs twice"
