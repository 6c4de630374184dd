"""Metrics by programs of their own: what they are given, what is understood of what they print, how they fail."""

import json
import sys
import time
from pathlib import Path

import pytest

from nmt_cli.errors import DataError, NmtError, RecipeError, ResourceError
from nmt_cli.evaluation.metrics import build_metrics, measure
from nmt_cli.evaluation.metrics.contract import Score, Texts
from nmt_cli.evaluation.metrics.external import run
from nmt_cli.recipe.evaluation import Evaluation, ExternalMetric

TEXTS = Texts(["ein Hund", "", "drei\u2028Kinder"], [["ein Hund", "zwei", "drei"]], ["a dog", "two", "three"])


def program(code: str, *arguments: str, timeout: float = 60) -> ExternalMetric:
    """A metric written in Python."""
    return ExternalMetric(command=[sys.executable, "-c", code, "{hypothesis}", *arguments], timeout=timeout)


def numbers(printed: str) -> list[float]:
    return run("mine", program(f"print({printed!r})"), TEXTS)


def test_it_is_given_the_lines_of_every_side() -> None:
    code = "import sys, json; print(json.dumps([float(len(open(p, 'rb').read())) for p in sys.argv[1:]]))"
    sides = [TEXTS.hypotheses, TEXTS.references[0], TEXTS.sources or []]
    expected = [len("".join(f"{line}\n" for line in side).encode()) for side in sides]
    assert run("mine", program(code, "{reference}", "{source}"), TEXTS) == expected


def test_an_argument_with_references_is_repeated_for_each_set() -> None:
    texts = Texts(["a", "b", "c"], [["x"] * 3, ["yy"] * 3])
    code = "import sys; [print(len(open(argument[6:]).readline())) for argument in sys.argv[2:]]; print(len(sys.argv))"
    assert run("mine", program(code, "--ref={reference}"), texts) == [2, 3, 4]


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    arguments = [f"; touch {trap}", f"$(touch {trap})", f"`touch {trap}`", "{0.real}", "%s"]
    code = f"import sys; print([int(sys.argv[2:] == {arguments})] * 3)"
    assert run("mine", program(code, *arguments), TEXTS) == [1, 1, 1]
    assert not trap.exists()


@pytest.mark.parametrize(
    "printed",
    [
        "0.5\n-1\n2e1\n",
        "[0.5, -1, 20]",
        '{"system": 6.5, "scores": [0.5, -1, 20.0]}',
        "hyp.txt\tSegment 0\tscore: 0.5\nhyp.txt\tSegment 1\tscore: -1\n\nhyp.txt\tSegment 2\tscore: 20\n",
        "hyp 0.5\nhyp -1\nhyp 20\nhyp score: 6.5000\n",
    ],
)
def test_numbers_are_read_from_lines_and_json(printed: str) -> None:
    assert numbers(printed) == [0.5, -1.0, 20.0]


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("1\n2\n", "printed 2 numbers for 3 lines"),
        ("1\n2\n3\n4\n", "printed 4 numbers for 3 lines"),
        ("", "printed 0 numbers for 3 lines"),
        ("1\ntwo\n3\n", "no finite number in place 2"),
        ("1\n2\nnan\n", "no finite number in place 3"),
        ("[1, 2, Infinity]", "no finite number in place 3"),
        ("[1, true, 2]", "no finite number in place 2"),
        ('{"score": 1}', "no finite number in place 1"),
    ],
)
def test_what_is_not_a_number_for_each_line_is_refused(printed: str, told: str) -> None:
    with pytest.raises(DataError, match=rf"^evaluation\.external\.mine: .*{told}"):
        numbers(printed)


def test_a_failing_program_is_told_with_its_last_line() -> None:
    failing = program("import sys; print('much\\nno GPU here', file=sys.stderr); sys.exit(3)")
    with pytest.raises(DataError, match=r"^evaluation\.external\.mine: .* failed with exit code 3: no GPU here$"):
        run("mine", failing, TEXTS)


def test_a_program_that_is_not_there_is_named() -> None:
    settings = Evaluation(external={"mine": ExternalMetric(command=["no-such-program", "{hypothesis}"])})
    with pytest.raises(RecipeError, match=r"^evaluation\.external\.mine: there is no program no-such-program"):
        build_metrics(settings)


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_bytes(b"neither script nor program")
    path.chmod(0o755)
    with pytest.raises(RecipeError, match=r"^evaluation\.external\.mine: .*broken cannot be started"):
        run("mine", ExternalMetric(command=[str(path), "{hypothesis}"]), TEXTS)


def test_a_program_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time\nfor _ in range(600): open({str(alive)!r}, 'a').write('x'); time.sleep(0.05)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(ResourceError, match=r"did not end within 2 seconds; raise evaluation\.external\.mine\.timeout"):
        run("mine", program(code, timeout=2), TEXTS)
    time.sleep(0.3)
    size = alive.stat().st_size if alive.exists() else 0
    time.sleep(0.3)
    assert (alive.stat().st_size if alive.exists() else 0) == size


def test_source_lines_that_are_not_known_are_asked_for() -> None:
    with pytest.raises(RecipeError, match="--source FILE"):
        run("mine", program("print(1)", "{source}"), Texts(["a"], [["b"]]))


def test_it_is_scored_like_any_other_metric() -> None:
    settings = Evaluation(metrics=["chrf"], external={"mine": program("print('1\\n2\\n6')")})
    found = [each.score() for each in measure(TEXTS, build_metrics(settings))]
    assert found[1] == Score("mine", "mine", 3.0, "nrefs:1|external:mine")
    assert json.loads(json.dumps(found[1].as_sacrebleu()))["score"] == 3.0


def test_no_failure_is_more_than_a_line() -> None:
    failing = program("raise ValueError('a\\nb')")
    with pytest.raises(NmtError) as caught:
        run("mine", failing, TEXTS)
    assert "\n" not in str(caught.value)
