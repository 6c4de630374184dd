"""Regularisation is off by default, and invalid settings are refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.training import RDropSettings, SimCutSettings

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
    ("override", "key"),
    [
        ("training.consistency={type: rdrop}", "type"),
        ("training.consistency={type: r_drop, cutoff: 0.1}", "cutoff"),
        ("training.consistency={type: r_drop, weight: -1}", "weight"),
        ("training.scheduled_sampling={start: 10, end: 10}", "end"),
        ("training.word_dropout={source: 1}", "source"),
    ],
)
def test_invalid_regularization_is_reported(override: str, key: str, good: str, errors_of: ErrorsOf) -> None:
    (error,) = errors_of(good, override)
    assert error.startswith(f"--set {override}: {override.partition('=')[0]}.{key}: ")


def test_guided_alignment_requires_attention(good: str, write: Write, errors_of: ErrorsOf) -> None:
    aligned = good.replace("target: news.de", "target: news.de, alignment: news.links")
    guided = aligned + "  guided_alignment: {}\n"
    assert load_recipe(write(guided)).training.guided_alignment is not None
    without = guided.replace("transformer", "rnn")
    (error,) = errors_of(without, "model.attention=none")
    assert re.search(r": training\.guided_alignment: .*model\.attention", error)


def test_guided_alignment_requires_alignments(good: str, errors_of: ErrorsOf) -> None:
    (error,) = errors_of(good, "training.guided_alignment={}")
    assert re.search(r": training\.guided_alignment: .*data\.train\.NAME\.alignment", error)
