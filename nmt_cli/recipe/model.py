"""The section `model`: one class for each architecture."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from nmt_cli.recipe.section import Conflicts, Count, Positive, Rate, Section, default_tag

Preset = Literal["tiny", "small", "base", "big"]
Tying = Literal["none", "decoder", "all", "input"]
Activation = Literal["relu", "gelu", "gelu_tanh", "silu", "swiglu", "geglu", "geglu_tanh"]


class PresetSection(Section):
    """A section whose `preset` provides the sizes that are not set."""

    preset: Preset = "base"
    """Default sizes; each can be overridden. Without preset and sizes, it follows from the data and the limits."""

    sizes: ClassVar[dict[str, dict[str, int]]]

    @classmethod
    def fitting_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the sizes of the preset."""
        preset = given.get("preset", cls.model_fields["preset"].default)
        return cls.sizes.get(preset, {}) if isinstance(preset, str) else {}

    @property
    def gives_sizes(self) -> bool:
        """Whether the recipe gives the preset or a size."""
        return any(map(self.gives, ("preset", *self.sizes["base"])))

    def with_value(self, key: str, value: Any) -> Self:
        """Return the section with another value; sizes that are not given follow from the preset."""
        changed = super().with_value(key, value)
        return type(self).model_validate(changed.model_dump(exclude_unset=True)) if key == "preset" else changed


class NormSettings(Section):
    """Normalisation of the Transformer's layers."""

    position: Literal["pre", "post"] = "pre"
    """Before each sublayer, with a final norm, or after each residual sum."""
    type: Literal["layer", "rms"] = "layer"
    """LayerNorm (Ba et al. 2016) or RMSNorm (Zhang & Sennrich 2019)."""
    epsilon: Positive | None = None
    """Added to the variance. Default: 1e-5 with LayerNorm, 1e-6 with RMSNorm."""
    embeddings: bool = False
    """Normalise embeddings, too, after positions are added."""


class SinusoidalPositions(Section):
    """Sines and cosines of several frequencies, added to embeddings (Vaswani et al. 2017)."""

    type: Literal["sinusoidal"] = "sinusoidal"
    """Type of positional encoding."""
    spacing: Literal["paper", "t2t"] = "paper"
    """Frequencies from 1 to nearly 1/10000, as in the paper, or to 1/10000, as in Tensor2Tensor, Marian and M2M-100."""
    offset: Annotated[int, Field(ge=0, le=2**15)] = 0
    """Position of the first token."""


class RotaryPositions(Section):
    """Rotation of queries and keys by angles proportional to the position (RoPE, Su et al. 2021)."""

    type: Literal["rotary"]
    """Type of positional encoding."""


class LearnedPositions(Section):
    """A learned vector for each position, added to embeddings (Gehring et al. 2017)."""

    type: Literal["learned"]
    """Type of positional encoding."""
    length: Annotated[int, Field(ge=1, le=2**20)] = 1024
    """Number of vectors; later positions use the last one."""


