"""No damaged file ends a command with a traceback, a dead process or a hang."""

import os
import signal

import fuzzer
import pytest

_SECONDS = 1800


@pytest.mark.slow
def test_changed_files_never_cause_a_traceback() -> None:
    found = fuzzer.fuzz(seconds=600, max_cases=4)
    assert not found.bad, found.summary()


@pytest.mark.long
def test_changed_files_never_cause_a_traceback_for_half_an_hour() -> None:
    found = fuzzer.fuzz(_SECONDS, first_seed=1000)
    print(found.summary())
    assert not found.bad


@pytest.mark.slow
def test_fuzzer_finds_tracebacks_dead_processes_and_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def misbehave(_name: str, seed: int) -> None:
        if seed == 0:
            raise ZeroDivisionError
        if seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        while seed == 2:
            pass

    monkeypatch.setattr(fuzzer, "run_case", misbehave)
    monkeypatch.setattr(fuzzer, "_MAX_CPU_SECONDS", 1)
    found = fuzzer.fuzz(seconds=60, max_cases=4, names=["recipe"])
    assert found.cases["recipe"] == 4
    for seed, (line, way) in enumerate(zip(found.bad, ["ZeroDivisionError", "died", "hangs"], strict=True)):
        assert line.startswith(f"'recipe' {seed}: ")
        assert way in line
