"""`nmt translate` with a model: the same bytes for any number of processes and shards, in bounded memory."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from toy_model import WORDS, save_toy_model

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("toy") / "model", max_length_ratio=0.1, batch_tokens=20_000)


def command(model: Path, *arguments: object, python: Path = Path(sys.executable)) -> list[str]:
    return [str(python), "-m", "nmt_cli", "translate", str(model), *map(str, arguments)]


def line(number: int) -> str:
    return " ".join(WORDS[int(digit)] for digit in str(number))


def without_scores(record: bytes) -> list[object]:
    """Return a line of the output without its scores."""
    return [json.loads(record)[key] for key in ("id", "source", "hypothesis")] if record else []


def test_processes_and_shards_have_the_same_output(model: Path, tmp_path: Path, fast_python: Path) -> None:
    """Each part's lines know their numbers in the whole, on which what is drawn by chance depends.

    Their batches are others, so that the last digit of a score may be, too.
    """
    source = tmp_path / "in"
    source.write_text("".join(f"{line(number)}\n" for number in range(300)))
    settings = ["-i", source, "--format", "jsonl", "--set", "decoding.strategy=sampling"]

    for name, more in (
        ("whole", []),
        ("together", ["--nproc", 2]),
        *((f"part.{part}", ["--shard", f"{part}/3"]) for part in (1, 2, 3)),
    ):
        arguments = command(model, *settings, "-o", tmp_path / name, *more, python=fast_python)
        subprocess.run(arguments, env=ENVIRONMENT, check=True)

    whole = (tmp_path / "whole").read_bytes()
    assert whole.count(b"\n") == 300
    assert (tmp_path / "together").read_bytes() == whole
    parts = b"".join((tmp_path / f"part.{part}").read_bytes() for part in (1, 2, 3))
    assert list(map(without_scores, parts.split(b"\n"))) == list(map(without_scores, whole.split(b"\n")))


def test_thousands_of_lines_need_constant_memory(model: Path) -> None:
    lines, memory, given = 8_000, list[int](), 0

    def give() -> None:
        nonlocal given
        assert process.stdin
        with process.stdin:
            for number in range(lines):
                process.stdin.write(f"{line(number)}\n".encode())
                given = number + 1

    with subprocess.Popen(
        command(model, "--format", "tsv"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        threading.Thread(target=give, daemon=True).start()
        assert process.stdout
        for number, answer in enumerate(process.stdout):
            assert answer.decode().split("\t")[0] == line(number)
            if number == 0:
                assert given < lines
            if number % 40 == 0:  # it falls and rises with each window
                memory.append(int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4096)
    assert process.returncode == 0
    assert number == lines - 1
    middle, last = statistics.median(memory[60:120]), statistics.median(memory[120:])
    assert last - middle < 12 * 2**20


@pytest.mark.long
def test_a_partner_of_a_model_waits_less_than_two_seconds(model: Path) -> None:
    with subprocess.Popen(
        command(model), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, bufsize=0
    ) as process:
        assert process.stdin and process.stdout
        for number in range(101):
            asked = time.monotonic()
            process.stdin.write(b"one two\n")
            assert process.stdout.readline()
            assert time.monotonic() - asked < 2 or number == 0  # the model is loaded
        process.stdin.close()
    assert process.returncode == 0


def test_a_model_is_opened_without_torchs_compiler(model: Path) -> None:
    """Which would take longer than all the rest."""
    program = (
        "import sys; from pathlib import Path; from nmt_cli.commands.loading import load_model\n"
        f"load_model(Path({str(model)!r})); print({{'torch._dynamo', 'sympy'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, check=True)
    assert done.stdout == b"set()\n"
