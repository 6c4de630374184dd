"""nmt train, stopped several times, ends bit-identical to an uninterrupted run with any settings."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked_runs import outcome, records, train_with_interruptions

from nmt_cli.commands import training_run
from nmt_cli.commands.train import train
from nmt_cli.training.data_iterator import UpdateBatches
from nmt_cli.training.trainer import Trainer

RECIPE = Path("recipe.yaml")
SHORT = [
    "training.batch_tokens=40",
    "training.limits.updates=9",
    "training.validation={every: 4, metric: loss, patience: null}",
    "training.checkpoints={keep_last: 1, keep_best: 2}",
    "training.logging.every=1",
    "decoding.beam_size=1",
]
"""More than an epoch of updates with several batches; subwords are sampled in each epoch."""
each_architecture = pytest.mark.parametrize(
    "architecture", ["transformer", pytest.param("rnn", marks=pytest.mark.slow)]
)
only_transformer = pytest.mark.parametrize("architecture", ["transformer"])


def assert_bit_identical_if_stopped(monkeypatch: pytest.MonkeyPatch, settings: list[str], updates: int = 1) -> None:
    """Compare a run stopped after every few updates with an uninterrupted one."""
    train(RECIPE, settings, Path("straight"))
    starts = train_with_interruptions(monkeypatch, "stopped", settings, updates)
    assert starts > 2
    assert outcome("stopped") == outcome("straight")


@pytest.mark.slow
@each_architecture
def test_run_stopped_after_each_update_is_bit_identical(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_bit_identical_if_stopped(monkeypatch, [*SHORT, "training.ema_decay=0.5", "training.word_dropout.source=0.2"])


@pytest.mark.slow
@pytest.mark.parametrize("updates", [2, 4])
def test_run_stopped_after_several_updates_is_bit_identical(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, updates: int
) -> None:
    assert_bit_identical_if_stopped(monkeypatch, SHORT, updates)


@pytest.mark.slow
@only_transformer
@pytest.mark.parametrize(
    "settings",
    [
        ["optimizer.type=adam", "schedule={type: noam, warmup: 4}"],
        ["optimizer={type: sgd, nesterov: true}", "schedule={type: linear, warmup: 2}", "ema_decay=0.9"],
        ["optimizer.type=muon", "schedule={type: cosine, warmup: 2}"],
        ["optimizer.type=adafactor", "schedule={type: wsd, warmup: 2, decay: 0.5}"],
        ["optimizer.type=adamw", "schedule={type: plateau, warmup: 0, patience: 1}", "validation.every=2"],
        ["consistency.type=r_drop", "word_dropout={source: 0.2, target: 0.2}"],
        ["consistency.type=simcut", "subword_sampling=null", "freeze=[encoder.*]"],
    ],
    ids=str,
)
def test_stopped_run_is_bit_identical_with_each_optimizer_schedule_and_regularization(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    assert_bit_identical_if_stopped(monkeypatch, [*SHORT, *(f"training.{setting}" for setting in settings)])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["rnn"])
def test_stopped_run_is_bit_identical_with_scheduled_sampling(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_bit_identical_if_stopped(monkeypatch, [*SHORT, "training.scheduled_sampling={max_rate: 0.5, end: 5}"])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["ctc"])
def test_stopped_run_is_bit_identical_with_glancing(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_bit_identical_if_stopped(monkeypatch, [*SHORT, "training.glancing={ratio: 1.0, final_ratio: 0.5}"])


@pytest.mark.slow
@only_transformer
def test_stopped_run_trains_on_the_same_pairs(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[int] = []

    def recording_steps(trainer: Trainer, updates: Iterator[UpdateBatches], seed: int) -> Any:
        def recorded() -> Iterator[UpdateBatches]:
            for update in updates:
                for each in update.micro_batches:
                    pairs.extend(map(int, each.batch.pair_ids))
                yield update

        return train_steps(trainer, recorded(), seed)

    train_steps = training_run.train_steps
    monkeypatch.setattr(training_run, "train_steps", recording_steps)
    settings = [*SHORT, "training.limits={updates: 100, epochs: 2}", "training.validation.every=1000"]
    train(recipe, settings, Path("straight"))
    straight, pairs = pairs, []
    train_with_interruptions(monkeypatch, "stopped", settings, updates=2)
    assert pairs == straight
    # An update may have pairs of two epochs, and the last one of the epoch after the limit.
    assert set(pairs) == set(range(120)) and set(Counter(pairs).values()) <= {1, 2, 3}


@pytest.mark.slow
@only_transformer
def test_stopped_run_keeps_patience_and_best_checkpoints(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a learning rate near zero, scores do not improve."""
    settings = [
        *SHORT,
        "training.limits.updates=50",
        "training.optimizer.learning_rate=1e-9",
        "training.validation={every: 2, metric: bleu, patience: 3}",
    ]
    assert_bit_identical_if_stopped(monkeypatch, settings)
    # The first validation is the best, and the second one is during the warm-up.
    assert [record["num_not_improved"] for record in records("stopped", "valid")] == [0, 0, 1, 2, 3]


@pytest.mark.slow
@only_transformer
def test_moved_run_resumes(recipe: Path) -> None:
    train(recipe, SHORT, Path("straight"))
    train(recipe, [*SHORT, "training.limits.updates=4"], Path("begun"))
    Path("elsewhere").mkdir()
    Path("begun").rename("elsewhere/moved")
    train(recipe, SHORT, Path("elsewhere/moved"))
    assert outcome("elsewhere/moved") == outcome("straight")


@pytest.mark.slow
@only_transformer
def test_resuming_in_another_environment_warns_once(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe, [*SHORT, "training.limits.updates=1"], Path("run"))
    here = training_run.environment()
    monkeypatch.setattr(training_run, "environment", lambda: {**here, "device": "CPU, 64 threads"})
    capsys.readouterr()
    train(recipe, [*SHORT, "training.limits.updates=2"], Path("run"))
    stderr = capsys.readouterr().err
    assert stderr.count("bit-identical") == 1
    assert str(here["device"]) in stderr and "64 threads" in stderr
    train(recipe, [*SHORT, "training.limits.updates=3"], Path("run"))
    assert "bit-identical" not in capsys.readouterr().err


@only_transformer
def test_other_batch_size_found_at_resumption_is_reported_with_the_remedy(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warnings(updates: int, batch_tokens: int) -> list[str]:
        monkeypatch.setattr(training_run, "find_batch_tokens", lambda *_: batch_tokens)
        capsys.readouterr()
        train(recipe, [*SHORT[1:], "training.batch_tokens=auto", f"training.limits.updates={updates}"], Path("run"))
        return [line for line in capsys.readouterr().err.split("\n") if "bit-identical" in line]

    assert not warnings(1, 40) and not warnings(2, 40)
    (warning,) = warnings(3, 50)
    assert "auto was 40, is now 50" in warning and warning.endswith("set training.batch_tokens: 40")
    assert not warnings(4, 50)
