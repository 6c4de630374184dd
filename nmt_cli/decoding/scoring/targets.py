"""Log-probabilities and cross-attention of given translations, token by token."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from nmt_cli.decoding.scoring.ctc import ctc_token_log_probs, output_log_probs
from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model, ModelInputs, OutputPositions

_POSITIONS_PER_CHUNK = 1024
"""Target positions scored at once, each against the whole vocabulary."""


@dataclass(frozen=True)
class TargetScores:
    """Scores of one given translation of T tokens from a source of S tokens, eos not counted in either."""

    token_log_probs: tuple[float, ...]
    """[T+1] natural logarithms, eos last."""
    cross_attention: Tensor | None
    """[T+1,S+1] on the CPU; None unless requested, or if the model has no attention."""
    copy_probabilities: tuple[float, ...] | None = None
    """[T+1], of copying a source token at each position; None if the model never does."""

    @property
    def log_probability(self) -> float:
        """Log-probability of the translation, eos included, as search reports it."""
        return math.fsum(self.token_log_probs)


@torch.inference_mode()
def score_targets(
    model: Model, source: ModelInputs, targets: Sequence[Sequence[int]], attention: bool = False
) -> list[TargetScores]:
    """Score given translations with teacher forcing; with a CTC model, by the sum over their alignments.

    Args:
        targets: Token ids of each translation, without bos and eos.
        attention: Also return cross-attention.
    """
    if (blank := model.capabilities.blank) is not None:
        remaining = iter(targets)
        parts = [(each, list(islice(remaining, len(each)))) for each in output_log_probs(model, source)]
        return [TargetScores(found, None) for part in parts for found in ctc_token_log_probs(*part, blank)]
    special_tokens = model.vocabulary.special_tokens
    assert source.ids is not None
    device = source.ids.device
    lengths = [len(target) + 1 for target in targets]
    max_length = max(lengths)
    labels = torch.tensor(
        [[*target, *[special_tokens.eos] * (max_length - len(target))] for target in targets], device=device
    )
    start = torch.full_like(labels[:, :1], special_tokens.decoder_start)
    prompt = start if source.prompt is None else source.prompt
    decoder_input = DecoderInput(torch.cat([prompt, labels[:, :-1]], dim=1))
    output = model.decode(model.encode(source), decoder_input, attention)
    if num_skipped := prompt.size(1) - 1:
        hidden_states, weights = output.hidden_states[:, num_skipped:], output.cross_attention
        weights = None if weights is None else weights[:, num_skipped:]
        output = replace(output, hidden_states=hidden_states, cross_attention=weights)
    is_label = torch.arange(max_length, device=device) < torch.tensor(lengths, device=device)[:, None]
    positions = OutputPositions.from_index(is_label.flatten().nonzero()[:, 0], max_length)
    log_probs = iter(label_log_probs(model, output, positions, labels.flatten()[positions.index]).tolist())
    copied = model.copy_probability(output)
    probabilities = None if copied is None else copied.float().tolist()
    sizes = [source.ids.size(1)] * len(targets) if source.lengths is None else source.lengths.tolist()
    weights = None if output.cross_attention is None or not attention else output.cross_attention.float().cpu()
    return [
        TargetScores(
            tuple(next(log_probs) for _ in range(length)),
            None if weights is None else weights[row, :length, : sizes[row]].clone(),
            None if probabilities is None else tuple(probabilities[row][:length]),
        )
        for row, length in enumerate(lengths)
    ]


def label_log_probs(model: Model, output: DecoderOutput, positions: OutputPositions, labels: Tensor) -> Tensor:
    """Return the natural log-probability [n], in fp32, of a label [n] after each position, some positions at a time."""
    chunks = zip(positions.split(_POSITIONS_PER_CHUNK), torch.split(labels, _POSITIONS_PER_CHUNK), strict=True)
    found = [
        model.logits(output, chunk).float().log_softmax(1).gather(1, ids.unsqueeze(1)).squeeze(1)
        for chunk, ids in chunks
    ]
    return torch.cat(found)
