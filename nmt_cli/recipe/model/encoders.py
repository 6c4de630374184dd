"""Settings of how the encoder of a Transformer reads the source."""

from typing import Annotated, Literal

from pydantic import Field

from nmt_cli.recipe.section import Count, Section, default_discriminator


class FlatEncoder(Section):
    """Each token attends to the whole source (Vaswani et al. 2017)."""

    type: Literal["flat"] = "flat"
    """How source tokens attend to each other."""


class HierarchicalEncoder(Section):
    """Tokens attend to their segment, and segments to each other; cross-attention to a token is scaled by that to its
    segment (Yang et al. 2016; Nallapati et al. 2016). For long sources."""

    type: Literal["hierarchical"]
    """How source tokens attend to each other."""
    segment_tokens: Annotated[int, Field(ge=2, le=2**15)] = 64
    """Tokens of each segment; the last one of a source may have fewer."""
    document_layers: Count = 1
    """Number of encoder layers, the last ones, that read one vector for each segment."""


class LocalEncoder(Section):
    """Tokens attend to near tokens and to global tokens, learned vectors that attend to all (Ainslie et al. 2020;
    Zaheer et al. 2020). For long sources."""

    type: Literal["local"]
    """How source tokens attend to each other."""
    block_tokens: Annotated[int, Field(ge=1, le=2**15)] = 32
    """Tokens of each block; a token attends to its block, to the block before and to the block after it."""
    global_tokens: Annotated[int, Field(ge=1, le=1024)] = 8
    """Number of global tokens."""


EncoderSettings = Annotated[
    FlatEncoder | HierarchicalEncoder | LocalEncoder, Field(discriminator="type"), default_discriminator("type", "flat")
]
