"""The decoder-only Transformer as a translator: it reads the source as a prefix of the target.

A sentence pair is one sequence of one vocabulary, which all layers read:

    <source> s1 … sS </s>   <s> t1 … tT          (<source>: a vector added to each of these positions)
    labels                  t1 t2 … </s>

Positions begin at 0 on each side, so that a target token is near the source tokens that it probably translates. Source
positions attend to the source, in both directions or up to themselves; target positions attend to all of the source and
to the target up to themselves. So the source does not depend on the target: `encode` computes its keys and values once,
and `decode` and `step` continue after them, which gives what a pass over the whole sequence gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from nmt_cli.models.attention import KeyValues
from nmt_cli.models.contract import DecoderOutput, EncoderOutput, ModelInputs, VocabularySpec
from nmt_cli.models.decoder_only import DecoderOnly, LayerInput
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.positions import Positions
from nmt_cli.models.transformer.cache import EncoderKeyValues, SelfAttentionCache
from nmt_cli.models.transformer.encoder import source_attn_mask
from nmt_cli.recipe.model import DecoderOnlySettings


@dataclass(frozen=True)
class PrefixEncoderOutput(EncoderOutput):
    """The source as the layers see it."""

    key_values: tuple[Tensor | None, ...] = field(metadata={"batch_dim": 1})
    """[2,B,K,S,d] of each layer; None for a layer that training skips."""
    attn_mask: Tensor | None
    """[B,1,1,S], true at tokens; None without padding."""


class DecoderOnlyTranslator(DecoderOnly):
    """Self-attention over source and target; targets may be packed rows."""

    def __init__(
        self, settings: DecoderOnlySettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer] = OutputLayer
    ) -> None:
        super().__init__(settings, vocabulary, output_layer)
        self.capabilities = replace(self.capabilities, source="required")
        self.is_causal = settings.source_attention == "causal"
        self.source_positions = Positions(settings, settings.layers, self.is_causal)
        self.source_embedding = nn.Parameter(torch.empty(settings.width))
        nn.init.normal_(self.source_embedding, std=settings.width**-0.5)
        self.activations_per_token *= 2  # a pair has about as many source as target tokens

    def encode(self, inputs: ModelInputs) -> PrefixEncoderOutput:
        assert inputs.ids is not None
        length, attn_mask = inputs.ids.size(1), source_attn_mask(inputs)
        positions = self.source_positions(torch.arange(length, device=inputs.ids.device))
        vectors = self.embeddings.embed_source(inputs, self.source_embedding)
        hidden_states, key_values = self._embedded(vectors, positions), list[Tensor | None]()
        # Padding follows the tokens, so that causal attention does not see it.
        visible = None if self.is_causal else attn_mask
        masks = self.source_positions.attn_masks(visible, length, len(self.decoder))
        for layer, mask in zip(self.decoder, masks, strict=True):
            if self._skips_layer():
                key_values.append(None)
                continue
            is_causal = self.is_causal and mask is None
            output = "key_values" if layer is self.decoder[-1] and not self.predicts_source else "both"
            layer_inputs = hidden_states, positions.rotary, mask, is_causal, None, output
            hidden_states, key_value = self._run(layer, *layer_inputs)
            key_values.append(key_value)
        prefix = DecoderOutput(self.decoder_norm(hidden_states)) if self.predicts_source else None
        return PrefixEncoderOutput(tuple(key_values), attn_mask, prefix=prefix)

    def _layer_inputs(
        self, encoder_output: PrefixEncoderOutput, masks: Sequence[Tensor | None], length: int
    ) -> Sequence[LayerInput | None]:
        joined, found = dict[int, Tensor](), list[LayerInput | None]()  # most layers share one mask
        for mask, prefix in zip(masks, encoder_output.key_values, strict=True):
            if prefix is not None and id(mask) not in joined:
                joined[id(mask)] = _with_source(encoder_output.attn_mask, prefix, mask, length)
            found.append(None if prefix is None else LayerInput(joined[id(mask)], prefix))
        return found

    def _source(self, encoder_output: PrefixEncoderOutput, batch_size: int) -> EncoderKeyValues:
        key_values = [each for each in encoder_output.key_values if each is not None]
        return EncoderKeyValues.of(torch.stack(key_values), encoder_output.attn_mask, None)

    def _encoder_output(self, cache: SelfAttentionCache) -> PrefixEncoderOutput:
        source = cache.source
        return PrefixEncoderOutput(source.encoder_kv.unbind(0), source.encoder_bias[:, :1] == 0)

    def _prefixes(self, cache: SelfAttentionCache) -> Sequence[KeyValues]:
        return cache.source.by_layer()


def _with_source(is_token: Tensor | None, prefix: Tensor, mask: Tensor | None, length: int) -> Tensor:
    """Return the mask [B or 1,1 or H,T,S+T] of source and target.

    Args:
        is_token: [B,1,1,S], true at source tokens; None: all of them.
        prefix: Keys and values [2,B,K,S,d] of the source.
        mask: [B or 1,1 or H,T,T], of the target, or biases of relative positions, which are 0 for the source; None:
            causal.
        length: T.
    """
    if is_token is None:
        is_token = torch.ones(1, 1, 1, prefix.size(3), dtype=torch.bool, device=prefix.device)
    if mask is None:
        mask = is_token.new_ones(1, 1, length, length).tril()
    source = is_token
    if mask.is_floating_point():
        source = mask.new_zeros(is_token.shape).masked_fill(~is_token, -torch.inf)
    batch_size, heads = max(len(source), len(mask)), mask.size(1)
    return torch.cat([each.expand(batch_size, heads, length, -1) for each in (source, mask)], dim=-1)
