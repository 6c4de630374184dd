"""The section `tokenizer`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.section import NO_SPACES, RESERVED_TOKEN, Count, CrossFieldError, File, Section

Symbol = Annotated[str, Field(pattern=NO_SPACES)]


class Extension(Section):
    """More subwords for a tokenizer that is taken over, so that its model can learn a new language or domain."""

    pieces: Count
    """How many; they are learned from this recipe's text, and stand behind those there are."""


class MoreText(Section):
    """Text without translation to learn subwords from, besides the training corpora; plain or packed."""

    source: list[File] = []
    """Files in the source language."""
    target: list[File] = []
    """Files in the target language."""


class TokenizerSettings(Section):
    """How text becomes subwords."""

    take_from: File | None = None
    """Run, checkpoint, model or tokenizer folder, or SentencePiece model, used as it is; the keys below then say
    nothing, except `extension`."""
    extension: Extension | None = None
    normalization: Literal["nfkc", "quotes", "punctuation", "none"] = "nfkc"
    """What is done to text first: Unicode NFKC and single spaces; that, and plain quotes, dashes and spaces; that, and
    punctuation as Moses normalises it; or nothing."""
    algorithm: Literal["unigram", "bpe", "character", "byte", "word"] = "unigram"
    """How subwords are found, by SentencePiece; or what they are."""
    vocabulary_size: Annotated[int, Field(ge=8, le=1_000_000)] = 8000
    """Subwords, the special tokens included; of each side, or of both together if joint. `byte` has no need of it."""
    joint: bool = True
    """One vocabulary for both languages."""
    byte_fallback: bool = True
    """Spell characters never seen in training as bytes, so that nothing is unknown."""
    symbols: list[Symbol] = []
    """Pieces that are never cut, such as `<br>`, wherever text has them; but unigram may cut one of common letters."""
    more_text: MoreText = MoreText()

    @model_validator(mode="after")
    def check_extension(self) -> Self:
        if self.extension is not None and self.take_from is None:
            raise ValueError("extension: needs take_from, the tokenizer that it extends")
        return self

    @model_validator(mode="after")
    def check_bytes(self) -> Self:
        if self.take_from is None and self.algorithm == "byte" and not self.byte_fallback:
            raise ValueError("byte_fallback: must be true, as algorithm is byte: there are no other subwords")
        return self

    @model_validator(mode="after")
    def check_symbols(self) -> Self:
        for number, symbol in enumerate(self.symbols):
            if RESERVED_TOKEN.fullmatch(symbol):
                raise CrossFieldError(("symbols", number), f"{symbol} is reserved by the tokenizer; use another name")
            if symbol in self.symbols[:number]:
                raise CrossFieldError(("symbols", number), f"{symbol} is in the list twice")
        return self
