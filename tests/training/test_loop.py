"""An update does not depend on its batch boundaries; best scores, early stopping and saving."""

import copy
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import batch, tiny_model, tiny_trainer, update_of
from torch import nn

from nmt_cli import console
from nmt_cli.data.batches import Batch
from nmt_cli.errors import DivergedError, ResourceError
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal
from nmt_cli.training import loop
from nmt_cli.training.data_iterator import UpdateBatches
from nmt_cli.training.loop import train, train_steps
from nmt_cli.training.monitor import TrainingMonitor
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective
from nmt_cli.training.objectives.objective import LossOutput
from nmt_cli.training.trainer import Trainer
from nmt_cli.training.training_log import TrainingLog


def make_updates(trainer: Trainer, *updates: UpdateBatches) -> None:
    steps = train_steps(trainer, iter(updates), seed=1)
    for _ in updates:
        next(steps)


def after_one_update(*batches: Batch) -> nn.Module:
    made = tiny_trainer()
    make_updates(made, update_of(*batches))
    return made.model


def test_gradient_does_not_depend_on_batch_boundaries() -> None:
    short, long = [4, 5], [6, 7, 8, 4, 5, 6]
    together = after_one_update(batch([short, long]))
    apart = after_one_update(batch([short]), batch([long]))
    for one, other in zip(together.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def log_probs_of(model: Model, rows: Batch) -> torch.Tensor:
    """[B*T,V]"""
    output = model.decode(model.encode(ModelInputs.from_ids(rows.source)), DecoderInput(rows.decoder_input))
    return model.logits(output).log_softmax(-1)


def test_loss_is_cross_entropy_at_label_positions() -> None:
    model = tiny_model().eval()
    rows = batch([[4, 5], [6, 7, 8]])
    loss, tokens, _ = CrossEntropyObjective(model, 0.1).eval()(rows)
    log_probs = log_probs_of(model, rows)
    expected = -sum(log_probs[p, label] for p, label in zip(rows.label_positions, rows.labels, strict=True))
    assert tokens == 7
    torch.testing.assert_close(loss, expected)


def test_label_smoothing_is_uniform_over_the_vocabulary() -> None:
    model = tiny_model()
    rows = batch([[4, 5]])
    loss, *_ = CrossEntropyObjective(model, 0.3).train()(rows)
    log_probs = log_probs_of(model, rows)
    target_log_probs = log_probs[torch.arange(3), rows.labels]
    torch.testing.assert_close(loss, -(0.7 * target_log_probs + 0.3 * log_probs.mean(-1)).sum())


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_random_draws_follow_from_seed_and_update_only() -> None:
    """So that a restart, or another rank, draws the same without saved state."""
    first, second, again = update_of(batch([[4, 5]])), update_of(batch([[6, 7, 8]])), tiny_trainer(dropout=0.5)
    straight = tiny_trainer(dropout=0.5)
    make_updates(straight, first, second)
    make_updates(again, first)
    torch.rand(100)
    make_updates(again, second)
    assert same(straight.model, again.model)


def test_objective_knows_how_much_of_the_training_is_done() -> None:
    made, found = tiny_trainer(limits={"updates": 4}), list[tuple[int, float]]()
    steps = train_steps(made, iter([update_of(batch([[4, 5]]))] * 3), seed=1)
    for _ in range(3):
        next(steps)
        found.append((made.objective.num_updates, made.objective.fraction_done))
    assert found == [(0, 0.0), (1, 0.25), (2, 0.5)]


def test_batches_of_an_update_have_different_random_draws() -> None:
    """With equal draws, two equal batches would give the same update as one."""
    twice, once = tiny_trainer(dropout=0.5), tiny_trainer(dropout=0.5)
    make_updates(twice, update_of(batch([[4, 5]]), batch([[4, 5]])))
    make_updates(once, update_of(batch([[4, 5]])))
    assert not same(twice.model, once.model)


def poisoned() -> UpdateBatches:
    """An update with a non-finite loss: only this token uses the infinite parameter."""
    return update_of(batch([[8]]))


def vulnerable(**settings: object) -> Trainer:
    made = tiny_trainer(**settings)
    with torch.no_grad():
        made.model.embeddings.target.weight[8] = math.inf
    return made


def test_update_with_non_finite_gradient_is_skipped() -> None:
    made = vulnerable()
    before = copy.deepcopy(made.model)
    steps = train_steps(made, iter([poisoned(), poisoned()]), seed=1)
    assert next(steps).is_skipped
    assert next(steps).is_skipped
    assert made.state.num_updates == 0
    assert made.state.data.pairs_consumed == 1, "the data is not used again"
    assert same(before, made.model)


def test_train_steps_raises_after_max_skipped_updates_in_a_row() -> None:
    steps = train_steps(vulnerable(divergence={"max_skipped": 2}), iter([poisoned()] * 4), seed=1)
    for _ in range(3):
        next(steps)
    with pytest.raises(DivergedError, match=r"^update 1: 3 "):
        next(steps)


class LimitedMemory(CrossEntropyObjective):
    """Runs out of memory with more than `max_tokens` target positions, in the middle of an update."""

    max_tokens = 10**9

    def forward(self, batch: Batch) -> LossOutput:
        loss = super().forward(batch)
        if batch.padded_tokens > self.max_tokens:
            raise torch.OutOfMemoryError("no more")
        return loss


def trainer_with_memory_for(max_tokens: int) -> Trainer:
    made = tiny_trainer()
    made.objective = made.parallel_objective = LimitedMemory(made.model, 0.1).train()
    made.objective.max_tokens = max_tokens
    return made


@pytest.mark.parametrize("max_tokens", [18, 10, 6])
def test_gradient_is_the_same_after_retrying_in_smaller_batches(max_tokens: int) -> None:
    batches = update_of(batch([[4, 5]]), batch([[6, 7, 8, 4, 5], [6, 7], [8, 8, 8], [4]]))
    unlimited, limited = trainer_with_memory_for(10**9), trainer_with_memory_for(max_tokens)
    make_updates(unlimited, batches)
    make_updates(limited, batches)
    assert unlimited.max_tokens_that_fit is None
    assert limited.max_tokens_that_fit is not None
    assert limited.max_tokens_that_fit <= max_tokens
    for one, other in zip(unlimited.model.parameters(), limited.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_memory_too_small_for_one_pair_is_a_resource_error() -> None:
    with pytest.raises(ResourceError, match=r"\b6 .*training\.batch_tokens"):
        make_updates(trainer_with_memory_for(5), update_of(batch([[6, 7, 8, 4, 5], [4]])))


@pytest.mark.parametrize(
    ("settings", "saved", "is_finished"),
    [
        ({"limits": {"updates": 4}, "validation": {"every": 2}}, [2, 4], True),
        ({"limits": {"updates": 5}, "validation": {"every": 3}, "checkpoints": {"every": 2}}, [2, 3, 4, 5], True),
        ({"limits": {"updates": 9}, "validation": {"every": 9}}, [6], False),
    ],
)
def test_train_saves_checkpoints_when_due(
    settings: dict[str, object], saved: list[int], is_finished: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, found = tiny_trainer(**settings), list[int]()
    state = made.state
    monkeypatch.setattr(loop, "validate", lambda *_: {"valid": {"loss": 1.0, "bleu": float(state.num_updates)}})
    journal = Journal(RunDirectory(tmp_path))
    assert train_recording(made, journal, found, lambda: state.num_updates == 6) is is_finished
    assert found == saved


def test_train_ends_after_limit_of_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny_trainer(limits={"minutes": 1e-9}, validation={"every": 100})
    monkeypatch.setattr(loop, "validate", lambda *_: {"valid": {"loss": 1.0, "bleu": 1.0}})
    assert train_recording(made, Journal(None), [], lambda: False)
    assert made.state.num_updates == 1


class RecordingCheckpointer:
    """Records the updates at which a checkpoint would be saved."""

    def __init__(self, trainer: Trainer, saved: list[int]) -> None:
        self._trainer, self._saved = trainer, saved

    def save(self) -> None:
        self._saved.append(self._trainer.state.num_updates)


def train_recording(
    trainer: Trainer, journal: Journal, saved: list[int], is_stop_requested: Callable[[], bool]
) -> bool:
    """Train without validation data and record the updates saved; `loop.validate` must be replaced."""
    steps = train_steps(trainer, iter(lambda: update_of(batch([[4]])), None), seed=1)
    log = TrainingLog(trainer, journal, TrainingMonitor(trainer), console)
    checkpointer: Any = RecordingCheckpointer(trainer, saved)
    nothing: Any = None
    return train(steps, trainer, log, checkpointer, nothing, nothing, is_stop_requested)


def test_gradient_is_clipped_to_the_norm() -> None:
    made = tiny_trainer(clip_norm=0.01)
    before = [parameter.detach().clone() for parameter in made.model.parameters()]
    (stats,) = itertools.islice(train_steps(made, iter([update_of(batch([[4, 5]]))]), seed=1), 1)
    changes = [(new.detach() - old).flatten() for new, old in zip(made.model.parameters(), before, strict=True)]
    assert stats.gradient_norm > 0.1
    assert float(torch.cat(changes).norm()) == pytest.approx(0.01 * stats.learning_rate, rel=1e-3)


def test_learning_rate_is_that_of_the_next_update() -> None:
    made = tiny_trainer(schedule={"type": "linear", "warmup": 4})
    made.state.num_updates = 2
    assert made.learning_rate() == pytest.approx(0.75)
    made.state.lr_scale = 0.5
    assert made.learning_rate() == pytest.approx(0.375)


def test_moving_average_is_updated_after_the_update_is_counted() -> None:
    made = tiny_trainer(ema_decay=0.999)
    before = {name: parameter.detach().clone() for name, parameter in made.model.named_parameters()}
    make_updates(made, update_of(batch([[4, 5]])))
    average = made.model_state()
    for name, parameter in made.model.named_parameters():
        torch.testing.assert_close(average[name], torch.lerp(before[name], parameter.detach(), 1 - 2 / 11))


class PoisonedToken(CrossEntropyObjective):
    """Has a loss that is not finite for batches with token 8."""

    def forward(self, batch: Batch) -> LossOutput:
        loss = super().forward(batch)
        return loss._replace(sum=loss.sum * (math.inf if (batch.labels == 8).any() else 1))


def test_skipped_updates_between_others_are_not_counted() -> None:
    made = tiny_trainer(divergence={"max_skipped": 1})
    made.objective = made.parallel_objective = PoisonedToken(made.model, 0.1).train()
    good, bad = update_of(batch([[4]])), update_of(batch([[8, 8]]))
    steps = train_steps(made, iter([bad, good, bad, good]), seed=1)
    assert [next(steps).is_skipped for _ in range(4)] == [True, False, True, False]
    assert made.state.num_updates == 2
    assert made.state.target_tokens == made.state.mixture["corpus"].target_tokens == 2 * good.target_tokens
