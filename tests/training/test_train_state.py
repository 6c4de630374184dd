"""Which validations are best, when training stops, and what is saved of its state."""

import json
import math
from typing import get_args

import pytest

from nmt_cli.evaluation.metrics import build_metrics
from nmt_cli.recipe.evaluation import Evaluation, MetricName
from nmt_cli.recipe.training import Training
from nmt_cli.training.train_state import DataState, TrainState, record_validation, stop_reason


def validated(*scores: float, metric: str = "bleu", keep_best: int = 2, warmup: int = 0) -> TrainState:
    settings = Training.model_validate(
        {"validation": {"metric": metric}, "checkpoints": {"keep_best": keep_best}, "schedule": {"warmup": warmup}}
    )
    state = TrainState()
    for score in scores:
        state.num_updates += 1
        record_validation(settings, state, {"valid": {metric: score}, "other": {metric: 0.0}})
    return state


def test_record_validation_ranks_best_first_and_counts_not_improved() -> None:
    state = validated(10.0, 30.0, 20.0, 5.0)
    assert state.best == [(30.0, 2), (20.0, 3)]
    assert state.num_not_improved == 2


def test_record_validation_prefers_lower_loss() -> None:
    assert validated(3.0, 1.0, 2.0, metric="loss").best == [(1.0, 2), (2.0, 3)]


def test_mean_of_all_sets_decides_if_the_settings_say_so() -> None:
    settings = Training.model_validate({"validation": {"sets": "all"}})
    state = TrainState()
    for first, second in ((10.0, 40.0), (20.0, 10.0)):
        state.num_updates += 1
        record_validation(settings, state, {"valid": {"bleu": first}, "other": {"bleu": second}})
    assert state.best == [(25.0, 1), (15.0, 2)]


@pytest.mark.parametrize("metric", get_args(MetricName))
def test_record_validation_prefers_what_is_better_by_the_metric(metric: MetricName) -> None:
    built = None if metric in ("spbleu", "meteor") else build_metrics(Evaluation(metrics=[metric]))[0]
    best = validated(3.0, 1.0, metric=metric).best[0]
    assert best == ((1.0, 2) if built and built.lower_is_better else (3.0, 1))


def test_record_validation_prefers_the_later_of_equal_scores() -> None:
    state = validated(10.0, 10.0)
    assert state.best == [(10.0, 2), (10.0, 1)]
    assert state.num_not_improved == 1


def test_record_validation_ignores_scores_that_are_not_finite() -> None:
    state = validated(math.nan, 1.0, math.nan)
    assert state.best == [(1.0, 2)]
    assert state.num_not_improved == 1


def test_validations_during_warmup_do_not_count_towards_patience() -> None:
    assert [validated(*[3.0, 2.0, 2.0, 2.0, 2.0][:n], warmup=3).num_not_improved for n in range(1, 6)] == [
        0,
        0,
        0,
        1,
        2,
    ]
    assert validated(1.0, 2.0, 3.0, warmup=9).best == [(3.0, 3), (2.0, 2)]


def test_stop_reason_names_updates_epochs_or_patience() -> None:
    settings = Training.model_validate({"limits": {"updates": 10, "epochs": 3}, "validation": {"patience": 2}})
    assert not stop_reason(settings, TrainState(num_updates=9, data=DataState(passes=2.9), num_not_improved=1))
    assert "10 updates" in stop_reason(settings, TrainState(num_updates=10))
    assert "3 epochs" in stop_reason(settings, TrainState(data=DataState(passes=3.0)))
    assert "bleu" in stop_reason(settings, TrainState(num_not_improved=2))


def test_train_state_survives_json() -> None:
    state = TrainState(num_updates=3, best=[(1.5, 2), (1.0, 3)])
    assert TrainState.from_state_dict(json.loads(json.dumps(state.state_dict()))) == state
