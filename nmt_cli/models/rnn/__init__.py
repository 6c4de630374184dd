"""The recurrent encoder-decoder and its cache."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import (
    DecoderInput,
    DecoderOutput,
    EncoderOutput,
    ModelInputs,
    VocabularySpec,
)
from nmt_cli.models.encoder_decoder import EncoderDecoder, OutputLayer, sentence_indices
from nmt_cli.models.kernels import Linear
from nmt_cli.models.rnn.layers import ATTENTIONS, RecurrentEncoder, RecurrentLayer
from nmt_cli.recipe.model import RnnSettings


@dataclass(frozen=True)
class RnnEncoderOutput(EncoderOutput):
    """The encoded source."""

    hidden_states: Tensor
    """[B,S,D]"""
    keys: Tensor
    """[B,S,D], with which attention compares the decoder's states."""
    attn_mask: Tensor | None
    """[B,1,S], true at tokens; None if there is no padding."""
    initial: Tensor = field(metadata={"batch_dim": 2})
    """[L,P,B,D], the first states of the decoder's layers; P is 2 for an LSTM, else 1."""


@dataclass(frozen=True)
class RnnCache:
    """The decoder's states after the last token."""

    states: Tensor
    """[L,P,B,k,D]"""
    input_feed: Tensor | None
    """[B,k,D], the last output, with input feeding."""
    encoder_output: RnnEncoderOutput

    def select(self, hypothesis_indices: Tensor) -> Self:
        """See Cache.select."""
        sentences = sentence_indices(hypothesis_indices, self.states.size(3), self.states.size(2))
        return replace(
            self,
            states=self.states.flatten(2, 3)[:, :, hypothesis_indices],
            input_feed=None if self.input_feed is None else self.input_feed.flatten(0, 1)[hypothesis_indices],
            encoder_output=self.encoder_output if sentences is None else self.encoder_output.select(sentences),
        )


