"""Validation: loss and scores of each validation set, computed by all ranks together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from nmt_cli.data.batches import validation_batches
from nmt_cli.data.packing import pack_documents
from nmt_cli.data.prepared import Prepared
from nmt_cli.devices import autocast
from nmt_cli.evaluation.perplexity import perplexity
from nmt_cli.models.contract import Model
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.trainer import Trainer

_BATCH_TOKENS = 4096
"""Maximum padded target tokens of a batch; more fit than in training, as no gradient is kept."""


@dataclass(frozen=True)
class ValidationDecoder:
    """Translates and scores the validation sets. Passed in, because training does not depend on decoding."""

    sources: Mapping[str, Sequence[Any]]
    """Inputs of `translate` for each line, by set."""
    translate: Callable[[Model, Sequence[Any]], list[str]]
    """Translates some of the inputs."""
    score: Callable[[str, list[str]], Mapping[str, float]]
    """Scores of the translations of a set, by metric."""


def validate(
    trainer: Trainer, prepared: Prepared, decoder: ValidationDecoder, weights: Mapping[str, Tensor] | None = None
) -> dict[str, dict[str, float]]:
    """Return loss (nats per target token, without label smoothing) and scores of each set; equal on all ranks.

    Args:
        weights: Parameters to validate; those of the trainer by default.
    """
    scores = {}
    with trainer.evaluating(weights) as model:
        for name in prepared.valid:
            loss = _loss(trainer, prepared, name)
            hypotheses = _translate(trainer.distributed, model, decoder, name)
            of_text = {"perplexity": perplexity(loss)} if prepared.is_monolingual else {}
            scores[name] = {"loss": loss, **of_text, **decoder.score(name, hypotheses)}
    return scores


def _loss(trainer: Trainer, prepared: Prepared, name: str) -> float:
    tokenizer, distributed = prepared.tokenizer, trainer.distributed
    pairs = prepared.valid[name].read_all()
    if prepared.is_monolingual:
        pairs = pack_documents(pairs.targets, tokenizer.special_tokens, prepared.max_length)
    batches = list(validation_batches(pairs, _BATCH_TOKENS, tokenizer.special_tokens, prepared.layout))
    total, tokens = 0.0, 0
    with torch.no_grad(), autocast(trainer.device, trainer.settings.precision):
        for batch in islice(batches, distributed.rank, None, distributed.world_size):
            loss, count, _ = trainer.objective(batch.to(trainer.device))
            total, tokens = total + float(loss), tokens + count
    total, summed = distributed.all_reduce_sum(total, tokens)
    return total / max(summed, 1)


def _translate(distributed: Distributed, model: Model, decoder: ValidationDecoder, name: str) -> list[str]:
    """Translate all lines of a set; of n ranks, each translates every n-th line."""
    sources, num_ranks = decoder.sources[name], distributed.world_size
    by_rank = distributed.all_gather_object(decoder.translate(model, sources[distributed.rank :: num_ranks]))
    return [by_rank[line % num_ranks][line // num_ranks] for line in range(len(sources))]
