"""Learning rates follow their formulas, without jumps, and end at their minimum."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from nmt_cli.recipe.optimization import Schedule
from nmt_cli.training.optimization.schedule import learning_rate, plateau_factor

TYPES = ["inverse_sqrt", "noam", "linear", "cosine", "wsd", "plateau"]
PEAK, WIDTH = 2.0, 64
types = st.sampled_from(TYPES)
warmups = st.integers(1, 200)
few_examples = settings(max_examples=30)


def schedule(**settings: object) -> Schedule:
    found: Schedule = TypeAdapter(Schedule).validate_python(settings)
    return found


def rate(kind: Schedule, update: int, last: int) -> float:
    """Return the rate of an update if training ends with update `last`."""
    return learning_rate(kind, PEAK, update, update / last, WIDTH)


def peak(kind: Schedule) -> float:
    return PEAK / math.sqrt(WIDTH * kind.warmup) if kind.type == "noam" else PEAK


@few_examples
@given(types, warmups)
def test_warmup_is_linear(kind: str, warmup: int) -> None:
    chosen = schedule(type=kind, warmup=warmup)
    for update in {1, (warmup + 1) // 2, warmup}:
        assert rate(chosen, update, 1000) == pytest.approx(peak(chosen) * update / warmup)


@few_examples
@given(types, warmups, st.integers(300, 3000))
def test_rate_after_warmup_never_rises_and_is_never_zero(kind: str, warmup: int, last: int) -> None:
    chosen = schedule(type=kind, warmup=warmup)
    rates = [rate(chosen, update, last) for update in range(warmup, last + 1)]
    assert rates[0] == max(rates)
    assert all(after <= before for before, after in pairwise(rates))
    assert rates[-1] > 0


@few_examples
@given(types, st.integers(20, 200), st.integers(300, 3000), st.floats(0.1, 1.0))
def test_rate_is_continuous(kind: str, warmup: int, last: int, decay: float) -> None:
    chosen = schedule(type=kind, warmup=warmup, **({"decay": decay} if kind == "wsd" else {}))
    rates = [rate(chosen, update, last) for update in range(1, last + 1)]
    steepest = max(1 / warmup, math.pi / 2 / (last - warmup), 1 / (decay * last))
    for before, after in pairwise(rates):
        assert abs(before - after) <= 1.01 * steepest * peak(chosen)


@few_examples
@given(
    st.sampled_from(["linear", "cosine", "wsd"]),
    st.integers(5, 50),
    st.lists(st.floats(1e-4, 1e-2), min_size=60, max_size=200),
)
def test_rate_falls_if_progress_is_uneven(kind: str, warmup: int, increments: list[float]) -> None:
    """With limits in minutes or epochs, too, the rate falls from the peak."""
    chosen, done, rates = schedule(type=kind, warmup=warmup), 0.0, []
    for update, increment in enumerate(increments, 1):
        done = min(1.0, done + increment)
        rates.append(learning_rate(chosen, PEAK, update, done, WIDTH))
    assert rates[warmup - 1] == max(rates) == PEAK
    assert rates[warmup - 1 :] == sorted(rates[warmup - 1 :], reverse=True)


@pytest.mark.parametrize("kind", ["linear", "cosine", "wsd"])
def test_rate_of_a_long_training_ends_at_a_hundredth_of_the_peak(kind: str) -> None:
    assert rate(schedule(type=kind, warmup=10), 5000, 5000) == pytest.approx(PEAK / 100)


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize(
    ("kind", "last"), [("linear", 1 / 8), ("cosine", (1 - math.cos(math.pi / 8)) / 2), ("wsd", 1 / 2)]
)
def test_last_update_of_a_short_training_continues_the_decay(kind: str, last: float, warmup: int) -> None:
    """The decay reaches zero one update later; the decay of wsd begins two updates before the end."""
    num_updates = warmup + 7
    chosen = schedule(type=kind, warmup=warmup, **({"decay": 2 / num_updates} if kind == "wsd" else {}))
    assert rate(chosen, num_updates, num_updates) == pytest.approx(PEAK * last)


def test_rate_halfway_follows_the_formula() -> None:
    def halfway(kind: str) -> float:
        return rate(schedule(type=kind, warmup=20), 60, 100) / PEAK

    assert halfway("linear") == pytest.approx(41 / 81)
    assert halfway("cosine") == pytest.approx((1 + math.cos(math.pi * 40 / 81)) / 2)
    assert halfway("inverse_sqrt") == pytest.approx(math.sqrt(20 / 60))
    assert halfway("noam") == pytest.approx(WIDTH**-0.5 * min(60**-0.5, 60 * 20**-1.5))
    assert halfway("plateau") == 1.0


def test_cosine_after_a_quarter_of_the_decay() -> None:
    quarter = rate(schedule(type="cosine", warmup=20), 40, 100) / PEAK
    assert quarter == pytest.approx((1 + math.cos(math.pi * 20 / 81)) / 2)


def test_wsd_is_constant_and_then_linear() -> None:
    chosen = schedule(type="wsd", warmup=10, decay=0.2)
    assert [rate(chosen, update, 100) / PEAK for update in (11, 50, 81, 86, 100)] == pytest.approx(
        [1, 1, 1, 0.75, 0.05]
    )


def test_wsd_with_decay_1_equals_linear() -> None:
    wsd, linear = schedule(type="wsd", warmup=30, decay=1.0), schedule(type="linear", warmup=30)
    assert [rate(wsd, update, 90) for update in range(1, 91)] == [rate(linear, update, 90) for update in range(1, 91)]


def test_first_rate_without_warmup_is_near_the_peak() -> None:
    assert rate(schedule(type="linear", warmup=0), 1, 100) == pytest.approx(PEAK * 100 / 101)
    assert rate(schedule(type="inverse_sqrt", warmup=0), 1, 100) == PEAK


def test_rate_only_rises_if_warmup_is_longer_than_training() -> None:
    rates = [rate(schedule(type="cosine", warmup=50), update, 30) for update in range(1, 31)]
    assert rates == sorted(rates)


def test_plateau_factor_applies_each_time_patience_runs_out() -> None:
    chosen, factor, factors = schedule(type="plateau", factor=0.5, patience=2), 1.0, []
    for num_not_improved in (0, 1, 2, 3, 4, 0, 1, 2):
        factor *= plateau_factor(chosen, num_not_improved)
        factors.append(factor)
    assert factors == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


@pytest.mark.parametrize("kind", TYPES[:-1])
def test_plateau_factor_is_1_for_other_schedules(kind: str) -> None:
    assert plateau_factor(schedule(type=kind), 3) == 1.0


def test_default_schedule_is_inverse_sqrt() -> None:
    assert schedule(warmup=5).type == "inverse_sqrt"
