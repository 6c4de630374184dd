"""Forced decoding: what a model thinks of given translations, token by token, and where it looks meanwhile."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model, ModelInputs, OutputPositions

_POSITIONS = 1024
"""Scored at once, each against the whole vocabulary."""


@dataclass(frozen=True)
class Forced:
    """A given translation, as the model sees it."""

    log_probabilities: tuple[float, ...]
    """Of each token, natural logarithms; the last is the end's."""
    attention: Tensor | None
    """Where it looks as it says each token: [T+1,S] on the CPU, ends counted; if asked for, and the model has one."""

    @property
    def log_probability(self) -> float:
        """Of the whole, the end included: what search would report."""
        return math.fsum(self.log_probabilities)


@torch.inference_mode()
def force(model: Model, source: ModelInputs, targets: Sequence[Sequence[int]], attention: bool = False) -> list[Forced]:
    """Let the model say each target, tokens without start and end, as the translation of its source."""
    special = model.vocabulary.special_tokens
    assert source.ids is not None
    device = source.ids.device
    counts = [len(target) + 1 for target in targets]
    longest = max(counts)
    said = torch.tensor([[*target, *[special.eos] * (longest - len(target))] for target in targets], device=device)
    start = torch.full_like(said[:, :1], special.decoder_start)
    decoded = model.decode(model.encode(source), DecoderInput(torch.cat([start, said[:, :-1]], dim=1)), attention)
    real = (torch.arange(longest, device=device) < torch.tensor(counts, device=device)[:, None]).flatten().nonzero()
    found = iter(_log_probabilities(model, decoded, real[:, 0], said.flatten()))
    sizes = [source.ids.size(1)] * len(targets) if source.lengths is None else source.lengths.tolist()
    looks = None if decoded.cross_attention is None or not attention else decoded.cross_attention.float().cpu()
    return [
        Forced(
            tuple(next(found) for _ in range(count)),
            None if looks is None else looks[row, :count, : sizes[row]].clone(),
        )
        for row, count in enumerate(counts)
    ]


def _log_probabilities(model: Model, decoded: DecoderOutput, positions: Tensor, said: Tensor) -> list[float]:
    """Of what is said [B·T] at some positions [n]."""
    found = []
    for some in OutputPositions.from_index(positions, decoded.hidden_states.size(1)).split(_POSITIONS):
        each = model.logits(decoded, some).float().log_softmax(1)
        found.append(each.gather(1, said[some.index].unsqueeze(1)).squeeze(1))
    return [value for part in found for value in part.tolist()]
