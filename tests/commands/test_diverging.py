"""nmt train, when it diverges, rolls back with a lower learning rate and never saves non-finite parameters."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_runs import outcome, records, train_with_interruptions

from nmt_cli.commands.train import train
from nmt_cli.errors import DivergedError
from nmt_cli.runs.checkpoints import read_tensors
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.training import loop
from nmt_cli.training.trainer import Trainer

pytestmark = pytest.mark.parametrize("architecture", ["transformer"])
SHORT = [
    "training.limits.updates=8",
    "training.validation={every: 4, metric: loss, patience: null}",
    "training.checkpoints={every: 1, keep_last: 20, keep_best: 2}",
    "training.logging.every=1",
    "decoding.beam_size=1",
]


def assert_all_finite(run: str) -> None:
    paths = list(Path(run).rglob("*.safetensors"))
    assert paths
    for path in paths:
        assert all(torch.isfinite(tensor).all() for tensor in read_tensors(path).values()), path


def events(run: str, kind: str) -> list[dict[str, Any]]:
    return [record for record in records(run, "event") if record["event"] == kind]


@pytest.mark.slow
def test_learning_rate_far_too_high_is_lowered(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [
        *SHORT,
        "training.optimizer={type: sgd, learning_rate: 1e30}",
        "training.clip_norm=null",
        "training.divergence={max_skipped: 1, max_rollbacks: 1, factor: 1e-31}",
    ]
    train(recipe, settings, Path("run"))
    assert "update 0" in capsys.readouterr().err, "update 1 is finite but too large"
    assert [(event["num_rollbacks"], event["lr_scale"]) for event in events("run", "rolled back")] == [(1, 1e-31)]
    assert json.loads(Path("run/run.json").read_bytes())["status"] == "finished"
    assert [record["update"] for record in records("run", "train")] == list(range(1, 9))
    assert_all_finite("run")


@pytest.fixture
def diverging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Update 6 has an infinite learning rate until training has been rolled back."""
    rate = Trainer.learning_rate

    def diverging_rate(trainer: Trainer) -> float:
        state = trainer.state
        return math.inf if state.num_updates == 5 and not state.num_rollbacks else rate(trainer)

    monkeypatch.setattr(Trainer, "learning_rate", diverging_rate)
    yield


@pytest.mark.slow
def test_parameters_that_are_not_finite_are_not_saved_but_rolled_back(recipe: Path, diverging: None) -> None:
    """If they were saved, the last good checkpoint would be removed."""
    train(recipe, [*SHORT, "training.checkpoints={every: 1, keep_last: 1, keep_best: 1}"], Path("run"))
    assert_all_finite("run")
    [event] = events("run", "rolled back")
    assert event["update"] == 5
    assert event["diverged_after"] == 6
    rates = [record["learning_rate"] for record in records("run", "train")]
    assert rates[:5] == pytest.approx([0.00025, 0.0005, 0.00075, 0.001, 0.001 * (4 / 5) ** 0.5])
    assert rates[5:] == pytest.approx([0.5 * 0.001 * (4 / update) ** 0.5 for update in (6, 7, 8)])


@pytest.mark.slow
def test_stopped_run_rolls_back_like_uninterrupted_run(
    recipe: Path, diverging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe, SHORT, Path("straight"))
    assert train_with_interruptions(monkeypatch, "stopped", SHORT, updates=1) > 5
    assert outcome("stopped") == outcome("straight")
    state = RunDirectory(Path("stopped")).checkpoint(8) / "state.json"
    assert json.loads(state.read_bytes())["num_rollbacks"] == 1


@pytest.mark.slow
def test_training_fails_after_max_rollbacks_even_if_restarted(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "learning_rate", lambda trainer: math.inf if trainer.state.num_updates >= 4 else 1e-3)
    message = r"update 5: some parameters are not finite, after 2 rollbacks"
    for _ in range(2):
        with pytest.raises(DivergedError, match=message):
            train(recipe, SHORT, Path("run"))
        assert RunDirectory(Path("run")).saved_updates()[-1] == 4
        assert_all_finite("run")


@pytest.mark.slow
def test_validation_with_score_that_is_not_finite_is_never_best(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([1.5, math.nan, math.inf, 1.25])
    monkeypatch.setattr(loop, "validate", lambda *_: {"dev": {"loss": next(scores), "bleu": 0.0, "chrf": math.nan}})
    train(recipe, [*SHORT, "training.validation.every=2"], Path("run"))
    assert json.loads(Path("run/checkpoints/best.json").read_bytes()) == {"update": 8, "score": 1.25}
    assert json.loads(Path("run/run.json").read_bytes())["best"] == [[1.25, 8], [1.5, 2]]
    assert [record["loss"] for record in records("run", "valid")] == [1.5, None, None, 1.25]
