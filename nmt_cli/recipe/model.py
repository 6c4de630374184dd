"""The section `model`: one class for each architecture."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from nmt_cli.recipe.section import Conflicts, Count, Rate, Section

Preset = Literal["tiny", "small", "base", "big"]
Tying = Literal["none", "decoder", "all"]


class PresetSection(Section):
    """A section whose `preset` provides the sizes that are not set."""

    preset: Preset = "base"
    """Default sizes; each can be overridden."""

    sizes: ClassVar[dict[str, dict[str, int]]]
    output: ClassVar[str] = "softmax"
    """The output layer."""

    @model_validator(mode="before")
    @classmethod
    def fill_in_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        preset = given.get("preset", cls.model_fields["preset"].default)
        return {**cls.sizes.get(preset, {}), **given} if isinstance(preset, str) else given


class NormSettings(Section):
    """Normalisation of the Transformer's layers."""

    position: Literal["pre", "post"] = "pre"
    """Before each sublayer, with a final norm, or after each residual sum."""
    type: Literal["layer", "rms"] = "layer"
    """LayerNorm (Ba et al. 2016) or RMSNorm (Zhang & Sennrich 2019)."""


class PositionSettings(Section):
    """Positional encoding of the Transformer."""

    type: Literal["sinusoidal", "rotary"] = "sinusoidal"
    """Sinusoidal encoding added to embeddings (Vaswani et al. 2017), or rotary embedding (RoPE, Su et al. 2021)."""


class TransformerSettings(PresetSection):
    """Transformer encoder-decoder (Vaswani et al. 2017)."""

    sizes: ClassVar[dict[str, dict[str, int]]] = {
        "tiny": {"width": 128, "feed_forward": 256, "encoder_layers": 4, "decoder_layers": 4, "heads": 4},
        "small": {"width": 256, "feed_forward": 1024, "encoder_layers": 3, "decoder_layers": 3, "heads": 4},
        "base": {"width": 512, "feed_forward": 2048, "encoder_layers": 6, "decoder_layers": 6, "heads": 8},
        "big": {"width": 1024, "feed_forward": 4096, "encoder_layers": 6, "decoder_layers": 6, "heads": 16},
    }

    architecture: Literal["transformer"]
    """Model architecture."""
    width: Annotated[int, Field(ge=2, le=16384, multiple_of=2)]
    """Model dimension."""
    feed_forward: Annotated[int, Field(ge=1, le=65536)]
    """Inner dimension of the feed-forward sublayer."""
    encoder_layers: Annotated[int, Field(ge=1, le=256)]
    """Number of encoder layers."""
    decoder_layers: Annotated[int, Field(ge=1, le=256)]
    """Number of decoder layers."""
    heads: Annotated[int, Field(ge=1, le=256)]
    """Attention heads; must divide `width`."""
    key_value_heads: Count | None = None
    """Heads of keys and values; fewer than `heads`: grouped-query attention (Ainslie et al. 2023). Default: `heads`."""
    activation: Literal["relu", "gelu", "swiglu"] = "relu"
    """Activation of the feed-forward sublayer; swiglu is gated (Shazeer 2020)."""
    norm: NormSettings = NormSettings()
    positions: PositionSettings = PositionSettings()
    tied_embeddings: Tying = "all"
    """Share one matrix: `decoder`: target embedding and output layer; `all`: the source embedding too."""
    dropout: Rate = 0.1
    """Dropout of embeddings and sublayer outputs."""
    attention_dropout: Rate = 0.1
    """Dropout of attention weights."""
    activation_dropout: Rate = 0.1
    """Dropout inside the feed-forward sublayer."""
    layer_drop: Rate = 0.0
    """Probability of skipping each layer in training (LayerDrop, Fan et al. 2020)."""

    has_attention: ClassVar[bool] = True

    def conflicts(self) -> Conflicts:
        if self.width % self.heads:
            yield "heads", f"{self.heads} does not divide width ({self.width})"
        if self.heads % (self.key_value_heads or self.heads):
            yield "key_value_heads", f"{self.key_value_heads} does not divide heads ({self.heads})"
        if self.positions.type == "rotary" and self.width // self.heads % 2:
            yield (
                "heads",
                f"rotary positions need an even width per head; width / heads is {self.width} / {self.heads}",
            )


class RnnSettings(PresetSection):
    """Recurrent encoder-decoder (Sutskever et al. 2014; Bahdanau et al. 2015; Luong et al. 2015)."""

    sizes: ClassVar[dict[str, dict[str, int]]] = {
        "tiny": {"width": 128, "embedding_width": 128, "encoder_layers": 1, "decoder_layers": 1},
        "small": {"width": 256, "embedding_width": 256, "encoder_layers": 1, "decoder_layers": 1},
        "base": {"width": 512, "embedding_width": 512, "encoder_layers": 2, "decoder_layers": 2},
        "big": {"width": 1024, "embedding_width": 1024, "encoder_layers": 4, "decoder_layers": 4},
    }

    architecture: Literal["rnn"]
    """Model architecture."""
    cell: Literal["rnn", "gru", "lstm"] = "gru"
    """Elman's tanh cell, GRU (Cho et al. 2014) or LSTM (Hochreiter & Schmidhuber 1997)."""
    width: Annotated[int, Field(ge=2, le=16384, multiple_of=2)]
    """Size of the decoder's state, and of the encoder's (both directions together)."""
    embedding_width: Annotated[int, Field(ge=1, le=16384)]
    """Size of embeddings."""
    encoder_layers: Annotated[int, Field(ge=1, le=64)]
    """Number of encoder layers."""
    decoder_layers: Annotated[int, Field(ge=1, le=64)]
    """Number of decoder layers."""
    bidirectional: bool = True
    """Encode the source in both directions."""
    attention: Literal["none", "additive", "dot", "general"] = "general"
    """None (final encoder state only), Bahdanau's additive, or Luong's dot-product or general attention."""
    input_feeding: bool = False
    """Feed each step's attentional output into the next step (Luong et al. 2015); slower to train."""
    tied_embeddings: Tying = "all"
    """Share one matrix: `decoder`: target embedding and output layer; `all`: the source embedding too."""
    dropout: Rate = 0.2
    """Dropout of embeddings, between layers, and before the output layer."""

    @property
    def has_attention(self) -> bool:
        return self.attention != "none"

    def conflicts(self) -> Conflicts:
        if self.input_feeding and self.attention == "none":
            yield "input_feeding", "needs attention, but attention is none"


ModelSettings = Annotated[TransformerSettings | RnnSettings, Field(discriminator="architecture")]
