"""The pointer-generator: an output layer that generates a token or copies one of the source."""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt_cli.models.contract import DecoderOutput, OutputPositions
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.kernels import Linear, at_least_fp32
from nmt_cli.recipe.model import Tying
from nmt_cli.text.special_tokens import COPY_IDS


class PointerGeneratorLayer(OutputLayer):
    """Log-probabilities of a mixture of generating and copying (See et al. 2017).

    With the decoder's vector h, the gate p = σ(w·h + b), and attention a to the source positions i,

        P(y) = (1 - p) · softmax(logits)(y) + p · Σ a_i over all i with copy id y

    Words outside the vocabulary can only be copied; those that a sentence does not have are impossible (-inf).
    """

    kind: ClassVar[Literal["logits", "log_probs"]] = "log_probs"
    copies: ClassVar[bool] = True
    needs_attention: ClassVar[bool] = True
    source_columns: ClassVar[tuple[str, ...]] = (COPY_IDS,)

    def __init__(self, width: int, embeddings: nn.Embedding, tying: Tying, bias: bool | None = None) -> None:
        super().__init__(width, embeddings, tying, bias)
        self.gate = Linear(width, 1)

    def forward(
        self, output: DecoderOutput, embeddings: nn.Embedding, positions: OutputPositions | None = None
    ) -> Tensor:
        """Return log-probabilities [n,V+E] at some positions of B·T, or at all."""
        assert output.cross_attention is not None and output.source_columns is not None
        sentences, length, _ = output.hidden_states.shape
        if positions is None:
            index = torch.arange(sentences * length, device=output.hidden_states.device)
            positions = OutputPositions.from_index(index, length)
        generated = at_least_fp32(super().forward(output, embeddings, positions)).log_softmax(-1)
        hidden_states = output.hidden_states.flatten(0, 1).index_select(0, positions.index)
        attention = at_least_fp32(output.cross_attention.flatten(0, 1).index_select(0, positions.index))
        return _mixture(
            generated,
            at_least_fp32(self.gate(hidden_states)),
            attention,
            output.source_columns.columns[COPY_IDS].index_select(0, positions.sentence),
            output.source_columns.extra_ids,
        )

    def copy_probability(self, output: DecoderOutput) -> Tensor:
        """Return the gate p [B,T]."""
        return at_least_fp32(self.gate(output.hidden_states)).squeeze(-1).sigmoid()


def _mixture(generated: Tensor, gate: Tensor, attention: Tensor, copy_ids: Tensor, extra_ids: int) -> Tensor:
    """Return the log-probabilities of generating and copying together.

    Everything is a logarithm, so that no probability vanishes, and only tokens of the source are touched twice.

    Args:
        generated: [n,V] log-probabilities of the vocabulary.
        gate: [n,1] logit of the probability of copying.
        attention: [n,S]
        copy_ids: [n,S] in 0 to V + E - 1.
        extra_ids: E

    Returns:
        [n,V+E]
    """
    size = generated.size(1) + extra_ids
    # One more column, which is dropped, takes the place of a token at all positions but its first.
    log_probs = functional.pad(generated + functional.logsigmoid(-gate), (0, extra_ids + 1), value=-torch.inf)
    first = (copy_ids[:, :, None] == copy_ids[:, None, :]).to(torch.uint8).argmax(2)
    copied = torch.zeros_like(attention).scatter_add(1, first, attention)
    copied = copied.clamp_min(torch.finfo(copied.dtype).tiny).log() + functional.logsigmoid(gate)
    is_repeated = first != torch.arange(copy_ids.size(1), device=copy_ids.device)
    columns = copy_ids.masked_fill(is_repeated, size)
    return log_probs.scatter(1, columns, torch.logaddexp(log_probs.gather(1, columns), copied))[:, :size]
