"""Sampling: each token is drawn from the model's distribution, or from its more likely tokens."""

import itertools
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.logits_processors.processor import ProcessorList
from nmt_cli.decoding.search.hypotheses import Hypothesis, before_eos, begin_search, normalize_score
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import SamplingSettings


@torch.inference_mode()
def sample(
    model: Model,
    inputs: ModelInputs,
    settings: SamplingSettings,
    processors: ProcessorList,
    max_lengths: Tensor,
    lines: Sequence[int],
) -> list[list[Hypothesis]]:
    """Return `n_best` independent samples for each sentence, as drawn; none if the model's logits are not finite.

    Samples depend only on the seed, the line number and the index of the sample, so a sentence gets the same samples in
    any batch. A sample that reaches the maximum length is truncated and has no eos. One host synchronization a step.

    Args:
        max_lengths: [B] maximum target tokens, without eos.
        lines: Line number of each sentence.
    """
    eos, count, device = model.vocabulary.special_tokens.eos, settings.n_best, max_lengths.device
    max_lengths = max_lengths.unsqueeze(1)  # [B,1]
    uniform = _uniform_draws(settings.seed, lines, count, int(max_lengths.max()) + 1).to(device)  # [B,n,T]
    tokens = torch.full((*uniform.shape[:2], uniform.size(2) + 1), eos, device=device)  # bos first
    cache, first_tokens = begin_search(model, inputs)
    tokens[:, :, 0] = first_tokens.unsqueeze(1)
    log_probs = torch.zeros_like(uniform[:, :, 0])
    lengths = torch.zeros_like(tokens[:, :, 0])
    here = torch.arange(len(lines), device=device)  # the sentences still in the batch
    is_over = torch.zeros_like(lengths, dtype=torch.bool)
    has_eos = torch.zeros_like(is_over)
    rows = here.unsqueeze(1).expand(-1, count)
    cache = cache.select(rows)
    states = processors.select(processors.begin(len(lines)), rows)
    for length in itertools.count(1):  # of a sample that ends in this step, eos included
        logits, cache = model.step(tokens[here, :, length - 1], cache)
        processed, states = processors(logits, tokens[here, :, :length], states)
        next_tokens = _sample_next_token(processed.scores, settings, uniform[here, :, length - 1])
        is_eos = next_tokens == eos
        counts = ~is_over & ((length <= max_lengths[here]) | is_eos)
        tokens[here, :, length] = next_tokens.where(counts, eos)
        log_probs[here] += processed.log_probs.gather(-1, next_tokens.unsqueeze(-1)).squeeze(-1).where(counts, 0)
        lengths[here] += counts
        has_eos[here] |= counts & is_eos
        is_over |= is_eos | (length > max_lengths[here])
        kept = is_over.all(1).logical_not().nonzero()[:, 0]
        if not len(kept):
            break
        if len(kept) < len(here):
            rows = kept.unsqueeze(1) * count + torch.arange(count, device=device)
            cache, states = cache.select(rows), processors.select(states, rows)
            here, is_over = here[kept], is_over[kept]
    scores = normalize_score(log_probs, lengths, settings.length_penalty)
    return [
        [
            Hypothesis(before_eos(row, eos), log_prob, score, is_complete)
            for row, log_prob, score, is_complete in zip(*sentence, strict=True)
            if log_prob > -torch.inf  # false for NaN, too
        ]
        for sentence in zip(
            tokens[:, :, 1:].tolist(), log_probs.tolist(), scores.tolist(), has_eos.tolist(), strict=True
        )
    ]


def _sample_next_token(scores: Tensor, settings: SamplingSettings, uniform: Tensor) -> Tensor:
    """Return one token [B,k] after each hypothesis, by inversion of the cumulative distribution at `uniform` [B,k]."""
    scores, tokens = scores / settings.temperature, None
    if settings.top_k is not None or settings.top_p is not None:
        scores, tokens = scores.topk(min(settings.top_k or scores.size(-1), scores.size(-1)))
    probs = scores.double().softmax(-1)
    max_prob = probs.amax(-1, keepdim=True)
    if settings.top_p is not None:  # the probability of all more likely tokens decides, so the most likely always stays
        probs = probs.masked_fill(probs.cumsum(-1) - probs >= settings.top_p, 0)
    if settings.min_p is not None:
        probs = probs.masked_fill(probs < settings.min_p * max_prob, 0)
    if settings.epsilon is not None:
        probs = probs.masked_fill(probs < max_prob.clamp(max=settings.epsilon), 0)
    cumulative = probs.cumsum(-1)
    index = torch.searchsorted(cumulative, uniform.unsqueeze(-1) * cumulative[..., -1:], right=True)
    index = index.clamp(max=scores.size(-1) - 1)  # for NaN
    return (index if tokens is None else tokens.gather(-1, index)).squeeze(-1)


def _uniform_draws(seed: int, lines: Sequence[int], count: int, steps: int) -> Tensor:
    """Return uniform numbers [B,count,steps] in [0,1), from a separate generator for each sample of each line."""
    rows = []
    for line, draw in itertools.product(lines, range(count)):
        rng = random.Random(f"{seed} {line} {draw}")
        rows.append([rng.random() for _ in range(steps)])
    return torch.tensor(rows, dtype=torch.double).view(len(lines), count, steps)
