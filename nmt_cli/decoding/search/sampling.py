"""Sampling: every word is drawn by chance, from all words or from the likelier ones."""

import itertools
import random
from collections.abc import Sequence

import torch
from torch import Tensor

from nmt_cli.decoding.rules import Rule, Said, Words
from nmt_cli.decoding.search.hypotheses import Hypothesis, before_end, best_first, longest_translations
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import SamplingSettings


@torch.inference_mode()
def sample(
    model: Model,
    source: ModelInputs,
    settings: SamplingSettings,
    rules: Sequence[Rule],
    sentences: Sequence[Sentence],
) -> list[list[Hypothesis]]:
    """`n_best` independent draws for each sentence, best first; none if the model's scores are not numbers.

    Chance depends on the seed, the line that a sentence belongs to and the number of the draw alone, so a sentence gets
    the same words in any company. A draw that reaches the greatest length is cut off, and has no end.
    """
    end, draws, lines = model.vocabulary.special_tokens.eos, settings.n_best, [sentence.line for sentence in sentences]
    longest = longest_translations(source, settings, sentences).unsqueeze(1)  # [B,1]
    chances = _chances(settings.seed, lines, draws, int(longest.max()) + 1).to(longest.device)  # [B,n,T]
    tokens = torch.full((*chances.shape[:2], chances.size(2) + 1), end, device=longest.device)  # with start
    tokens[:, :, 0] = model.vocabulary.special_tokens.decoder_start
    log_probability = torch.zeros_like(chances[:, :, 0])
    lengths = torch.zeros_like(tokens[:, :, 0])
    here = torch.arange(len(sentences), device=longest.device)  # the sentences still in the batch
    over = torch.zeros_like(lengths, dtype=torch.bool)
    ended = torch.zeros_like(over)
    state = model.init_cache(model.encode(source), source.batch_size).select(here.unsqueeze(1).expand(-1, draws))
    for length in itertools.count(1):  # of a draw that ends in this step, its end counted
        scores, state = model.step(tokens[here, :, length - 1], state)
        words = Words.ruled(scores, rules, Said(tokens[here, :, :length], here.cpu()))
        said = _draw(words.ranked, settings, chances[here, :, length - 1])
        counts = ~over & ((length <= longest[here]) | (said == end))
        tokens[here, :, length] = said.where(counts, end)
        log_probability[here] += words.own.gather(-1, said.unsqueeze(-1)).squeeze(-1).where(counts, 0)
        lengths[here] += counts
        ended[here] |= counts & (said == end)
        over |= (said == end) | (length > longest[here])
        kept = over.all(1).logical_not().nonzero()[:, 0]  # the step's one host synchronisation
        if not len(kept):
            break
        if len(kept) < len(here):
            state = state.select(kept.unsqueeze(1) * draws + torch.arange(draws, device=kept.device))
            here, over = here[kept], over[kept]
    score = log_probability / lengths.clamp(min=1) ** settings.length_penalty
    return [
        best_first(
            Hypothesis(before_end(row, end), total, ranked, complete)
            for row, total, ranked, complete in zip(*sentence, strict=True)
            if total > -torch.inf  # it is a number
        )
        for sentence in zip(
            tokens[:, :, 1:].tolist(), log_probability.tolist(), score.tolist(), ended.tolist(), strict=True
        )
    ]


def _draw(scores: Tensor, settings: SamplingSettings, chance: Tensor) -> Tensor:
    """One word [B,k] after each hypothesis, by inversion of the cumulative distribution at `chance` in [0,1)."""
    scores, tokens = scores / settings.temperature, None
    if settings.top_k is not None or settings.top_p is not None:
        scores, tokens = scores.topk(min(settings.top_k or scores.size(-1), scores.size(-1)))
    probability = scores.double().softmax(-1)
    likeliest = probability.amax(-1, keepdim=True)
    if settings.top_p is not None:  # what the likelier words have together decides, so the likeliest always stays
        probability = probability.masked_fill(probability.cumsum(-1) - probability >= settings.top_p, 0)
    if settings.min_p is not None:
        probability = probability.masked_fill(probability < settings.min_p * likeliest, 0)
    if settings.epsilon is not None:
        probability = probability.masked_fill(probability < likeliest.clamp(max=settings.epsilon), 0)
    cumulative = probability.cumsum(-1)
    place = torch.searchsorted(cumulative, chance.unsqueeze(-1) * cumulative[..., -1:], right=True)
    place = place.clamp(max=scores.size(-1) - 1)  # scores that are not numbers have no place
    return (place if tokens is None else tokens.gather(-1, place)).squeeze(-1)


def _chances(seed: int, lines: Sequence[int], draws: int, steps: int) -> Tensor:
    """Uniform numbers [B,draws,steps] in [0,1), a generator of its own for each draw of each line."""
    rows = []
    for line, draw in itertools.product(lines, range(draws)):
        generator = random.Random(f"{seed} {line} {draw}")
        rows.append([generator.random() for _ in range(steps)])
    return torch.tensor(rows, dtype=torch.double).view(len(lines), draws, steps)
