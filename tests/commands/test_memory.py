"""nmt train with little memory: allocations that really fail split the batch or end the run."""

import ctypes
import resource
from pathlib import Path

import pytest
import torch
from forked_runs import records, start

from nmt_cli.commands.preprocess import preprocess
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.runs.checkpoints import read_tensors

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("architecture", ["transformer"])]
SETTINGS = [
    "tokenizer.vocabulary_size=24",
    "data.max_length=4000",
    "model.dropout=0",
    "model.attention_dropout=0",
    "model.activation_dropout=0",
    "training.subword_sampling=null",
    "training.optimizer.type=sgd",
    "training.update_tokens=4000",
    "training.batch_tokens=4000",
    "training.limits.updates=1",
    "decoding.beam_size=1",
]
"""Nothing is random, and another order of summation makes little difference."""

M_MMAP_MAX = -4
"""Option of mallopt in glibc; 65,536 is its default."""


def limit_memory(mebibytes: int) -> None:
    """Limit how much more memory this process can allocate.

    Large blocks are returned to the system as in a new process: earlier tests may have called `keep_freed_memory`.
    """
    ctypes.CDLL(None).mallopt(M_MMAP_MAX, 65536)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    max_bytes = pages * resource.getpagesize() + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))


def prepare(lines: int, words: int) -> None:
    """Prepare a corpus of equal lines."""
    for language, text in (("en", "one two three four five"), ("de", "eins zwei drei vier fünf")):
        Path(f"train.{language}").write_text(f"{' '.join([text] * (words // 5))}\n" * lines)
    preprocess(load_recipe(Path("recipe.yaml"), SETTINGS))


@pytest.mark.long
def test_batches_split_for_lack_of_memory_give_the_same_parameters(recipe: Path) -> None:
    prepare(lines=300, words=10)
    settings = [*SETTINGS, "model.feed_forward=20000", "training.update_tokens=16000"]  # of four batches
    for run, mebibytes in (("ample", 8192), ("limited", 1000)):
        forked = start(run, settings, before=lambda: limit_memory(mebibytes))  # noqa: B023
        assert forked.exit_code() == 0, forked.stderr
        split = [record for record in records(run, "event") if record["event"] == "out of memory"]
        assert bool(split) is (run == "limited")
        assert any("nmt: warning: " in line and "memory" in line for line in forked.stderr.split("\n")) is bool(split)
    ample, limited = (read_tensors(Path(run, "checkpoints/step_1/model.safetensors")) for run in ("ample", "limited"))
    for name, weight in ample.items():
        torch.testing.assert_close(limited[name], weight)


def test_pair_that_does_not_fit_into_memory_fails(recipe: Path) -> None:
    prepare(lines=4, words=500)
    forked = start("run", [*SETTINGS, "model.feed_forward=60000"], before=lambda: limit_memory(300))
    assert forked.exit_code() == 5, forked.stderr
    assert forked.stderr.count("nmt: error: ") == 1
    assert "Traceback" not in forked.stderr
