"""nmt train with too little memory: real refusals of the operating system, which split the batch or end the run."""

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
"""Nothing is random, and sums that are rounded in another order make little difference."""


def memory_for(mebibytes: int) -> None:
    """This process may take so much more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def prepare(lines: int, words: int) -> None:
    """A corpus of equal lines."""
    for language, numbers in (("en", "one two three four five"), ("de", "eins zwei drei vier fünf")):
        Path(f"train.{language}").write_text(f"{' '.join([numbers] * (words // 5))}\n" * lines)
    preprocess(load_recipe(Path("recipe.yaml"), SETTINGS))


def test_where_memory_is_short_batches_are_split_and_the_weights_are_the_same(recipe: Path) -> None:
    prepare(lines=300, words=10)
    settings = [*SETTINGS, "model.feed_forward=20000"]
    for run, mebibytes in (("ample", 8192), ("scarce", 850)):
        forked = start(run, settings, before=lambda: memory_for(mebibytes))  # noqa: B023
        assert forked.exit_code() == 0, forked.stderr
        split = [record for record in records(run, "event") if record["event"] == "out of memory"]
        assert bool(split) is (run == "scarce")
        assert ("nmt: warning: " in forked.stderr) is (run == "scarce")
    ample, scarce = (read_tensors(Path(run, "checkpoints/step_1/model.safetensors")) for run in ("ample", "scarce"))
    for name, weight in ample.items():
        torch.testing.assert_close(scarce[name], weight)


def test_where_not_even_one_pair_fits_it_is_told(recipe: Path) -> None:
    prepare(lines=4, words=500)
    forked = start("run", [*SETTINGS, "model.feed_forward=60000"], before=lambda: memory_for(300))
    assert forked.exit_code() == 5, forked.stderr
    assert forked.stderr.count("nmt: error: ") == 1
    assert "Traceback" not in forked.stderr
