"""nmt evaluate, report and compare killed or without room at any moment: results are old or new together, or gone."""

import errno
import json
import random
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from fault_injection import FailAtOperation, KillAtOperation, limit_file_size, limit_file_size_after_opening
from forked_runs import copy_run, start_command

from nmt_cli.commands.train import train

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("architecture", ["transformer"])]
each_or_some = pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 4])
SHORT = ["training.limits.updates=2", "training.validation={every: 2, metric: loss}"]
BEFORE = ["evaluate", "run", "--robustness", "--set", "decoding.max_length=1"]
AFTER = ["evaluate", "run", "--robustness", "--set", "evaluation.metrics=[ter]", "--set", "evaluation.samples=3"]
FOLDER = "evaluation/test"
FILES = ("hypotheses.jsonl", "analysis.json", "report.md", "scores.json")
Files = dict[str, bytes]


def strictly(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def results(run: str) -> Files:
    """All files of the evaluated set but locks and what is unfinished; JSON must be whole and strict."""
    found = {
        path.name: path.read_bytes()
        for path in Path(run, FOLDER).iterdir()
        if path.suffix in (".json", ".jsonl", ".md")
    }
    for name, content in found.items():
        for document in (
            content.split(b"\n")[:-1] if name.endswith(".jsonl") else [content] if name.endswith(".json") else []
        ):
            json.loads(document, parse_constant=strictly)
    return found


def run_to_end(arguments: list[str]) -> None:
    process = start_command(arguments)
    assert process.exit_code() == 0, process.stderr


_evaluated = list[Path]()
"""Where what all tests begin with lies, once it was made."""


@pytest.fixture
def both(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, Files]:
    """An evaluated run, its results, and those that another evaluation will replace them by."""
    if not _evaluated:
        train(recipe, SHORT, Path("run"))
        run_to_end(BEFORE)
        shutil.copytree("run", "kept")
        run_to_end(AFTER)
        _evaluated.append(tmp_path_factory.mktemp("evaluated"))
        for name in ("run", "kept"):
            shutil.copytree(name, _evaluated[0] / name)
    for name in ("run", "kept"):
        copy_run(str(_evaluated[0] / name), name)
    before, after = results("kept"), results("run")
    assert all(after[name] != before[name] for name in after)
    return before, after


def assert_believable(both: tuple[Files, Files]) -> None:
    """Where there are scores, all files are those of one evaluation; the cost of disturbances names its own."""
    now, (before, after) = results("run"), both
    if "scores.json" in now:
        whole = [each for each in both if all(now.get(name) == each[name] for name in FILES)]
        assert len(whole) == 1
    assert all(content in (before[name], after[name]) for name, content in now.items())


def assert_done_again(both: tuple[Files, Files]) -> None:
    run_to_end(AFTER)
    assert results("run") == both[1]
    assert not list(Path("run").rglob("*.tmp"))


@each_or_some
def test_killed_at_each_step_of_writing_results_are_of_one_evaluation(both: tuple[Files, Files], step: int) -> None:
    for operation in count(1, step):
        copy_run("kept", "run")
        process = start_command(AFTER, before=lambda: KillAtOperation(Path("run"), operation))  # noqa: B023
        if process.exit_code() == 0:
            break
        assert process.exit_code() == -signal.SIGKILL, process.stderr
        assert_believable(both)
        if operation % 3 == 1:
            assert_done_again(both)
    assert operation > 15


@pytest.mark.long
def test_killed_at_random_moments_results_are_of_one_evaluation(both: tuple[Files, Files]) -> None:
    moments, copied = random.Random(1), copy_run("kept", "run")
    began = time.monotonic()
    run_to_end([*AFTER, "--quiet"])
    took = time.monotonic() - began
    for _ in range(15):
        copy_run("kept", copied)
        process = start_command(AFTER)
        time.sleep(moments.uniform(0, took))
        process.kill(signal.SIGKILL)
        process.exit_code()
        assert_believable(both)
    assert_done_again(both)


@each_or_some
def test_refused_at_each_step_of_writing_it_is_told_and_results_are_of_one_evaluation(
    both: tuple[Files, Files], step: int
) -> None:
    for operation in count(1, step):
        copy_run("kept", "run")
        number = (errno.ENOSPC, errno.EIO)[operation // step % 2]
        process = start_command(AFTER, before=partial(FailAtOperation, number, operation))
        if process.exit_code() == 0:
            break
        assert process.exit_code() == 5, process.stderr
        assert process.stderr.count("nmt: error:") == 1
        assert "Traceback" not in process.stderr
        assert_believable(both)
        assert not list(Path("run").rglob("*.tmp"))
    assert operation > 10
    assert_done_again(both)


@pytest.mark.parametrize("share", [0.6, 0.99])
@pytest.mark.parametrize("name", [*FILES, "robustness.json"])
def test_a_full_disk_leaves_no_part_of_a_result(both: tuple[Files, Files], name: str, share: float) -> None:
    copy_run("kept", "run")
    process = start_command(AFTER, before=lambda: limit_file_size_after_opening(name, int(share * len(both[1][name]))))
    assert process.exit_code() == 5, process.stderr
    assert process.stderr.count("nmt: error: ") == 1
    assert_believable(both)
    assert not list(Path("run").rglob("*.tmp"))
    assert_done_again(both)


PAGES: dict[str, list[str]] = {
    "run/report.html": ["report", "run", "--attention", "0"],
    "comparison.html": ["compare", "run", "kept", "--html", "comparison.html"],
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "fault",
    [
        *(lambda n=n: KillAtOperation(Path.cwd(), n) for n in range(1, 6)),
        *(lambda n=n: FailAtOperation(errno.ENOSPC, n) for n in range(1, 4)),
        lambda: limit_file_size(4096),
    ],
)
def test_a_page_is_the_old_one_or_complete(both: tuple[Files, Files], page: str, fault: Callable[[], object]) -> None:
    run_to_end(PAGES[page])
    complete = Path(page).read_bytes()
    assert complete.endswith(b"</html>\n")
    Path(page).write_bytes(b"old")
    process = start_command(PAGES[page], before=fault)
    assert process.exit_code() in (0, 5, -signal.SIGKILL), process.stderr
    assert Path(page).read_bytes() in (b"old", complete)
    run_to_end(PAGES[page])
    assert Path(page).read_bytes() == complete
