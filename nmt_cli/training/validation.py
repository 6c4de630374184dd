"""Validation: the loss and the translations' scores of each validation set."""

from collections.abc import Callable, Mapping

import torch

from nmt_cli.data.batches import validation_batches
from nmt_cli.data.prepared import Prepared
from nmt_cli.devices import arithmetic
from nmt_cli.recipe.training import Training
from nmt_cli.training.objectives.cross_entropy import CrossEntropy

TranslationScores = Callable[[str], Mapping[str, float]]
"""Translates a validation set, by name, and scores what comes out."""


def validate(
    objective: CrossEntropy,
    prepared: Prepared,
    settings: Training,
    translation_scores: TranslationScores,
    device: torch.device,
) -> dict[str, dict[str, float]]:
    """Loss in nats per target token (without label smoothing), BLEU and chrF of each set.

    The model is in training mode before and after.
    """
    objective.eval()
    words = prepared.tokenizer
    scores = {}
    for name, corpus in prepared.valid.items():
        total, tokens = 0.0, 0
        with torch.inference_mode(), arithmetic(device, settings.precision):
            for batch in validation_batches(corpus, settings.batch_tokens, words.start, words.end, words.pad):
                loss, count = objective(batch.to(device))
                total, tokens = total + float(loss), tokens + count
        scores[name] = {"loss": total / max(tokens, 1), **translation_scores(name)}
    objective.train()
    return scores
