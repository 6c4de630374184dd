"""Probabilities of translations under CTC models (Graves et al. 2006): the sum over all of their alignments."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from nmt_cli.models.contract import DecoderInput, Model, ModelInputs

_LOGITS_AT_ONCE = 2**24
"""Maximum number of logits in memory at a time, unless a single sentence has more."""


def output_log_probs(model: Model, inputs: ModelInputs) -> Iterator[Tensor]:
    """Yield log-probabilities [B',T,V] in fp32, a part of the sentences at a time; padding is blank with certainty."""
    output, blank = model.decode(model.encode(inputs), DecoderInput(None)), model.capabilities.blank
    num_sentences, length, _ = output.hidden_states.shape
    size, device = model.vocabulary.target_size, output.hidden_states.device
    count = max(1, _LOGITS_AT_ONCE // (length * size))
    for first in range(0, num_sentences, count):
        part = output
        if count < num_sentences:
            part = output.select(torch.arange(first, min(first + count, num_sentences), device=device))
        log_probs = model.logits(part).view(-1, length, size).float().log_softmax(2)
        if part.lengths is not None:
            is_padding = torch.arange(length, device=device) >= part.lengths[:, None]
            log_probs = log_probs.masked_fill(is_padding[:, :, None], -torch.inf)
            log_probs[:, :, blank] = log_probs[:, :, blank].masked_fill(is_padding, 0.0)
        yield log_probs


def ctc_log_probabilities(log_probs: Tensor, targets: Sequence[Sequence[int]], blank: int) -> list[float]:
    """Return the log-probability of each target, one for each sentence; -inf if it has no alignment.

    Args:
        log_probs: [B,T,V]
        targets: Token ids.
    """
    rows = _padded(targets, blank).to(log_probs.device)
    sizes = torch.full((len(rows),), log_probs.size(1)), torch.tensor(list(map(len, targets)))
    losses = functional.ctc_loss(log_probs.transpose(0, 1), rows, *sizes, blank, reduction="none")
    found: list[float] = losses.neg().tolist()
    return found


def ctc_token_log_probs(log_probs: Tensor, targets: Sequence[Sequence[int]], blank: int) -> list[tuple[float, ...]]:
    """Return the log-probability of each token of each target, one for each sentence, given those before it; eos last.

    P(token | prefix) = P(translations that begin with prefix and token) / P(translations that begin with prefix), so
    the product over all tokens is the probability of the target.

    Args:
        log_probs: [B,T,V]
        targets: Token ids without eos.
    """
    rows = _padded(targets, blank).to(log_probs.device)
    exact, is_repeated = log_probs.double(), torch.zeros_like(rows, dtype=torch.bool)
    is_repeated[:, 1:] = rows[:, 1:] == rows[:, :-1]
    of_blank = exact[:, :, blank, None]
    of_tokens = exact.gather(2, rows[:, None].expand(-1, exact.size(1), -1))
    # [B,L+1], of the alignments of each prefix up to a position: those that end in blank, and in its last token.
    after_blank = exact.new_full((len(rows), rows.size(1) + 1), -torch.inf)
    after_blank[:, 0] = 0
    after_token = torch.full_like(after_blank, -torch.inf)
    begin = torch.full_like(of_tokens[:, 0], -torch.inf)  # [B,L], of all translations that begin with a prefix
    for position in range(exact.size(1)):
        # Only after a blank, an equal token is a new one.
        may_follow = after_token[:, :-1].masked_fill(is_repeated, -torch.inf)
        new = after_blank[:, :-1].logaddexp(may_follow) + of_tokens[:, position]
        begin = begin.logaddexp(new)
        after_blank = after_blank.logaddexp(after_token) + of_blank[:, position]
        after_token[:, 1:] = new.logaddexp(after_token[:, 1:] + of_tokens[:, position])
    total = after_blank.logaddexp(after_token)
    return [
        tuple(_ratio(one, other) for one, other in pairwise((0.0, *begins[: len(target)], totals[len(target)])))
        for begins, totals, target in zip(begin.tolist(), total.tolist(), targets, strict=True)
    ]


def _padded(targets: Sequence[Sequence[int]], blank: int) -> Tensor:
    """Return targets as a tensor [B,L], L ≥ 1, padded with the blank."""
    length = max(1, *map(len, targets))
    return torch.tensor([[*target, *[blank] * (length - len(target))] for target in targets])


def _ratio(before: float, after: float) -> float:
    """Return the log-probability of a token, from those of the prefixes before and after it."""
    return -math.inf if after == -math.inf else min(after - before, 0.0)
