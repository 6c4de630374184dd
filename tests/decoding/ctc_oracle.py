"""CTC by definition: each alignment of a tiny vocabulary is listed, collapsed, and its probability added up."""

import itertools
from collections import defaultdict

import torch
from torch import Tensor

from nmt_cli.models.contract import (
    Capabilities,
    DecoderInput,
    DecoderOutput,
    EncoderOutput,
    Model,
    ModelInputs,
    OutputPositions,
    VocabularySpec,
)

BLANK = 0


def collapse(alignment: tuple[int, ...]) -> tuple[int, ...]:
    """Merge equal neighbours, then remove blanks."""
    return tuple(token for token, _ in itertools.groupby(alignment) if token != BLANK)


def probabilities(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """Return the probability of each translation that log-probabilities [T,V] of one sentence allow."""
    length, size = log_probs.shape
    rows, found = log_probs.double().exp().tolist(), defaultdict[tuple[int, ...], float](float)
    for alignment in itertools.product(range(size), repeat=length):
        probability = 1.0
        for position, token in enumerate(alignment):
            probability *= rows[position][token]
        found[collapse(alignment)] += probability
    return dict(found)


def random_log_probs(seed: int, *shape: int, scale: float = 2.0) -> Tensor:
    """Draw log-probabilities [...,V]."""
    return (scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).log_softmax(-1)


class TableCtc(Model):
    """Its output positions are `rate` for each source token, with log-probabilities from a table [S·rate,V]."""

    def __init__(self, table: Tensor, rate: int = 1) -> None:
        size = table.size(-1)
        capabilities = Capabilities(search=frozenset(["ctc"]), attention=False, blank=BLANK)
        super().__init__(VocabularySpec(size, size), capabilities)
        self.table, self.rate = table, rate

    def encode(self, inputs: ModelInputs) -> EncoderOutput:
        lengths = None if inputs.lengths is None else self.rate * inputs.lengths
        assert inputs.ids is not None
        rows = self.table[: inputs.ids.size(1) * self.rate].expand(inputs.batch_size, -1, -1)
        return EncoderOutput(prefix=DecoderOutput(rows, lengths))

    def decode(self, encoder_output: EncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        assert encoder_output.prefix is not None and target.ids is None
        return encoder_output.prefix

    def logits(self, output: DecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        assert positions is None
        return output.hidden_states.flatten(0, 1)
