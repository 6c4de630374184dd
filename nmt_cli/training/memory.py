"""How many tokens a device holds at once: `batch_tokens: auto`."""

import numpy as np
import torch

from nmt_cli import console
from nmt_cli.data.batches import Batch, assemble
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.token_corpus import Lines, TokenPairs
from nmt_cli.devices import arithmetic, is_out_of_memory
from nmt_cli.training.learner import Learner

_FEWEST = 512
_PER_THREAD_ON_CPU = 1024
"""Larger batches are slower on a CPU: what a layer makes no longer stays in its caches."""
_SHARE = 0.8
"""Of what just fitted, as memory gets fragmented."""


def batch_tokens_that_fit(learner: Learner, prepared: Prepared) -> int:
    """Most padded target tokens of a batch of the longest pairs, tried with sizes that double; no weight changes.

    Never more than an update's share for one rank, as larger batches would not be used.
    """
    most = max(_FEWEST, learner.settings.update_tokens // learner.ranks.count)
    if learner.device.type == "cpu":
        return min(most, _PER_THREAD_ON_CPU * torch.get_num_threads())
    # What the optimizer will hold must be left free.
    held = [torch.zeros_like(weight) for weight in learner.model.parameters() for _ in range(2)]
    fitting, tokens = 0, _FEWEST
    while tokens < 2 * most and _fits(learner, _longest(prepared, min(tokens, most))):
        fitting, tokens = min(tokens, most), 2 * tokens
    del held
    torch.cuda.empty_cache()
    found = fitting if fitting == most else int(fitting * _SHARE)
    everywhere = max(1, min(map(int, learner.ranks.gather(found))))
    console.info(f"batch_tokens: {everywhere:,} fit into memory")
    return everywhere


def _longest(prepared: Prepared, tokens: int) -> Batch:
    """A batch of pairs as long as the longest source and the longest target, as many as there is room for."""
    source, target = (max(corpus.longest(side) for corpus in prepared.train) for side in ("source", "target"))
    words = prepared.tokenizer
    sides = [Lines(np.array([0, length]), np.full(length, words.special_tokens.unk)) for length in (source, target)]
    rows = np.zeros(max(1, min(tokens // (target + 1), 2 * tokens // (source + 1))), np.int64)
    columns = {name: np.zeros((source, len(sizes)), np.int64) for name, sizes in words.source_columns.items()}
    pairs = TokenPairs(sides[0], sides[1], source_columns=columns)
    return assemble(pairs, rows, words.special_tokens)


def _fits(learner: Learner, batch: Batch) -> bool:
    try:
        with arithmetic(learner.device, learner.settings.precision):
            loss, _ = learner.objective(batch.to(learner.device))
        loss.backward()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        learner.optimizers.zero_grad()
    return True
