"""Validation: the loss and the translations' scores of each validation set, the work shared by all ranks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from nmt_cli.data.batches import validation_batches
from nmt_cli.data.prepared import Prepared
from nmt_cli.devices import arithmetic
from nmt_cli.models.contract import TranslationModel
from nmt_cli.training.learner import Learner

_BATCH_TOKENS = 4096
"""Padded target tokens at once; there is no gradient to be held."""


@dataclass(frozen=True)
class Translation:
    """How the sets are translated and scored, which is not training's to know."""

    sources: Mapping[str, Sequence[Any]]
    """What is to be translated of each set: for each line something that `translate` takes."""
    translate: Callable[[TranslationModel, Sequence[Any]], list[str]]
    """Translations of some lines."""
    score: Callable[[str, list[str]], Mapping[str, float]]
    """BLEU and chrF of a set's translations."""


def validate(learner: Learner, prepared: Prepared, translation: Translation) -> dict[str, dict[str, float]]:
    """Loss in nats per target token (without label smoothing), BLEU and chrF of each set; the same on all ranks."""
    scores = {}
    with learner.evaluating() as model:
        for name in prepared.valid:
            loss = _loss(learner, prepared, name)
            hypotheses = _hypotheses(learner, model, translation, name)
            scores[name] = {"loss": loss, **translation.score(name, hypotheses)}
    return scores


def _loss(learner: Learner, prepared: Prepared, name: str) -> float:
    words, ranks, settings = prepared.tokenizer, learner.ranks, learner.settings
    batches = list(validation_batches(prepared.valid[name].whole(), _BATCH_TOKENS, words.special_tokens))
    total, tokens = 0.0, 0
    with torch.no_grad(), arithmetic(learner.device, settings.precision):
        for batch in islice(batches, ranks.number, None, ranks.count):
            loss, count = learner.objective(batch.to(learner.device))
            total, tokens = total + float(loss), tokens + count
    total, summed = ranks.sum(total, tokens)
    return total / max(summed, 1)


def _hypotheses(learner: Learner, model: TranslationModel, translation: Translation, name: str) -> list[str]:
    """Translations of all lines, of which each rank makes every n-th."""
    ranks, sources = learner.ranks, translation.sources[name]
    parts = ranks.gather(translation.translate(model, sources[ranks.number :: ranks.count]))
    return [parts[line % ranks.count][line // ranks.count] for line in range(len(sources))]
