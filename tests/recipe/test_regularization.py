"""Regularisation is off by default, and invalid settings are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.training.regularization import RDropSettings, SimCutSettings

Write = Callable[[str | bytes], Path]
ErrorsOf = Callable[..., list[str]]


def test_regularization_is_off_by_default(good: str, write: Write) -> None:
    training = load_recipe(write(good)).training
    assert training.consistency is None
    assert (training.word_dropout.source, training.word_dropout.target) == (0.0, 0.0)
    assert training.scheduled_sampling is None
    assert training.guided_alignment is None
    assert not training.gradient_checkpointing


def test_consistency_is_selected_by_type(good: str, write: Write) -> None:
    chosen = good + "  consistency: {type: r_drop, weight: 2.0}\n"
    assert load_recipe(write(chosen)).training.consistency == RDropSettings(type="r_drop", weight=2.0)
    changed = load_recipe(write(good), ["training.consistency={type: simcut, cutoff: 0.1}"])
    assert changed.training.consistency == SimCutSettings(type="simcut", cutoff=0.1)


def test_override_selects_another_consistency(good: str, write: Write) -> None:
    chosen = good + "  consistency: {type: simcut, weight: 2.0, cutoff: 0.1}\n"
    recipe = load_recipe(write(chosen), ["training.consistency.type=r_drop"])
    assert recipe.training.consistency == RDropSettings(type="r_drop", weight=2.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.consistency={type: rdrop}",
            'type: must be one of r_drop, simcut, not "rdrop"; did you mean r_drop?',
        ),
        ("training.consistency={type: r_drop, cutoff: 0.1}", "cutoff: is a setting of type simcut, not of r_drop"),
        ("training.consistency={type: r_drop, weight: -1}", "weight: must be at least 0, not -1"),
        ("training.scheduled_sampling={start: 10, end: 10}", "end: 10 must be greater than start (10)"),
        ("training.word_dropout={source: 1}", "source: must be less than 1, not 1"),
    ],
)
def test_invalid_regularization_is_reported(override: str, message: str, good: str, errors_of: ErrorsOf) -> None:
    key = override.partition("=")[0]
    assert errors_of(good, override) == [f"--set {override}: {key}.{message}"]


def test_guided_alignment_requires_attention(good: str, write: Write, errors_of: ErrorsOf) -> None:
    aligned = good.replace("target: news.de", "target: news.de, alignment: news.links")
    guided = aligned + "  guided_alignment: {}\n"
    assert load_recipe(write(guided)).training.guided_alignment is not None
    without = guided.replace("transformer", "rnn")
    (error,) = errors_of(without, "model.attention=none")
    assert error.endswith("training.guided_alignment: requires attention, but model.attention is none")


def test_guided_alignment_requires_alignments(good: str, errors_of: ErrorsOf) -> None:
    (error,) = errors_of(good, "training.guided_alignment={}")
    assert error.endswith("training.guided_alignment: requires data.train.NAME.alignment, which no corpus has")
