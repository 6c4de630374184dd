"""How many tokens a device holds at once: `batch_tokens: auto`."""

import numpy as np
import torch

from nmt_cli import console
from nmt_cli.data.batches import Batch, assemble
from nmt_cli.data.prepared import Prepared
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
    console.say(f"batch_tokens: {everywhere:,} fit into memory")
    return everywhere


def _longest(prepared: Prepared, tokens: int) -> Batch:
    """A batch of the pair with the longest target, as often as there is room."""
    lengths = np.concatenate([corpus.target_lengths for corpus in prepared.train])
    pair, words = int(lengths.argmax()), prepared.tokenizer
    pairs = np.full(max(1, tokens // (int(lengths[pair]) + 1)), pair)
    return assemble(prepared.train, pairs, words.start, words.end, words.pad)


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
