"""A training that does not go as healthy ones do is told so, with the likely cause; a healthy one never is."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from nmt_cli.data.batches import Batch
from nmt_cli.models import build
from nmt_cli.models.contract import Vocabularies
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.training.feed import Part, Portion
from nmt_cli.training.health import CHECKED, Concern, Health, Signs, judge
from nmt_cli.training.learner import Learner
from nmt_cli.training.loop import updates
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.parallel import Ranks

WORDS, WIDTH = 40, 32
START, END, FIRST = 2, 3, 4

# As measured: a Transformer of width 128 on Multi30k, in which all is well.
EARLY = Signs(100, 9.10, 6.28, 5.75, 5.77, 5.81, 8.70, 0.3, 5e-4, 2e-3, 128, 3.2)
LATE = Signs(500, 9.10, 4.42, 3.95, 5.10, 5.84, 8.70, 0.3, 2e-3, 2e-3, 128, 77.0)


def cause(signs: Signs) -> str:
    concern = judge(signs)
    return concern.cause if concern else ""


def test_of_healthy_training_nothing_is_said() -> None:
    assert not judge(EARLY)
    assert not judge(LATE)


def test_of_slow_training_nothing_is_said() -> None:
    warming_up = replace(LATE, loss=8.5, wrong_source=8.5, now=8.6, rate=1e-5, peak=7e-4, way=0.5)
    assert not judge(warming_up)
    assert not judge(replace(warming_up, step=100))


def test_of_fine_tuning_nothing_is_said() -> None:
    assert not judge(replace(LATE, start=2.5, now=2.4, loss=1.5, wrong_source=6.0, rate=1e-6, peak=1e-6, way=0.06))


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        (replace(EARLY, now=10.5), "rate too high"),
        (replace(EARLY, loss=6.1, wrong_source=6.1, rate=0.25, peak=1.0, way=1600.0), "rate too high"),
        (replace(LATE, loss=5.82, wrong_source=5.82), "nothing learned"),
        (replace(LATE, loss=5.82, wrong_source=5.82, unseen=0.9), "vocabulary too large"),
        (replace(EARLY, loss=9.0, wrong_source=9.0, now=9.0, rate=1e-6, peak=1e-6, way=0.01), "rate too low"),
        (replace(LATE, wrong_source=3.952), "source unused"),
        (replace(LATE, wrong_source=3.952, rate=2e-2, peak=2e-2), "rate too high"),
    ],
)
def test_the_likely_cause_is_named(signs: Signs, expected: str) -> None:
    assert cause(signs) == expected


def test_losses_that_could_not_be_measured_say_nothing() -> None:
    assert not judge(replace(LATE, loss=math.nan, wrong_source=math.nan))


def portions(is_translation: bool) -> Iterator[Portion]:
    """Sentences of words drawn with unequal chances, and as their translations the same words, or any others."""
    generator = np.random.default_rng(1)
    chances = 1 / np.arange(1, WORDS - FIRST + 1)
    while True:
        length = int(generator.integers(2, 5))
        source, target = (
            torch.from_numpy(generator.choice(WORDS - FIRST, (20, length), p=chances / chances.sum()) + FIRST)
            for _ in range(2)
        )
        yield portion(source, source if is_translation else target)


def portion(source: torch.Tensor, target: torch.Tensor) -> Portion:
    def beside(one: int, tokens: torch.Tensor, other: int) -> torch.Tensor:
        ends = [torch.full((len(tokens), 1), special) for special in (one, other)]
        return torch.cat([ends[0], tokens, ends[1]], 1)

    labels, target_in = beside(START, target, END)[:, 1:].flatten(), beside(START, target, END)[:, :-1]
    batch = Batch(
        beside(START, source, END)[:, 1:], target_in, torch.arange(len(labels)), labels, np.arange(len(source))
    )
    return Portion([Part(batch, 0)], len(labels), {}, 0, 0, 1, 4096, 0.5)


def learner(rate: float = 1e-2, **settings: object) -> Learner:
    torch.manual_seed(1)
    sizes = {"width": WIDTH, "feed_forward": WIDTH, "heads": 4, "encoder_layers": 1, "decoder_layers": 1}
    model = TransformerSettings.model_validate({"architecture": "transformer", "preset": "tiny", **sizes})
    training = Training.model_validate({"optimizer": {"learning_rate": rate}, "schedule": {"warmup": 50}, **settings})
    words = Vocabularies(WORDS, WORDS, START, END)
    return Learner(CrossEntropy(build(model, words), 0.1), WIDTH, training, torch.device("cpu"), Ranks())


def concerns(learner: Learner, feed: Iterator[Portion], steps: int) -> dict[int, Concern]:
    """What is said, by update."""
    health, found = Health(learner), dict[int, Concern]()
    for update in updates(learner, health.watching(feed), seed=1):
        if concern := health.after(update):
            found[learner.progress.step] = concern
        if learner.progress.step == steps:
            return found
    raise AssertionError("portions never end")


@pytest.mark.slow
def test_a_real_training_that_goes_well_is_left_alone() -> None:
    assert not concerns(learner(), portions(is_translation=True), CHECKED[-1])


def test_a_real_training_with_far_too_high_a_rate_is_found_early() -> None:
    found = concerns(learner(rate=1.0), portions(is_translation=True), CHECKED[0])
    assert found[CHECKED[0]].cause == "rate too high"
    assert "training.optimizer.learning_rate" in found[CHECKED[0]].message


def test_a_real_training_with_far_too_low_a_rate_is_found_early() -> None:
    found = concerns(learner(rate=1e-6), portions(is_translation=True), CHECKED[0])
    assert found[CHECKED[0]].cause == "rate too low"


@pytest.mark.slow
def test_a_real_training_on_unrelated_words_is_found() -> None:
    found = concerns(learner(), portions(is_translation=False), CHECKED[-1])
    assert found.keys() == {CHECKED[-1]}
    assert found[CHECKED[-1]].cause in ("nothing learned", "source unused")


def test_looking_changes_nothing() -> None:
    looked_at, alone = learner(), learner()
    concerns(looked_at, portions(is_translation=True), CHECKED[0] + 1)
    steps = updates(alone, portions(is_translation=True), seed=1)
    for _ in range(CHECKED[0] + 1):
        next(steps)
    for one, other in zip(looked_at.model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_training_that_was_looked_at_before_a_restart_is_not_looked_at_again() -> None:
    restarted = learner()
    restarted.progress.step = CHECKED[-1]
    assert not concerns(restarted, portions(is_translation=False), CHECKED[-1] + 5)
