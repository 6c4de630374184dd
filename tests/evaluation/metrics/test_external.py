"""External metrics: the files they receive, the output they may print, and their failures."""

import json
import sys
import time
from pathlib import Path

import pytest

from nmt_cli.errors import DataError, NmtError, RecipeError, ResourceError
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.external import run_program
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MetricScore
from nmt_cli.recipe.evaluation import Evaluation, ExternalMetric

TEXTS = EvaluationTexts(["ein Hund", "", "drei\u2028Kinder"], [["ein Hund", "zwei", "drei"]], ["a dog", "two", "three"])


def program(code: str, *arguments: str, timeout: float = 60) -> ExternalMetric:
    """A metric written in Python."""
    return ExternalMetric(command=[sys.executable, "-c", code, "{hypothesis}", *arguments], timeout=timeout)


def numbers(printed: str) -> list[float]:
    return run_program("evaluation.external.mine", program(f"print({printed!r})"), TEXTS)


def test_program_receives_one_file_per_side() -> None:
    code = "import sys, json; print(json.dumps([float(len(open(p, 'rb').read())) for p in sys.argv[1:]]))"
    sides = [TEXTS.hypotheses, TEXTS.references[0], TEXTS.sources or []]
    expected = [len("".join(f"{line}\n" for line in side).encode()) for side in sides]
    assert run_program("evaluation.external.mine", program(code, "{reference}", "{source}"), TEXTS) == expected


def test_reference_argument_is_repeated_for_each_set() -> None:
    texts = EvaluationTexts(["a", "b", "c"], [["x"] * 3, ["yy"] * 3])
    code = "import sys; [print(len(open(argument[6:]).readline())) for argument in sys.argv[2:]]; print(len(sys.argv))"
    assert run_program("evaluation.external.mine", program(code, "--ref={reference}"), texts) == [2, 3, 4]


def test_command_is_not_run_by_a_shell(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    arguments = [f"; touch {trap}", f"$(touch {trap})", f"`touch {trap}`", "{0.real}", "%s"]
    code = f"import sys; print([int(sys.argv[2:] == {arguments})] * 3)"
    assert run_program("evaluation.external.mine", program(code, *arguments), TEXTS) == [1, 1, 1]
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
def test_run_program_reads_numbers_from_lines_and_json(printed: str) -> None:
    assert numbers(printed) == [0.5, -1.0, 20.0]


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("1\n2\n", r"\b2\b.*\b3\b"),
        ("1\n2\n3\n4\n", r"\b4\b.*\b3\b"),
        ("", r"\b0\b.*\b3\b"),
        ("1\ntwo\n3\n", r"\b2\b"),
        ("1\n2\nnan\n", r"\b3\b"),
        ("[1, 2, Infinity]", r"\b3\b"),
        ("[1, true, 2]", r"\b2\b"),
        ('{"score": 1}', r"\b1\b"),
    ],
)
def test_run_program_rejects_output_without_one_number_per_line(printed: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"^evaluation\.external\.mine: .*{message}"):
        numbers(printed)


def test_run_program_reports_the_last_line_of_a_failed_program() -> None:
    failing = program("import sys; print('much\\nno GPU here', file=sys.stderr); sys.exit(3)")
    with pytest.raises(DataError, match=r"^evaluation\.external\.mine: .*\b3: no GPU here$"):
        run_program("evaluation.external.mine", failing, TEXTS)


def test_build_metrics_rejects_a_missing_program() -> None:
    settings = Evaluation(external={"mine": ExternalMetric(command=["no-such-program", "{hypothesis}"])})
    with pytest.raises(RecipeError, match=r"^evaluation\.external\.mine: .*no-such-program"):
        build_metrics(settings)


def test_run_program_rejects_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_bytes(b"neither script nor program")
    path.chmod(0o755)
    with pytest.raises(RecipeError, match=r"^evaluation\.external\.mine: .*broken"):
        run_program("evaluation.external.mine", ExternalMetric(command=[str(path), "{hypothesis}"]), TEXTS)


def test_timeout_kills_the_program_and_its_children(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    child = f"import time\nfor _ in range(600): open({str(alive)!r}, 'a').write('x'); time.sleep(0.05)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(ResourceError, match=r"\b2 .*evaluation\.external\.mine\.timeout"):
        run_program("evaluation.external.mine", program(code, timeout=2), TEXTS)
    time.sleep(0.3)
    size = alive.stat().st_size if alive.exists() else 0
    time.sleep(0.3)
    assert (alive.stat().st_size if alive.exists() else 0) == size


def test_run_program_requires_sources_for_the_placeholder() -> None:
    with pytest.raises(RecipeError, match="--source"):
        run_program("evaluation.external.mine", program("print(1)", "{source}"), EvaluationTexts(["a"], [["b"]]))


def test_external_metric_scores_like_any_other() -> None:
    settings = Evaluation(metrics=["chrf"], external={"mine": program("print('1\\n2\\n6')")})
    found = [each.score() for each in compute_statistics(TEXTS, build_metrics(settings))]
    assert found[1] == MetricScore("mine", "mine", 3.0, "nrefs:1|external:mine")
    assert json.loads(json.dumps(found[1].as_sacrebleu()))["score"] == 3.0


def test_failure_message_is_one_line() -> None:
    failing = program("raise ValueError('a\\nb')")
    with pytest.raises(NmtError) as caught:
        run_program("evaluation.external.mine", failing, TEXTS)
    assert "\n" not in str(caught.value)
