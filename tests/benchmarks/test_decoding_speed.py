import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fake_models import PAD, GruModel, numbered

from benchmarks.decoders.ours import of_length
from decoders import CTRANSLATE2, DECODERS, OURS
from decoders.asking import Answer, Asked, Asker, AskError, Batch, Sentence, batches_of
from decoders.preparing import MODELS, Prepared
from decoding_speed import Result, Work, table
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.search.strategies import build_strategy
from peers.child import REPOSITORY

PYTHON = Path(sys.executable)
MULTI30K = REPOSITORY.parent / "shared/data/multi30k"
ECHO = """\
from benchmarks.decoders.answering import serve
def load(settings):
    print("a toolkit says something")
    def decode(rows, length, beam):
        assert rows == [[5, 3], [7, 8, 3]] and (length, beam) == (4, 2), (rows, length, beam)
    return decode
serve(load)
"""


def result(engine: str, precision: str, cpu: float, batch: int = 32) -> Result:
    work = Work("small", "greedy", batch, precision)
    asked = Asked(1, [Batch([0, 1], 50)])
    answer = Answer(2 * cpu, cpu, 2**30)
    return Result(engine, work, asked, answer, answer, "cpu")


RESULTS = [
    *(result(OURS, "fp32", cpu) for cpu in (1.0, 9.0, 1.0)),
    result(CTRANSLATE2, "fp32", 2.0),
    result("slow", "fp32", 8.0),
    result("slower", "fp32", 16.0),
    result("slow", "fp32", 0.1, batch=64),
    result(OURS, "bf16", 0.5),
    result(OURS, "int8", 0.5),
    result(CTRANSLATE2, "int8", 1.0),
]


def cells(engine: str, precision: str) -> dict[str, str]:
    header, _, *lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(RESULTS)]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    return next(row for row in rows if (row["engine"], row["precision"], row["batch"]) == (engine, precision, "32"))


@pytest.mark.parametrize(
    ("engine", "precision", "ratios"),
    [
        (OURS, "fp32", ("2.00", "8.00")),
        (OURS, "bf16", ("4.00", "16.00")),
        (OURS, "int8", ("2.00", "16.00")),
        ("slower", "fp32", ("0.12", "0.50")),
    ],
)
def test_ratios_compare_the_same_work(engine: str, precision: str, ratios: tuple[str, str]) -> None:
    row = cells(engine, precision)
    assert (row["ctranslate2"], row["python"]) == ratios


def test_figures_are_medians_over_rounds() -> None:
    row = cells(OURS, "fp32")
    assert (row["tok/s"], row["tok/CPU-s"], row["sent/s"], row["memory, MiB"]) == ("50", "100", "2.0", "1,024")


def test_batches_have_sentences_of_similar_length() -> None:
    sentences = [Sentence(number, 1 + number % 3, 4 + number % 3) for number in range(7)]

    found = batches_of(sentences, 2)

    assert found == [Batch([0, 3], 4), Batch([6, 1], 4), Batch([4, 2], 6)]


@pytest.mark.parametrize("length", [2, 5, 11, 40])
def test_our_search_takes_the_requested_number_of_steps(length: int) -> None:
    model = GruModel(20)
    searcher = Generator(model, [PAD], torch.device("cpu"))

    found = searcher.search(numbered([[5], [6, 7, 8]]), build_strategy(of_length(length, 2)))

    assert [len(hypotheses[0].tokens) for hypotheses in found] == [length - 1, length - 1]
    assert len(model.rows_stepped) == length


def test_server_answers_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "sentences.json").write_text("[[5, 3], [6, 3], [7, 8, 3]]")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    asker = Asker("echo", PYTHON, {"sentences": str(tmp_path / "sentences.json")}, "0")
    try:
        answer = asker.ask(Asked(2, [Batch([0, 2], 4)]))
        assert 0 <= answer.cpu < 1
        assert 2**20 < answer.memory < 2**27, "not that of the process which asks"
        with pytest.raises(AskError, match="AssertionError"):
            asker.ask(Asked(2, [Batch([1], 4)]))
    finally:
        asker.end()


def test_engines_report_unsupported_work(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, [], 100, "cpu")
    refusals = {
        (engine, name): decoder.refusal(prepared.model(name), "fp32")
        for engine, decoder in DECODERS.items()
        for name in MODELS
    }

    assert refusals[OURS, "lstm"] is None
    assert refusals[CTRANSLATE2, "base_12_1"] is None
    assert refusals[CTRANSLATE2, "lstm"] == "has no rnn"


@pytest.mark.long
@pytest.mark.slow
def test_benchmark_measures_our_engine(tmp_path: Path) -> None:
    if not (MULTI30K / "train.en.gz").is_file():
        pytest.skip(f"{MULTI30K} is not there")
    program = [sys.executable, "benchmarks/decoding_speed.py", "--text", str(MULTI30K), "--folder", str(tmp_path)]
    small = ["--models", "small,lstm", "--batches", "4", "--precisions", "fp32", "--rounds", "1", "--seconds", "0.1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    subprocess.run(
        [*program, *small, "--output", str(tmp_path / "found.md")], cwd=REPOSITORY, env=environment, check=True
    )

    assert str(tmp_path) not in (tmp_path / "found.md").read_text()
    rows = [line.split(" | ") for line in (tmp_path / "found.md").read_text().split("\n") if line.startswith("| ")]
    measured = {(row[0].strip("| "), row[1]) for row in rows if row[4] == OURS}
    assert measured == {(model, search) for model in ("small", "lstm") for search in ("greedy", "beam5")}
