"""Glancing training of CTC models (Qian et al. 2021; Gu & Kong 2021): which tokens the decoder is shown.

The decoder first predicts all positions alone. Its predictions are compared with the most probable alignment of the
target, as in this example with `-` for blank:

    target      a b b
    predicted   a - - b b -
    alignment   a - b - b -

They differ at two positions; with a ratio of 0.5, one position of the six, drawn at random, is revealed.
"""

from typing import Any

import torch
from torch import Tensor

from nmt_cli.models.contract import DecoderInput, Model
from nmt_cli.models.kernels import at_least_fp32
from nmt_cli.recipe.training import Glancing
from nmt_cli.training.objectives.objective import chunk_size


def glancing_ratio(settings: Glancing | None, fraction_done: float) -> float:
    """Return the fraction of the wrong positions that is revealed after a fraction of the training."""
    if settings is None:
        return 0.0
    return settings.ratio + (settings.final_ratio - settings.ratio) * fraction_done


@torch.no_grad()
def tokens_to_reveal(model: Model, encoder_output: Any, labels: Tensor, label_lengths: Tensor, ratio: float) -> Tensor:
    """Return the ids [B,T] of DecoderInput.revealed, after a pass of the decoder. No gradient flows.

    Args:
        model: Has a blank.
        encoder_output: Of `model.encode`.
        labels: [B,L], of which the first `label_lengths` [B] count.
        ratio: Fraction of the wrong positions.
    """
    blank = model.capabilities.blank
    assert blank is not None
    output = model.decode(encoder_output, DecoderInput(None))
    num_sentences, length, _ = output.hidden_states.shape
    size = chunk_size(length * model.vocabulary.target_size, labels.device)
    predicted, scores = list[Tensor](), list[Tensor]()
    for sentences in torch.split(torch.arange(num_sentences, device=labels.device), size):
        logits = model.logits(output.select(sentences)).view(len(sentences), length, -1)
        states = alignment_states(labels[sentences], blank)
        predicted.append(logits.argmax(2))
        scores.append(at_least_fp32(logits.gather(2, states[:, None].expand(-1, length, -1))))
    alignment = viterbi_alignment(torch.cat(scores), labels, label_lengths, blank, output.lengths)
    return draw_revealed(alignment, torch.cat(predicted), ratio)


def draw_revealed(alignment: Tensor, predicted: Tensor, ratio: float) -> Tensor:
    """Draw some positions of alignments [B,T]; return the ids there, -1 elsewhere.

    Their number is `ratio` times that of the positions where the predicted ids [B,T] are others, rounded. They are
    drawn from all positions of a sentence whose id in the alignment is not -1.
    """
    is_possible = alignment >= 0
    num_wrong = ((predicted != alignment) & is_possible).sum(1, keepdim=True)
    draws = torch.rand(alignment.shape, device=alignment.device).masked_fill(~is_possible, torch.inf)
    ranks = draws.argsort(1).argsort(1)
    return alignment.masked_fill(ranks >= (ratio * num_wrong).round(), -1)


def alignment_states(labels: Tensor, blank: int) -> Tensor:
    """Return the ids [B,2L+1] of the states that an alignment passes through: a blank before, between and after labels
    [B,L]."""
    states = labels.new_full((len(labels), 2 * labels.size(1) + 1), blank)
    states[:, 1::2] = labels
    return states


def viterbi_alignment(
    scores: Tensor, labels: Tensor, label_lengths: Tensor, blank: int, lengths: Tensor | None = None
) -> Tensor:
    """Return the most probable alignment of each target, ids [B,T].

    An alignment begins in one of the first two states, ends in one of the last two, and at each position stays in its
    state, goes on to the next one, or leaves out a blank between different labels (Graves et al. 2006).

    Args:
        scores: [B,T,2L+1], log-probabilities of the states of `alignment_states`; or logits, as a constant added to a
            position changes nothing.
        labels: [B,L], of which the first `label_lengths` [B] count.
        blank: Its id.
        lengths: [B], positions that count, at least one each; None: all of them.

    Returns:
        -1 at other positions, and at all positions of a sentence without an alignment, as the target is too long.
    """
    num_sentences, length, num_states = scores.shape
    skip = scores.new_full((num_sentences, num_states), -torch.inf)
    skip[:, 3::2].masked_fill_(labels[:, 1:] != labels[:, :-1], 0.0)
    # Of the best alignment up to each state, after two columns for states before the first one.
    best = scores.new_full((num_sentences, num_states + 2), -torch.inf)
    best[:, 2:4] = scores[:, 0, :2]
    steps = list[Tensor]()  # how many states before its own each best alignment was in
    for position in range(1, length):
        totals, step = torch.stack([best[:, 2:], best[:, 1:-1], best[:, :-2] + skip]).max(0)
        totals += scores[:, position]
        if lengths is not None:
            is_padding = (position >= lengths)[:, None]
            totals, step = torch.where(is_padding, best[:, 2:], totals), step.masked_fill(is_padding, 0)
        best[:, 2:] = totals
        steps.append(step)
    last = 2 * label_lengths
    total, step = best.gather(1, torch.stack([last + 2, last + 1], 1)).max(1)
    states = [last - step]
    for step in reversed(steps):
        states.append(states[-1] - step.gather(1, states[-1][:, None]).squeeze(1))
    ids = alignment_states(labels, blank).gather(1, torch.stack(states[::-1], 1))
    is_aligned = (total > -torch.inf)[:, None]
    if lengths is not None:
        is_aligned = is_aligned & (torch.arange(length, device=lengths.device) < lengths[:, None])
    return ids.masked_fill(~is_aligned, -1)
