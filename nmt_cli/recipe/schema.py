"""The recipe: all settings with their types and defaults."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt_cli.recipe.data import Data, TokenizerSettings
from nmt_cli.recipe.decoding import BeamSettings, Decoding
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.model import ModelSettings
from nmt_cli.recipe.section import CrossFieldError, File, Section
from nmt_cli.recipe.training import Training


class Recipe(Section):
    """Data, model, training, decoding and evaluation of one experiment."""

    run: File
    """Run directory for checkpoints, training log, model and scores."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Random seed for initialisation, dropout and shuffling."""
    data: Data
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings
    """Architecture and size of the model."""
    training: Training = Training()
    decoding: Decoding = BeamSettings()
    """Search strategy and its settings."""
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def check_tying(self) -> Self:
        learns = self.tokenizer.path is None  # an imported tokenizer is not known yet
        if learns and self.model.tied_embeddings == "all" and not self.tokenizer.joint:
            raise ValueError("model.tied_embeddings: all requires tokenizer.joint: true; or use decoder")
        return self

    @model_validator(mode="after")
    def check_sharding(self) -> Self:
        if self.training.parallel.type == "fsdp" and getattr(self.model, "layer_drop", False):
            raise ValueError("model.layer_drop: is not supported with training.parallel.type: fsdp")
        return self

    @model_validator(mode="after")
    def check_alignment(self) -> Self:
        if self.training.guided_alignment is not None and getattr(self.model, "attention", "") == "none":
            raise ValueError("training.guided_alignment: requires attention, but model.attention is none")
        if self.training.guided_alignment is not None and not any(
            getattr(corpus, "alignment", None) for corpus in self.data.train.values()
        ):
            raise ValueError("training.guided_alignment: requires data.train.NAME.alignment, which no corpus has")
        return self

    @model_validator(mode="after")
    def check_stages(self) -> Self:
        for index, stage in enumerate(self.training.mixing.stages):
            for name in stage.weights:
                if name not in self.data.train:
                    key = ("training", "mixing", "stages", index, "weights", name)
                    raise CrossFieldError(key, f"is not a corpus of data.train, which has {', '.join(self.data.train)}")
        return self

    @model_validator(mode="after")
    def check_sampling(self) -> Self:
        settings = self.tokenizer
        is_deterministic = settings.path is None and settings.algorithm not in ("unigram", "bpe")
        if self.training.subword_sampling is not None and is_deterministic:
            raise ValueError(
                f"training.subword_sampling: requires tokenizer.algorithm unigram or bpe, not {settings.algorithm}"
            )
        return self

    @model_validator(mode="after")
    def check_factors(self) -> Self:
        for key in ("subword_sampling", "augmentation"):
            if self.data.factors and getattr(self.training, key) is not None:
                raise CrossFieldError(("training", key), "is not supported with data.factors")
        return self

    @model_validator(mode="after")
    def check_symbols(self) -> Self:
        tags = {f"<{tag}>" for tag in [*self.data.reserved_tags, *(corpus.tag for corpus in self.data.train.values())]}
        for index, symbol in enumerate(self.tokenizer.symbols):
            if symbol in tags:
                key = ("tokenizer", "symbols", index)
                raise CrossFieldError(key, f"{symbol} is a reserved tag; use another name")
        return self
