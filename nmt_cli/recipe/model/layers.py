"""Settings that several architectures share: presets, layers of Transformers, and output layers."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from nmt_cli.recipe.section import Conflicts, Count, Positive, Rate, SearchKind, Section, default_discriminator

SizePreset = Literal["tiny", "small", "base", "big"]
Preset = Literal[SizePreset, "student-tiny", "student-base"]
Tying = Literal["none", "decoder", "all", "input"]
Activation = Literal["relu", "gelu", "gelu_tanh", "silu", "swiglu", "geglu", "geglu_tanh"]


class PresetSection(Section):
    """A section whose `preset` provides the sizes that are not set."""

    preset: Preset = "base"
    """Default sizes; each can be overridden. Without preset and sizes, it follows from the data and the limits."""

    sizes: ClassVar[dict[str, dict[str, int]]]
    search: ClassVar[SearchKind] = "step"
    """How translations are found; see Capabilities.search."""

    @classmethod
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the sizes of the preset, or of the default one, so that an unknown preset is the only error."""
        default = cls.model_fields["preset"].default
        preset = given.get("preset", default)
        return cls.sizes[preset if isinstance(preset, str) and preset in cls.sizes else default]

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
    base: Annotated[float, Field(gt=1, le=1e12)] = 10_000.0
    """The slowest angle grows by nearly 1/base at each position; larger for long windows (`rope_theta` elsewhere)."""


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
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
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
    default_discriminator("type", "sinusoidal"),
]


class SoftmaxOutput(Section):
    """Generate each token from the vocabulary."""

    copies: ClassVar[bool] = False
    """Whether it can copy tokens of the source."""

    type: Literal["softmax"] = "softmax"
    """Type of output layer."""


class PointerGenerator(Section):
    """Generate each token from the vocabulary, or copy one of the source (See et al. 2017; Enarvi et al. 2020)."""

    copies: ClassVar[bool] = True

    type: Literal["pointer_generator"]
    """Type of output layer."""
    layer: Count | None = None
    """Transformer: decoder layer, from 1, whose cross-attention points at the source. Default: the last one."""
    heads: Count | None = None
    """Transformer: number of its heads that point; they are the first ones, and their mean counts. Default: all."""


OutputSettings = Annotated[
    SoftmaxOutput | PointerGenerator, Field(discriminator="type"), default_discriminator("type", "softmax")
]


class LayerSettings(PresetSection):
    """What every Transformer has; subclasses add the number of layers."""

    architecture: str
    """Model architecture."""
    width: Annotated[int, Field(ge=2, le=16384, multiple_of=2)]
    """Model dimension."""
    feed_forward: Annotated[int, Field(ge=1, le=65536)]
    """Inner dimension of the feed-forward sublayer."""
    heads: Annotated[int, Field(ge=1, le=256)]
    """Attention heads; must divide `width` unless `head_width` is set."""
    key_value_heads: Count | None = None
    """Heads of keys and values; fewer than `heads`: grouped-query attention (Ainslie et al. 2023). Default: `heads`."""
    head_width: Count | None = None
    """Dimension of each head. Default: `width` / `heads`."""
    activation: Activation = "relu"
    """Activation of the feed-forward sublayer; swiglu, geglu and geglu_tanh are gated (Shazeer 2020)."""
    bias: bool = True
    """Add biases in the linear layers of attention and feed-forward sublayers."""
    norm: NormSettings = NormSettings()
    positions: PositionSettings = SinusoidalPositions()
    """Positional encoding."""
    scale_embeddings: bool = True
    """Multiply embeddings by the square root of `width`."""
    scale_attention: bool = True
    """Divide scores of attention by the square root of the head's width. T5 begins with smaller queries instead."""
    output_bias: bool | None = None
    """Add a bias to the output layer. Default: unless it shares its matrix."""
    dropout: Rate = 0.1
    """Dropout of embeddings and sublayer outputs."""
    attention_dropout: Rate = 0.1
    """Dropout of attention weights."""
    activation_dropout: Rate = 0.1
    """Dropout inside the feed-forward sublayer."""
    layer_drop: Rate = 0.0
    """Probability of skipping each layer in training (LayerDrop, Fan et al. 2020)."""

    @property
    def attention_head_width(self) -> int:
        """Dimension of each head."""
        return self.head_width or self.width // self.heads

    @classmethod
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the sizes of the preset, with the number of heads nearest to it that the other settings allow."""
        sizes, positions = super().dependent_defaults(given), given.get("positions")
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
