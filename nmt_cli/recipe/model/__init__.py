"""The section `model`: one class for each architecture."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from nmt_cli.recipe.model.encoders import EncoderSettings as EncoderSettings
from nmt_cli.recipe.model.encoders import FlatEncoder as FlatEncoder
from nmt_cli.recipe.model.encoders import HierarchicalEncoder as HierarchicalEncoder
from nmt_cli.recipe.model.encoders import LocalEncoder as LocalEncoder
from nmt_cli.recipe.model.layers import LayerSettings as LayerSettings
from nmt_cli.recipe.model.layers import LearnedPositions as LearnedPositions
from nmt_cli.recipe.model.layers import NormSettings as NormSettings
from nmt_cli.recipe.model.layers import OutputSettings as OutputSettings
from nmt_cli.recipe.model.layers import PointerGenerator as PointerGenerator
from nmt_cli.recipe.model.layers import Preset as Preset
from nmt_cli.recipe.model.layers import PresetSection as PresetSection
from nmt_cli.recipe.model.layers import RelativePositions as RelativePositions
from nmt_cli.recipe.model.layers import RotaryPositions as RotaryPositions
from nmt_cli.recipe.model.layers import SinusoidalPositions as SinusoidalPositions
from nmt_cli.recipe.model.layers import SizePreset as SizePreset
from nmt_cli.recipe.model.layers import SoftmaxOutput as SoftmaxOutput
from nmt_cli.recipe.model.layers import Tying as Tying
from nmt_cli.recipe.section import Conflicts, Rate, SearchKind


class TransformerSettings(LayerSettings):
    """Transformer encoder-decoder (Vaswani et al. 2017)."""

    sizes: ClassVar[dict[str, dict[str, int]]] = {
        "tiny": {"width": 128, "feed_forward": 256, "encoder_layers": 4, "decoder_layers": 4, "heads": 4},
        "small": {"width": 256, "feed_forward": 1024, "encoder_layers": 3, "decoder_layers": 3, "heads": 4},
        "base": {"width": 512, "feed_forward": 2048, "encoder_layers": 6, "decoder_layers": 6, "heads": 8},
        "big": {"width": 1024, "feed_forward": 4096, "encoder_layers": 6, "decoder_layers": 6, "heads": 16},
        "student-tiny": {"width": 256, "feed_forward": 1536, "encoder_layers": 6, "decoder_layers": 2, "heads": 8},
        "student-base": {"width": 512, "feed_forward": 2048, "encoder_layers": 6, "decoder_layers": 2, "heads": 8},
    }

    architecture: Literal["transformer"]
    encoder_layers: Annotated[int, Field(ge=1, le=256)]
    """Number of encoder layers."""
    decoder_layers: Annotated[int, Field(ge=1, le=256)]
    """Number of decoder layers."""
    encoder: EncoderSettings = FlatEncoder()
    """How the encoder reads the source."""
    decoder_self_attention: Literal["softmax", "ssru"] = "softmax"
    """How the decoder reads earlier target tokens: by softmax attention, or by an SSRU (Kim et al. 2019), a recurrent
    unit whose cost does not grow with the length; with a shallow decoder it is the usual student for CPUs."""
    decoder_start: Literal["bos", "zeros"] = "bos"
    """First input of the decoder: the embedding of the token that begins translations, or zeros, as in Marian."""
    tied_embeddings: Tying = "all"
    """Share one matrix: `decoder`: target embedding and output layer; `all`: the source embedding too; `input`: the
    embeddings of both sides, but not the output layer."""

    output: OutputSettings = SoftmaxOutput()
    """Output layer."""

    has_attention: ClassVar[bool] = True

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

    def conflicts(self) -> Conflicts:
        yield from super().conflicts()
        if isinstance(self.encoder, HierarchicalEncoder) and self.encoder.document_layers >= self.encoder_layers:
            message = f"{self.encoder.document_layers} must be less than encoder_layers ({self.encoder_layers})"
            yield "encoder.document_layers", message
        if isinstance(self.encoder, LocalEncoder) and self.positions.type == "relative":
            yield "encoder", "local cannot be combined with relative positions"
        if self.decoder_self_attention == "ssru" and self.positions.type in ("rotary", "relative"):
            yield "decoder_self_attention", f"ssru cannot be combined with {self.positions.type} positions"
        if self.pointing_layer >= self.decoder_layers:
            yield "output.layer", f"{self.pointing_layer + 1} is more than decoder_layers ({self.decoder_layers})"
        if self.pointing_heads > self.heads:
            yield "output.heads", f"{self.pointing_heads} is more than heads ({self.heads})"


class CtcSettings(LayerSettings):
    """Transformer without autoregression, trained with the CTC loss (Graves et al. 2006; Libovický & Helcl 2018): the
    encoded source is upsampled, decoder layers see all of it, and each position gives a token or a blank."""

    sizes: ClassVar[dict[str, dict[str, int]]] = TransformerSettings.sizes

    architecture: Literal["ctc"]
    encoder_layers: Annotated[int, Field(ge=1, le=256)]
    """Number of layers before the upsampling."""
    decoder_layers: Annotated[int, Field(ge=1, le=256)]
    """Number of layers after the upsampling."""
    upsampling: Annotated[int, Field(ge=1, le=64)] = 2
    """Output positions of each source token, its eos included. No translation can have more tokens, counting one more
    between two equal ones."""
    cross_attention: bool = False
    """Add attention to the encoded source to the layers after the upsampling, as in the decoder of a Transformer.
    Recommended with `training.glancing`, which replaces some of their inputs."""
    tied_embeddings: Literal["decoder", "all"] = "all"
    """`all`: source embedding and output layer share one matrix; `decoder`: they do not."""

    output: ClassVar[SoftmaxOutput] = SoftmaxOutput()
    search: ClassVar[SearchKind] = "ctc"
    has_attention: ClassVar[bool] = False
    decoder_self_attention: ClassVar[Literal["softmax"]] = "softmax"
    pointing_heads: ClassVar[None] = None


class DecoderOnlySettings(LayerSettings):
    """Decoder-only Transformer (Radford et al. 2018): a language model of text without sources, or a translator that
    reads source and target as one sequence (He et al. 2018)."""

    sizes: ClassVar[dict[str, dict[str, int]]] = {
        "tiny": {"width": 128, "feed_forward": 512, "layers": 4, "heads": 4},
        "small": {"width": 256, "feed_forward": 1024, "layers": 6, "heads": 4},
        "base": {"width": 512, "feed_forward": 2048, "layers": 12, "heads": 8},
        "big": {"width": 1024, "feed_forward": 4096, "layers": 12, "heads": 16},
    }

    preset: SizePreset = "base"
    """Default sizes; each can be overridden. Without preset and sizes, it follows from the data and the limits."""
    architecture: Literal["decoder_only"]
    layers: Annotated[int, Field(ge=1, le=256)]
    """Number of layers."""
    source_attention: Literal["bidirectional", "causal"] | None = None
    """Make a translator, in which source tokens attend to the whole source, or only to earlier source tokens. Without,
    the model is a language model of text without translations."""
    tied_embeddings: Literal["all", "input"] = "all"
    """`all`: embeddings and output layer share one matrix; `input`: the output layer has its own."""

    output: ClassVar[SoftmaxOutput] = SoftmaxOutput()
    has_attention: ClassVar[bool] = False

    @property
    def reads_source(self) -> bool:
        """Whether the model translates; otherwise it is a language model."""
        return self.source_attention is not None


class RnnSettings(PresetSection):
    """Recurrent encoder-decoder (Sutskever et al. 2014; Bahdanau et al. 2015; Luong et al. 2015)."""

    sizes: ClassVar[dict[str, dict[str, int]]] = {
        "tiny": {"width": 128, "embedding_width": 128, "encoder_layers": 1, "decoder_layers": 1},
        "small": {"width": 256, "embedding_width": 256, "encoder_layers": 1, "decoder_layers": 1},
        "base": {"width": 512, "embedding_width": 512, "encoder_layers": 2, "decoder_layers": 2},
        "big": {"width": 1024, "embedding_width": 1024, "encoder_layers": 4, "decoder_layers": 4},
    }

    preset: SizePreset = "base"
    """Default sizes; each can be overridden. Without preset and sizes, it follows from the data and the limits."""
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


ModelSettings = Annotated[
    TransformerSettings | RnnSettings | CtcSettings | DecoderOnlySettings, Field(discriminator="architecture")
]
DEFAULT_MODEL = TransformerSettings.model_validate({"architecture": "transformer"})
"""Stands for the settings of a model that training starts from, until that model is read."""