class RelativePositions(Section):
    """A learned bias of self-attention for each distance of two tokens (T5, Raffel et al. 2020)."""

    type: Literal["relative"]
    """Type of positional encoding."""
    buckets: Annotated[int, Field(ge=4, le=2**16, multiple_of=2)] = 32
    """Number of biases of each head; larger distances share one."""
    max_distance: Annotated[int, Field(ge=2, le=2**20)] = 128
    """Distance from which all share one bias."""
    each_layer: bool = False
    """Learn biases for each layer instead of one set for the encoder and one for the decoder."""

    @classmethod
    def fitting_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return as many buckets as `max_distance` allows, and a distance that is far enough for `buckets`."""
        buckets, distance = (given.get(key, cls.model_fields[key].default) for key in ("buckets", "max_distance"))
        if type(buckets) is not int or type(distance) is not int or distance > buckets // 2:
            return {}
        return {"buckets": 2 * (distance - 1), "max_distance": 4 * buckets}

    def conflicts(self) -> Conflicts:
        if self.max_distance <= self.buckets // 2:
            yield "max_distance", f"{self.max_distance} must be more than half of buckets, {self.buckets // 2}"


PositionSettings = Annotated[
    SinusoidalPositions | RotaryPositions | LearnedPositions | RelativePositions,
    Field(discriminator="type"),
    default_tag("type", "sinusoidal"),
]


class SoftmaxOutput(Section):
    """Generate each token from the vocabulary."""

    type: Literal["softmax"] = "softmax"
    """Type of output layer."""


class PointerGenerator(Section):
    """Generate each token from the vocabulary, or copy one of the source (See et al. 2017; Enarvi et al. 2020)."""

    type: Literal["pointer_generator"]
    """Type of output layer."""
    layer: Count | None = None
    """Transformer: decoder layer, from 1, whose cross-attention points at the source. Default: the last one."""
    heads: Count | None = None
    """Transformer: number of its heads that point; they are the first ones, and their mean counts. Default: all."""


OutputSettings = Annotated[
    SoftmaxOutput | PointerGenerator, Field(discriminator="type"), default_tag("type", "softmax")
]


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
    """Attention heads; must divide `width` unless `head_width` is set."""
    key_value_heads: Count | None = None
    """Heads of keys and values; fewer than `heads`: grouped-query attention (Ainslie et al. 2023). Default: `heads`."""
    head_width: Count | None = None
    """Dimension of each head. Default: `width` / `heads`."""
    decoder_self_attention: Literal["softmax", "ssru"] = "softmax"
    """How the decoder reads earlier target tokens: by softmax attention, or by an SSRU (Kim et al. 2019), a recurrent
    unit whose cost does not grow with the length; with a shallow decoder it is the usual student for CPUs."""
    decoder_start: Literal["bos", "zeros"] = "bos"
    """First input of the decoder: the embedding of the token that begins translations, or zeros, as in Marian."""
    activation: Activation = "relu"
    """Activation of the feed-forward sublayer; swiglu, geglu and geglu_tanh are gated (Shazeer 2020)."""
    bias: bool = True
    """Add biases in the linear layers of attention and feed-forward sublayers."""
    norm: NormSettings = NormSettings()
    positions: PositionSettings = SinusoidalPositions()
    """Positional encoding."""
    tied_embeddings: Tying = "all"
    """Share one matrix: `decoder`: target embedding and output layer; `all`: the source embedding too; `input`: the
    embeddings of both sides, but not the output layer."""
    scale_embeddings: bool = True
    """Multiply embeddings by the square root of `width`."""
    scale_attention: bool = True
    """Divide scores of attention by the square root of the head's width. T5 begins with smaller queries instead."""
    output_bias: bool | None = None
    """Add a bias to the output layer. Default: unless it shares its matrix."""
    output: OutputSettings = SoftmaxOutput()
    """Output layer."""
    dropout: Rate = 0.1
    """Dropout of embeddings and sublayer outputs."""
    attention_dropout: Rate = 0.1
    """Dropout of attention weights."""
    activation_dropout: Rate = 0.1
    """Dropout inside the feed-forward sublayer."""
    layer_drop: Rate = 0.0
    """Probability of skipping each layer in training (LayerDrop, Fan et al. 2020)."""

    has_attention: ClassVar[bool] = True

    @property
    def attention_head_width(self) -> int:
        """Dimension of each head."""
        return self.head_width or self.width // self.heads

    @property
    def pointing_layer(self) -> int:
        """0-based index of the decoder layer whose cross-attention counts: for copying and for word alignments."""
        given = self.output.layer if isinstance(self.output, PointerGenerator) else None
        return (given or self.decoder_layers) - 1

    @property
    def pointing_heads(self) -> int:
        """Number of heads of that layer whose mean counts: the first ones."""
        given = self.output.heads if isinstance(self.output, PointerGenerator) else None
        return given or self.heads

    @classmethod
    def fitting_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the sizes of the preset, with the number of heads nearest to it that the other settings allow."""
        sizes, positions = super().fitting_defaults(given), given.get("positions")
        width, groups = given.get("width", sizes.get("width")), given.get("key_value_heads") or 1
        if type(width) is not int or type(groups) is not int or groups < 1 or "heads" not in sizes:
            return sizes
        factor = 2 if isinstance(positions, dict) and positions.get("type") == "rotary" else 1
        is_free = given.get("head_width") is not None
        counts = range(groups, min(width, 256) + 1, groups)
        possible = [heads for heads in counts if is_free or width % (factor * heads) == 0]
        nearest = min(possible, key=lambda heads: abs(heads - sizes["heads"]), default=sizes["heads"])
        return {**sizes, "heads": nearest}

    def conflicts(self) -> Conflicts:
        if self.head_width is None and self.width % self.heads:
            yield "heads", f"{self.heads} does not divide width ({self.width})"
        if self.heads % (self.key_value_heads or self.heads):
            yield "key_value_heads", f"{self.key_value_heads} does not divide heads ({self.heads})"
        if self.positions.type == "rotary" and self.attention_head_width % 2:
            yield (
                "heads" if self.head_width is None else "head_width",
                f"rotary positions need an even width per head, not {self.attention_head_width}",
            )
        if self.decoder_self_attention == "ssru" and self.positions.type in ("rotary", "relative"):
            yield "decoder_self_attention", f"ssru cannot be combined with {self.positions.type} positions"
        if self.pointing_layer >= self.decoder_layers:
            yield "output.layer", f"{self.pointing_layer + 1} is more than decoder_layers ({self.decoder_layers})"
        if self.pointing_heads > self.heads:
            yield "output.heads", f"{self.pointing_heads} is more than heads ({self.heads})"


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
    bridge: Literal["tanh", "copy"] = "tanh"
    """First states of the decoder: a learned projection of the encoder's final ones, or these themselves."""
    input_feeding: bool = False
    """Feed each step's attentional output into the next step (Luong et al. 2015); slower to train."""
    tied_embeddings: Tying = "all"
    """Share one matrix: `decoder`: target embedding and output layer; `all`: the source embedding too; `input`: the
    embeddings of both sides, but not the output layer."""
    output: OutputSettings = SoftmaxOutput()
    """Output layer."""
    dropout: Rate = 0.2
    """Dropout of embeddings, between layers, and before the output layer."""

    @property
    def has_attention(self) -> bool:
        return self.attention != "none"

    def conflicts(self) -> Conflicts:
        if self.input_feeding and self.attention == "none":
            yield "input_feeding", "needs attention, but attention is none"
        if isinstance(self.output, PointerGenerator):
            if self.attention == "none":
                yield "output.type", "pointer_generator needs attention, but attention is none"
            for key in ("layer", "heads"):
                if getattr(self.output, key) is not None:
                    yield ("output", key), "is for a transformer; an rnn has one attention"


ModelSettings = Annotated[TransformerSettings | RnnSettings, Field(discriminator="architecture")]
DEFAULT_MODEL = TransformerSettings.model_validate({"architecture": "transformer"})
"""Stands for the settings of a model that training starts from, until that model is read."""