class Rnn(EncoderDecoder):
    """Encoder and decoder of recurrent cells.

    The decoder starts from the encoder's final states. Without attention they are all it gets (Sutskever et al. 2014;
    Cho et al. 2014). With it, the decoder's new state attends to the source, and state and context together predict the
    token (Luong et al. 2015); so whole targets need no loop, unless that prediction is fed into the next step.
    Packed rows are not supported.
    """

    def __init__(
        self, settings: RnnSettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer] = OutputLayer
    ) -> None:
        super().__init__(settings, vocabulary, output_layer, settings.embedding_width)
        self.settings, width = settings, settings.width
        self.encoder = RecurrentEncoder(settings)
        num_states = 2 if settings.cell == "lstm" else 1
        num_bridges = settings.decoder_layers if settings.bridge == "tanh" else 0
        self.bridges = nn.ModuleList(Linear(num_states * width, num_states * width) for _ in range(num_bridges))
        self.has_input_feeding = settings.input_feeding
        fed_width = width if self.has_input_feeding else 0
        widths = [settings.embedding_width + fed_width, *[width] * (settings.decoder_layers - 1)]
        self.decoder = nn.ModuleList(RecurrentLayer(settings.cell, w, width) for w in widths)
        self.attention = None if settings.attention == "none" else ATTENTIONS[settings.attention](width)
        self.combine = Linear(2 * width, width) if self.attention else nn.Identity()
        self._add_output(settings, output_layer)
        self.activations_per_token = (settings.encoder_layers + settings.decoder_layers) * 12 * width

    def encode(self, inputs: ModelInputs) -> RnnEncoderOutput:
        assert inputs.ids is not None
        columns = self._source_columns(inputs)
        embedded = self.dropout(self.embeddings.embed_source(inputs))
        hidden_states, final_states = self._run(self.encoder, embedded, inputs.lengths)
        keys = hidden_states if self.attention is None else self.attention.key(hidden_states)
        attn_mask = None
        if inputs.lengths is not None:
            positions = torch.arange(inputs.ids.size(1), device=inputs.ids.device)
            attn_mask = (positions < inputs.lengths[:, None])[:, None, :]
        return RnnEncoderOutput(hidden_states, keys, attn_mask, self._bridge(final_states), source_columns=columns)

    def decode(self, encoder_output: RnnEncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        embedded = self.dropout(self.embeddings.embed_target(self._known_ids(target.required_ids())))
        decode = self._decode_stepwise if self.has_input_feeding else self._decode_parallel
        hidden_states, weights = decode(embedded, encoder_output)
        weights = weights if attention or self.output.needs_attention else None
        return DecoderOutput(hidden_states, None, weights, encoder_output.source_columns)

    def init_cache(self, encoder_output: RnnEncoderOutput, batch_size: int) -> RnnCache:
        states = encoder_output.initial.unsqueeze(3)
        input_feed = torch.zeros_like(states[-1, 0]) if self.has_input_feeding else None
        return RnnCache(states, input_feed, encoder_output)

    def step(self, ids: Tensor, cache: RnnCache) -> tuple[Tensor, RnnCache]:
        embedded = self.dropout(self.embeddings.embed_target(self._known_ids(ids)))
        hidden_states, weights, cache = self._decode_step(embedded, cache)
        output = DecoderOutput(hidden_states, None, weights, cache.encoder_output.source_columns)
        return self.logits(output).view(*ids.shape, -1), cache

    def fused_parameters(self) -> dict[str, Sequence[int]]:
        cells = [(name, module) for name, module in self.named_modules() if isinstance(module, nn.RNNBase)]
        gates = {
            f"{name}.{weight_name}": [module.hidden_size] * (len(weight) // module.hidden_size)
            for name, module in cells
            for weight_name, weight in module.named_parameters()
            if weight.dim() == 2
        }
        return super().fused_parameters() | gates

    def fsdp_units(self) -> Sequence[nn.Module]:
        units = super().fsdp_units()
        # With input feeding the decoder's layers are called step by step, past their `forward`.
        return [unit for unit in units if not (self.has_input_feeding and isinstance(unit, RecurrentLayer))]

    def _decode_parallel(self, embedded: Tensor, encoder_output: RnnEncoderOutput) -> tuple[Tensor, Tensor | None]:
        """Decode whole targets [B,T,E] at once."""
        hidden_states = embedded
        for index, layer in enumerate(self.decoder):
            inputs = self.dropout(hidden_states) if index else hidden_states
            hidden_states = self._run(layer, inputs, encoder_output.initial[index])
        attended: tuple[Tensor, Tensor | None] = self._run(self._attend, hidden_states, encoder_output)
        return attended

    def _decode_stepwise(self, embedded: Tensor, encoder_output: RnnEncoderOutput) -> tuple[Tensor, Tensor | None]:
        """Decode whole targets [B,T,E] step by step, as input feeding needs."""
        cache, steps = self.init_cache(encoder_output, len(embedded)), []
        for token in torch.split(embedded, 1, dim=1):
            hidden_states, weights, cache = self._run(self._decode_step, token, cache)
            steps.append((hidden_states, weights))
        return torch.cat([states for states, _ in steps], dim=1), torch.cat([weights for _, weights in steps], dim=1)

    def _decode_step(self, embedded: Tensor, cache: RnnCache) -> tuple[Tensor, Tensor | None, RnnCache]:
        """Decode one token [B,k,E] of each hypothesis."""
        inputs = embedded if cache.input_feed is None else torch.cat([embedded, cache.input_feed], dim=-1)
        inputs, new_states = inputs.flatten(0, 1), []
        states = cache.states.flatten(2, 3)  # [L,P,B·k,D]
        for index, layer in enumerate(cast("Sequence[RecurrentLayer]", self.decoder)):
            new_states.append(layer.step(self.dropout(inputs) if index else inputs, states[index]))
            inputs = new_states[-1][0]
        states = torch.stack(new_states).view(cache.states.shape)
        hidden_states, weights = self._attend(states[-1, 0], cache.encoder_output)
        input_feed = hidden_states if self.has_input_feeding else None
        return hidden_states, weights, replace(cache, states=states, input_feed=input_feed)

    def _attend(self, states: Tensor, encoder_output: RnnEncoderOutput) -> tuple[Tensor, Tensor | None]:
        """Combine the decoder's states [B,T,D] with their context, [B,T,D]; also return attention [B,T,S]."""
        if self.attention is None:
            return self.dropout(states), None
        scores = self.attention.scores(states, encoder_output.keys)
        if encoder_output.attn_mask is not None:
            scores = scores.masked_fill(~encoder_output.attn_mask, -torch.inf)
        weights = scores.softmax(-1, dtype=torch.float32)
        context = weights.to(encoder_output.hidden_states.dtype) @ encoder_output.hidden_states
        combined = torch.tanh(self.combine(torch.cat([context, states], dim=-1)))
        return self.dropout(combined), weights

    def _bridge(self, final_states: Tensor) -> Tensor:
        """Map final states of the encoder [L,P,B,D] to first states of the decoder, top layer to top layer."""
        surplus = len(final_states) - len(self.decoder)
        finals = [final_states[max(0, index + surplus)] for index in range(len(self.decoder))]
        if not self.bridges:
            return torch.stack(finals).to(self.embeddings.target.weight.dtype)
        initial = []
        for final, bridge in zip(finals, self.bridges, strict=True):
            first = torch.tanh(bridge(final.transpose(0, 1).flatten(1)))
            initial.append(first.view(first.size(0), len(final), -1).transpose(0, 1))
        # Always in the precision of the weights, also under autocast: a recurrent state sums many small changes.
        return torch.stack(initial).to(self.embeddings.target.weight.dtype)
