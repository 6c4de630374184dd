"""Unhealthy training is diagnosed with its likely cause; healthy training never is."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from nmt_cli.data.batches import Batch
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.training import monitor
from nmt_cli.training.data_iterator import MicroBatch, UpdateBatches
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.loop import train_steps
from nmt_cli.training.monitor import CHECKED_UPDATES, Diagnosis, Measurements, TrainingMonitor, diagnose
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective
from nmt_cli.training.train_state import DataState
from nmt_cli.training.trainer import Trainer

WORDS, WIDTH = 40, 32
START, END, FIRST = 2, 3, 4

# Measured in a healthy training of a Transformer of width 128 on Multi30k.
EARLY = Measurements(100, 9.10, 6.28, 5.75, 5.77, 5.81, 8.70, 0.3, 5e-4, 2e-3, 128, 3.2)
LATE = Measurements(500, 9.10, 4.42, 3.95, 5.10, 5.84, 8.70, 0.3, 2e-3, 2e-3, 128, 77.0)


def cause(measured: Measurements) -> str:
    diagnosis = diagnose(measured)
    return diagnosis.cause if diagnosis else ""


def test_healthy_training_has_no_diagnosis() -> None:
    assert not diagnose(EARLY)
    assert not diagnose(LATE)


def test_slow_training_has_no_diagnosis() -> None:
    warming_up = replace(LATE, loss=8.5, wrong_source_loss=8.5, last_loss=8.6, max_lr=1e-5, peak_lr=7e-4, lr_sum=0.5)
    assert not diagnose(warming_up)
    assert not diagnose(replace(warming_up, update=100))


def test_fine_tuning_has_no_diagnosis() -> None:
    assert not diagnose(
        replace(
            LATE, first_loss=2.5, last_loss=2.4, loss=1.5, wrong_source_loss=6.0, max_lr=1e-6, peak_lr=1e-6, lr_sum=0.06
        )
    )


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (replace(EARLY, last_loss=10.5), "rate too high"),
        (replace(EARLY, loss=6.1, wrong_source_loss=6.1, max_lr=0.25, peak_lr=1.0, lr_sum=1600.0), "rate too high"),
        (replace(LATE, loss=5.82, wrong_source_loss=5.82), "nothing learned"),
        (replace(LATE, loss=5.82, wrong_source_loss=5.82, unused_vocabulary=0.9), "vocabulary too large"),
        (
            replace(EARLY, loss=9.0, wrong_source_loss=9.0, last_loss=9.0, max_lr=1e-6, peak_lr=1e-6, lr_sum=0.01),
            "rate too low",
        ),
        (replace(LATE, wrong_source_loss=LATE.loss + 0.019), "source unused"),
        (replace(LATE, wrong_source_loss=LATE.loss + 0.021), ""),
        (replace(LATE, wrong_source_loss=3.952, max_lr=2e-2, peak_lr=2e-2), "rate too high"),
    ],
)
def test_diagnosis_names_the_likely_cause(measured: Measurements, expected: str) -> None:
    assert cause(measured) == expected


UNIGRAM = replace(LATE, loss=5.82, wrong_source_loss=5.82)
"""A run that has learned token frequencies only."""
EARLY_UNIGRAM = replace(EARLY, loss=5.82, wrong_source_loss=5.82)
UNIFORM = replace(EARLY, loss=9.0, wrong_source_loss=9.0, last_loss=9.0, max_lr=1e-6)
UNUSED_SOURCE = replace(LATE, wrong_source_loss=LATE.loss)


@pytest.mark.parametrize(
    ("measured", "expected", "others", "others_expected"),
    [
        (replace(EARLY, last_loss=10.11), "rate too high", {"last_loss": 10.09}, ""),
        (replace(LATE, loss=5.75), "nothing learned", {"loss": 5.73, "wrong_source_loss": 9.0}, ""),
        (replace(UNUSED_SOURCE, loss=5.33), "source unused", {"loss": 5.35}, ""),
        (replace(UNUSED_SOURCE, max_lr=1.01 / 128), "rate too high", {"max_lr": 0.99 / 128}, "source unused"),
        (replace(UNUSED_SOURCE, lr_sum=50.1), "source unused", {"lr_sum": 49.9}, ""),
        (replace(EARLY_UNIGRAM, max_lr=3.01 / 128), "rate too high", {"max_lr": 2.99 / 128}, ""),
        (replace(UNIFORM, peak_lr=0.0099 / 128), "rate too low", {"peak_lr": 0.0101 / 128}, ""),
        (
            replace(UNIGRAM, unused_vocabulary=0.81),
            "vocabulary too large",
            {"unused_vocabulary": 0.79},
            "nothing learned",
        ),
        (replace(UNIGRAM, lr_sum=50.1), "nothing learned", {"lr_sum": 49.9}, ""),
    ],
)
def test_bounds_of_the_diagnosis(
    measured: Measurements, expected: str, others: dict[str, float], others_expected: str
) -> None:
    assert cause(measured) == expected
    assert cause(replace(measured, **others)) == others_expected


def test_losses_that_are_nan_have_no_diagnosis() -> None:
    assert not diagnose(replace(LATE, loss=math.nan, wrong_source_loss=math.nan))


def updates(is_translation: bool) -> Iterator[UpdateBatches]:
    """Random sentences with unequal token frequencies; their translations are the same tokens, or unrelated ones."""
    generator = np.random.default_rng(1)
    weights = 1 / np.arange(1, WORDS - FIRST + 1)
    while True:
        length = int(generator.integers(2, 5))
        source, target = (
            torch.from_numpy(generator.choice(WORDS - FIRST, (20, length), p=weights / weights.sum()) + FIRST)
            for _ in range(2)
        )
        yield update_of(source, source if is_translation else target)


def update_of(source: torch.Tensor, target: torch.Tensor) -> UpdateBatches:
    bos, eos = (torch.full((len(source), 1), special) for special in (START, END))
    labels, decoder_input = torch.cat([target, eos], 1).flatten(), torch.cat([bos, target], 1)
    positions = torch.arange(len(labels))
    batch = Batch(torch.cat([source, eos], 1), decoder_input, positions, labels, np.arange(len(source)))
    return UpdateBatches([MicroBatch(batch, 0)], len(labels), {}, DataState(pairs_consumed=1, passes=0.5))


def trainer(rate: float = 1e-2, **settings: object) -> Trainer:
    torch.manual_seed(1)
    sizes = {"width": WIDTH, "feed_forward": WIDTH, "heads": 4, "encoder_layers": 1, "decoder_layers": 1}
    model = TransformerSettings.model_validate({"architecture": "transformer", "preset": "tiny", **sizes})
    training = Training.model_validate({"optimizer": {"learning_rate": rate}, "schedule": {"warmup": 50}, **settings})
    vocabularies = VocabularySpec(WORDS, WORDS)
    return Trainer(
        CrossEntropyObjective(build(model, vocabularies), 0.1), WIDTH, training, torch.device("cpu"), Distributed()
    )


def diagnoses(trainer: Trainer, updates: Iterator[UpdateBatches], num_updates: int) -> dict[int, Diagnosis]:
    """Train; return all diagnoses by update."""
    watching, found = TrainingMonitor(trainer), dict[int, Diagnosis]()
    for stats in train_steps(trainer, watching.watch(updates), seed=1):
        if diagnosis := watching.after(stats):
            found[trainer.state.num_updates] = diagnosis
        if trainer.state.num_updates == num_updates:
            return found
    raise AssertionError("the data iterator never ends")


@pytest.mark.slow
def test_monitor_is_silent_in_a_healthy_training() -> None:
    assert not diagnoses(trainer(), updates(is_translation=True), CHECKED_UPDATES[-1])


def test_monitor_finds_a_learning_rate_that_is_too_high() -> None:
    found = diagnoses(trainer(rate=1.0), updates(is_translation=True), CHECKED_UPDATES[0])
    assert found[CHECKED_UPDATES[0]].cause == "rate too high"
    assert "training.optimizer.learning_rate" in found[CHECKED_UPDATES[0]].message


def test_monitor_finds_a_learning_rate_that_is_too_low() -> None:
    found = diagnoses(trainer(rate=1e-6), updates(is_translation=True), CHECKED_UPDATES[0])
    assert found[CHECKED_UPDATES[0]].cause == "rate too low"


@pytest.mark.slow
def test_monitor_finds_unrelated_sides() -> None:
    found = diagnoses(trainer(), updates(is_translation=False), CHECKED_UPDATES[-1])
    assert found.keys() == {CHECKED_UPDATES[-1]}
    assert found[CHECKED_UPDATES[-1]].cause in ("nothing learned", "source unused")


def test_monitor_measures_losses_entropy_and_learning_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    found, losses, rates = list[Measurements](), list[float](), list[float]()
    monkeypatch.setattr(monitor, "CHECKED_UPDATES", (20,))
    monkeypatch.setattr(monitor, "diagnose", found.append)
    given, trained = list(itertools.islice(updates(is_translation=True), 20)), trainer()
    watching = TrainingMonitor(trained)
    for _, stats in zip(given, train_steps(trained, watching.watch(iter(given)), seed=1), strict=False):
        losses.append(float(stats.loss) / stats.tokens)
        rates.append(stats.learning_rate)
        watching.after(stats)

    (measured,) = found
    batches = [update.micro_batches[0].batch for update in given]
    counts = torch.cat([batch.labels for batch in batches]).bincount(minlength=WORDS)
    used = counts[counts > 0] / counts.sum()
    assert measured.first_loss == pytest.approx(sum(losses[:10]) / 10)
    assert measured.last_loss == pytest.approx(sum(losses[-10:]) / 10)
    entropy = -(used * used.log()).sum() + (len(used) - 1) / (2 * counts.sum())
    assert measured.entropy == pytest.approx(float(entropy), abs=1e-5)
    assert measured.unused_vocabulary == pytest.approx(1 - len(used) / WORDS)
    assert (measured.max_lr, measured.lr_sum) == (max(rates), pytest.approx(sum(rates) * WIDTH))
    with trained.evaluating(), torch.no_grad():
        tokens = sum(batch.target_tokens for batch in batches[-16:])
        right = sum(float(trained.objective(batch).sum) for batch in batches[-16:])
        wrong = sum(
            float(trained.objective(replace(batch, source=batch.source.roll(1, 0))).sum) for batch in batches[-16:]
        )
    assert measured.loss == pytest.approx(right / tokens)
    assert measured.wrong_source_loss == pytest.approx(wrong / tokens)


def test_monitor_does_not_change_training() -> None:
    monitored, alone = trainer(), trainer()
    diagnoses(monitored, updates(is_translation=True), CHECKED_UPDATES[0] + 1)
    steps = train_steps(alone, updates(is_translation=True), seed=1)
    for _ in range(CHECKED_UPDATES[0] + 1):
        next(steps)
    for one, other in zip(monitored.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_monitor_is_silent_after_restart_past_the_last_check() -> None:
    restarted = trainer()
    restarted.state.num_updates = CHECKED_UPDATES[-1]
    assert not diagnoses(restarted, updates(is_translation=False), CHECKED_UPDATES[-1] + 5)
