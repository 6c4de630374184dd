"""Two hundred kills and a hundred races of two equal commands: nothing is lost, mixed, or taken from the user."""

import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forked_runs import outcome, start_command
from preparing import contents

from nmt_cli import files

pytestmark = pytest.mark.long
KILLS, RACES = 50, 25
"""Of each of the four commands."""


@dataclass(frozen=True)
class Command:
    """A command that writes files."""

    arguments: list[str]
    output: str
    result: Callable[[], Any]
    """Returns everything it has written, without times."""

    def reset(self) -> None:
        """Remove what it has written."""
        files.remove(Path(self.output))
        Path(f"{self.output}.nmt.json").unlink(missing_ok=True)


def evaluation() -> dict[str, bytes]:
    names = ("hypotheses.jsonl", "analysis.json", "report.md", "scores.json")
    return {name: Path("trained/evaluation/test", name).read_bytes() for name in names}


SETTINGS = [
    "--set=training.limits.updates=6",
    "--set=training.validation.every=3",
    "--set=training.checkpoints={every: 2, keep_last: 1, keep_best: 2}",
    "--set=decoding.beam_size=1",
]
COMMANDS = {
    "preprocess": Command(["preprocess", "recipe.yaml"], "prepared", lambda: contents(Path("prepared"))),
    "train": Command(["train", "recipe.yaml", "--run=run", *SETTINGS], "run", lambda: outcome("run")),
    "evaluate": Command(["evaluate", "trained", "--set=evaluation.resamples=null"], "trained/evaluation", evaluation),
    "translate": Command(
        ["translate", "trained", "--input=dev.en", "--output=out"],
        "out",
        lambda: [Path("out").read_bytes(), Path("out.nmt.json").read_bytes()],
    ),
}
OWN = ["out.tmp", "prepared.tmp", "prepared.replaced.tmp", "run.tmp", "run.nmt-1.tmp", "trained/notes", "out.nmt"]
"""Files of the user, beside those of the commands."""


@pytest.fixture
def trained(recipe: Path) -> Path:
    """A run, in a folder with files of the user."""
    assert start_command(["train", "recipe.yaml", "--run=trained", *SETTINGS]).exit_code() == 0
    for name in OWN:
        Path(name).write_text(name)
    return Path("trained")


def first_result(command: Command) -> tuple[Any, float]:
    """Return what a command writes if it is left alone, and its duration in seconds."""
    command.reset()
    began, process = time.monotonic(), start_command(command.arguments)
    assert process.exit_code() == 0, process.stderr
    return command.result(), time.monotonic() - began


def assert_intact(command: Command, expected: Any) -> None:
    assert command.result() == expected
    assert all(Path(name).read_text() == name for name in OWN)
    assert not [path for path in Path().rglob("*.tmp") if str(path) not in OWN]


def kill_until_it_ends(command: Command, rng: random.Random, seconds: float, expected: Any) -> int:
    """Start a command and kill it, until it ends first; return the number of kills."""
    command.reset()
    for num_kills in itertools.count():
        process = start_command(command.arguments)
        time.sleep(rng.uniform(0, 1.1 * seconds))
        process.kill(signal.SIGKILL)
        if (code := process.exit_code()) == 0:
            return num_kills
        assert code == -signal.SIGKILL, process.stderr
        if command.output == "out" and Path("out").exists():
            assert Path("out").read_bytes() == expected[0]
    raise AssertionError


@pytest.mark.usefixtures("trained")
def test_killed_commands_lose_nothing() -> None:
    for name, command in COMMANDS.items():
        (expected, seconds), rng, kills = first_result(command), random.Random(name), list[int]()
        while sum(kills) < KILLS:
            kills.append(kill_until_it_ends(command, rng, seconds, expected))
            assert_intact(command, expected)
        print(f"nmt {name}: {sum(kills)} kills, {len(kills)} results, all equal to that of a run left alone")


@pytest.mark.usefixtures("trained")
def test_racing_commands_do_not_mix() -> None:
    for name, command in COMMANDS.items():
        (expected, seconds), codes = first_result(command), Counter[str]()
        for index in range(RACES):
            command.reset()
            racers = [start_command(command.arguments)]
            time.sleep(seconds * (index % 5) / 10)
            racers.append(start_command(command.arguments))
            ended = sorted(racer.exit_code() for racer in racers)
            assert ended in ([0, 0], [0, 7]), [racer.stderr for racer in racers]
            assert all("Traceback" not in racer.stderr for racer in racers)
            for loser in [racer for racer in racers if racer.exit_code() == 7]:
                assert loser.stderr.count("nmt: error: ") == 1 and " process " in loser.stderr
            codes[" and ".join(map(str, ended))] += 1
            assert_intact(command, expected)
        counts = ", ".join(f"{count} with exit codes {code}" for code, count in sorted(codes.items()))
        print(f"nmt {name}: {RACES} races ({counts}), all results equal to that of a run left alone")
