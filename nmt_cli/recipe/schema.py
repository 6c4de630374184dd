"""A whole recipe: every setting, its type and its only default."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.data import Data, TokenizerSettings
from nmt_cli.recipe.decoding import BeamSettings, Decoding
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.model import ModelSettings
from nmt_cli.recipe.section import CrossFieldError, File, Section
from nmt_cli.recipe.training import Training


class Recipe(Section):
    """Everything that makes a model: read by all four commands."""

    run: File
    """The run directory: checkpoints, journal, model and scores go there."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Of weights, dropout and the order of the data."""
    data: Data
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings
    """What scores translations."""
    training: Training = Training()
    decoding: Decoding = BeamSettings()
    """How translations are found."""
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def check_tying(self) -> Self:
        learns = self.tokenizer.take_from is None  # another model's tokenizer is not known yet
        if learns and self.model.tied_embeddings == "all" and not self.tokenizer.joint:
            raise ValueError("model.tied_embeddings: all needs tokenizer.joint; use decoder, or a joint vocabulary")
        return self

    @model_validator(mode="after")
    def check_sharding(self) -> Self:
        if self.training.parallel.type == "fsdp" and getattr(self.model, "layer_drop", False):
            raise ValueError("model.layer_drop: does not go with training.parallel.type fsdp, whose ranks keep in step")
        return self

    @model_validator(mode="after")
    def check_alignment(self) -> Self:
        if self.training.guided_alignment is not None and getattr(self.model, "attention", "") == "none":
            raise ValueError("training.guided_alignment: needs an attention, but model.attention is none")
        if self.training.guided_alignment is not None and not any(
            getattr(corpus, "alignment", None) for corpus in self.data.train.values()
        ):
            raise ValueError("training.guided_alignment: needs data.train.NAME.alignment, which no corpus has")
        return self

    @model_validator(mode="after")
    def check_stages(self) -> Self:
        for number, stage in enumerate(self.training.mixing.stages):
            for name in stage.shares:
                if name not in self.data.train:
                    key = ("training", "mixing", "stages", number, "shares", name)
                    raise CrossFieldError(key, f"is no corpus of data.train, which has {', '.join(self.data.train)}")
        return self

    @model_validator(mode="after")
    def check_sampling(self) -> Self:
        settings = self.tokenizer
        cuts_one_way = settings.take_from is None and settings.algorithm not in ("unigram", "bpe")
        if self.training.subword_sampling is not None and cuts_one_way:
            only = f"{settings.algorithm} cuts text in one way only"
            raise ValueError(f"training.subword_sampling: needs tokenizer.algorithm unigram or bpe; {only}")
        return self

    @model_validator(mode="after")
    def check_factors(self) -> Self:
        for key in ("subword_sampling", "augmentation"):
            if self.data.factors and getattr(self.training, key) is not None:
                reason = "which come with the words as they are in the prepared data"
                raise CrossFieldError(("training", key), f"does not go with data.factors, {reason}")
        return self

    @model_validator(mode="after")
    def check_symbols(self) -> Self:
        tags = {f"<{tag}>" for tag in [*self.data.own_tags, *(corpus.tag for corpus in self.data.train.values())]}
        for number, symbol in enumerate(self.tokenizer.symbols):
            if symbol in tags:
                key = ("tokenizer", "symbols", number)
                raise CrossFieldError(key, f"{symbol} is a reserved tag; use another name")
        return self
