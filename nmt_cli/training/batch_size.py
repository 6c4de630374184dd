"""`batch_tokens: auto`: find out how many tokens fit into memory at once."""

import numpy as np
import torch

from nmt_cli.console import Reporter
from nmt_cli.data.arrays import Integers, RaggedArray
from nmt_cli.data.batches import Batch, collate
from nmt_cli.data.packing import pack_documents
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.token_corpus import TokenPairs
from nmt_cli.devices import autocast, is_out_of_memory
from nmt_cli.text.special_tokens import COPY_IDS
from nmt_cli.training.trainer import Trainer

_MIN_TOKENS = 512
_TOKENS_PER_CPU_THREAD = 2048
"""Larger batches are rarely much faster on a CPU (`benchmarks/batch_tokens.py`), and need more memory."""
_SAFETY_FACTOR = 0.8
"""Fraction of the size that just fitted, because memory becomes fragmented."""


def default_batch_tokens(update_tokens: int, device: torch.device) -> int:
    """Return the largest useful size of a batch, given one rank's part of an update; less may fit into memory."""
    limit = max(_MIN_TOKENS, update_tokens)
    return min(limit, _TOKENS_PER_CPU_THREAD * torch.get_num_threads()) if device.type == "cpu" else limit


def find_batch_tokens(trainer: Trainer, prepared: Prepared, reporter: Reporter) -> int:
    """Return how many padded target tokens of the longest pairs fit into memory. Changes no parameter.

    Tries sizes that double, up to one rank's part of an update: larger batches would not be used.
    """
    num_ranks = trainer.distributed.world_size
    part = trainer.settings.update_tokens // num_ranks
    if num_ranks > 1:  # a rank's part of a batch may have one pair more than its average
        part += 1 + _max_lengths(prepared)[1]
    limit = default_batch_tokens(part, trainer.device)
    if trainer.device.type == "cpu":
        return limit
    # Stands for the optimizer state, which is allocated later.
    reserved = [torch.zeros_like(parameter) for parameter in trainer.model.parameters() for _ in range(2)]
    fitting, tokens = 0, _MIN_TOKENS
    while tokens < 2 * limit and _fits(trainer, _longest_batch(prepared, min(tokens, limit))):
        fitting, tokens = min(tokens, limit), 2 * tokens
    del reserved
    torch.cuda.empty_cache()
    found = fitting if fitting == limit else int(fitting * _SAFETY_FACTOR)
    smallest = max(1, min(map(int, trainer.distributed.all_gather_object(found))))
    reporter.info(f"batch_tokens: {smallest:,} fit into memory")
    return smallest


def _max_lengths(prepared: Prepared) -> tuple[int, int]:
    """Return the number of tokens of the longest source and of the longest target, or of a row without eos."""
    if prepared.is_monolingual:
        return 0, prepared.max_length - 1
    source, target = (max(corpus.max_length(side) for corpus in prepared.train) for side in ("source", "target"))
    return source, target


def _longest_batch(prepared: Prepared, tokens: int) -> Batch:
    """Return a full batch of pairs with the lengths of the longest source and the longest target."""
    source, target = _max_lengths(prepared)
    tokenizer = prepared.tokenizer
    sides = [
        RaggedArray(np.array([0, length]), np.full(length, tokenizer.special_tokens.unk)) for length in (source, target)
    ]
    # As in batch_by_size, a batch may have twice as many source tokens.
    rows = np.zeros(max(1, min(tokens // (target + 1), 2 * tokens // (source + 1))), np.int64)
    columns: dict[str, Integers] = {
        name: np.zeros((source, len(sizes)), np.int64) for name, sizes in tokenizer.source_columns.items()
    }
    if tokenizer.copies:
        columns[COPY_IDS] = np.arange(tokenizer.target_size, tokenizer.target_size + source)
    pairs = TokenPairs(sides[0], sides[1], source_columns=columns, target_size=tokenizer.target_size)
    if prepared.is_monolingual:
        pairs = pack_documents(sides[1], tokenizer.special_tokens, target + 1)
    return collate(pairs, rows, tokenizer.special_tokens, prepared.layout)


def _fits(trainer: Trainer, batch: Batch) -> bool:
    try:
        with autocast(trainer.device, trainer.settings.precision):
            loss, *_ = trainer.objective(batch.to(trainer.device))
        loss.backward()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        trainer.optimizers.zero_grad()
    return True
