"""Learning rates follow their formulas, without jumps, down to the right end."""

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
few = settings(max_examples=30)


def schedule(**settings: object) -> Schedule:
    found: Schedule = TypeAdapter(Schedule).validate_python(settings)
    return found


def rate(kind: Schedule, step: int, last: int) -> float:
    """The rate where training ends with update `last`."""
    return learning_rate(kind, PEAK, step, step / last, WIDTH)


def top(kind: Schedule) -> float:
    return PEAK / math.sqrt(WIDTH * kind.warmup) if kind.type == "noam" else PEAK


@few
@given(types, warmups)
def test_the_rate_rises_in_a_straight_line_to_its_peak(kind: str, warmup: int) -> None:
    chosen = schedule(type=kind, warmup=warmup)
    for step in {1, (warmup + 1) // 2, warmup}:
        assert rate(chosen, step, 1000) == pytest.approx(top(chosen) * step / warmup)


@few
@given(types, warmups, st.integers(300, 3000))
def test_after_the_warmup_the_rate_never_rises_and_is_never_zero(kind: str, warmup: int, last: int) -> None:
    chosen = schedule(type=kind, warmup=warmup)
    rates = [rate(chosen, step, last) for step in range(warmup, last + 1)]
    assert rates[0] == max(rates)
    assert all(after <= before for before, after in pairwise(rates))
    assert rates[-1] > 0


@few
@given(types, st.integers(20, 200), st.integers(300, 3000), st.floats(0.1, 1.0))
def test_the_rate_has_no_jumps(kind: str, warmup: int, last: int, decay: float) -> None:
    chosen = schedule(type=kind, warmup=warmup, **({"decay": decay} if kind == "wsd" else {}))
    rates = [rate(chosen, step, last) for step in range(1, last + 1)]
    steepest = max(1 / warmup, math.pi / 2 / (last - warmup), 1 / (decay * last))
    for before, after in pairwise(rates):
        assert abs(before - after) <= 1.01 * steepest * top(chosen)


@few
@given(
    st.sampled_from(["linear", "cosine", "wsd"]),
    st.integers(5, 50),
    st.lists(st.floats(1e-4, 1e-2), min_size=60, max_size=200),
)
def test_shares_may_grow_unevenly(kind: str, warmup: int, shares: list[float]) -> None:
    """Limits in minutes or epochs: the rate still begins at the peak and falls from there."""
    chosen, done, rates = schedule(type=kind, warmup=warmup), 0.0, []
    for step, share in enumerate(shares, 1):
        done = min(1.0, done + share)
        rates.append(learning_rate(chosen, PEAK, step, done, WIDTH))
    assert rates[warmup - 1] == max(rates) == PEAK
    assert rates[warmup - 1 :] == sorted(rates[warmup - 1 :], reverse=True)


@pytest.mark.parametrize("kind", ["linear", "cosine", "wsd"])
def test_at_the_end_a_thousandth_is_left(kind: str) -> None:
    assert rate(schedule(type=kind, warmup=10), 500, 500) == pytest.approx(PEAK / 1000)


def test_each_schedule_has_its_formula() -> None:
    def halfway(kind: str) -> float:
        return rate(schedule(type=kind, warmup=20), 60, 100) / PEAK

    assert halfway("linear") == pytest.approx(0.5)
    assert halfway("cosine") == pytest.approx(0.5)
    assert halfway("inverse_sqrt") == pytest.approx(math.sqrt(20 / 60))
    assert halfway("noam") == pytest.approx(WIDTH**-0.5 * min(60**-0.5, 60 * 20**-1.5))
    assert halfway("plateau") == 1.0


def test_cosine_is_half_a_wave() -> None:
    quarter = rate(schedule(type="cosine", warmup=20), 40, 100) / PEAK
    assert quarter == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_wsd_stays_and_then_falls_in_a_straight_line() -> None:
    chosen = schedule(type="wsd", warmup=10, decay=0.2)
    assert [rate(chosen, step, 100) / PEAK for step in (11, 50, 80, 85, 90)] == pytest.approx([1, 1, 1, 0.75, 0.5])


def test_wsd_that_decays_all_the_time_is_linear() -> None:
    wsd, linear = schedule(type="wsd", warmup=30, decay=1.0), schedule(type="linear", warmup=30)
    assert [rate(wsd, step, 90) for step in range(1, 91)] == [rate(linear, step, 90) for step in range(1, 91)]


def test_without_warmup_the_first_rate_is_near_the_peak() -> None:
    assert rate(schedule(type="linear", warmup=0), 1, 100) == pytest.approx(0.99 * PEAK)
    assert rate(schedule(type="inverse_sqrt", warmup=0), 1, 100) == PEAK


def test_a_warmup_longer_than_the_training_only_rises() -> None:
    rates = [rate(schedule(type="cosine", warmup=50), step, 30) for step in range(1, 31)]
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


def test_the_default_is_inverse_sqrt() -> None:
    assert schedule(warmup=5).type == "inverse_sqrt"
