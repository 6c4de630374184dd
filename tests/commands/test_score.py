"""`nmt score`: one score per pair, and errors in the input."""

import io
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nmt_cli.commands import score as module
from nmt_cli.commands.score import ScoreOutputOptions, ScoreResult, score
from nmt_cli.data.context import DocumentContext
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import NO_TAGS
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.decoding.scoring.scorer import ScoredPair, ScoringPair
from nmt_cli.errors import DataError, RecipeError

MODEL = TranslateOptions((Path("model"),))


class Lengths:
    """Scores a pair by the lengths of its sides."""

    windows: list[int]

    def __init__(self, *arguments: Any) -> None:
        Lengths.windows = []

    def score_window(self, pairs: Sequence[ScoringPair], first_line: int, on_progress: Any) -> list[ScoredPair]:
        assert first_line == sum(self.windows) + 1
        self.windows.append(len(pairs))
        return [self.scored(pair) for pair in pairs]

    def scored(self, pair: ScoringPair) -> ScoredPair:
        value = -float(len(pair.source) + len(pair.target)) if pair.target else -math.inf
        return ScoredPair(pair, value, 2, value / 2, (value, 0.0))


@pytest.fixture(autouse=True)
def _without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    context = DocumentContext(cast(Tokenizer, None), None, 0)
    opened = SimpleNamespace(generator=None, tokenizer=None, settings=None, tags=NO_TAGS, context=context)
    monkeypatch.setattr(module, "open_translator", lambda options: opened)
    monkeypatch.setattr(module, "Scorer", Lengths)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """What stands on stdin."""
    return lambda given: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))


def of_files(folder: Path, source: bytes, target: bytes, **options: Any) -> ScoreResult:
    (folder / "source").write_bytes(source)
    (folder / "target").write_bytes(target)
    return score(MODEL, folder / "source", folder / "target", ScoreOutputOptions(**options))


def test_score_writes_one_line_per_pair(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    of_files(tmp_path, b"a\n\nb\x85\xe2\x80\xa8c\r\n" * 200, b"ab\ncd\n\n" * 200)

    assert capfdbinary.readouterr().out == b"-3.0000\n-2.0000\n-inf\n" * 200
    assert len(Lengths.windows) > 2


def test_score_normalizes_by_length(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    of_files(tmp_path, b"a\n", b"b\n", normalize=True)

    assert capfdbinary.readouterr().out == b"-1.0000\n"


def test_score_reads_columns_of_stdin(give: Callable[[bytes], None], capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    give(b"a\tb\n\t\nab\tcd\n")

    score(MODEL, output_options=ScoreOutputOptions("tsv", word_scores=True))

    assert (
        capfdbinary.readouterr().out
        == b"a\tb\t-2.0000\t-2.0000 0.0000\n\t\t-inf\t-inf 0.0000\nab\tcd\t-4.0000\t-4.0000 0.0000\n"
    )


@pytest.mark.parametrize("line", [b"alone", b"ab\tcd\tmore"])
def test_score_refuses_another_number_of_columns(give: Callable[[bytes], None], line: bytes) -> None:
    give(b"a\tb\n" + line + b"\n")
    with pytest.raises(DataError, match=r"^stdin: line 2: "):
        score(MODEL)


def test_score_writes_infinity_as_null_in_json(
    give: Callable[[bytes], None], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    give(b"a\t\na\tb\n")

    score(MODEL, output_options=ScoreOutputOptions("jsonl", word_scores=True))

    first, second = map(json.loads, capfdbinary.readouterr().out.decode().split("\n")[:-1])
    assert first == {
        "id": 0,
        "source": "a",
        "target": "",
        "log_probability": None,
        "score": None,
        "length": 2,
        "word_scores": [None, 0.0],
    }
    assert (second["id"], second["log_probability"], second["score"]) == (1, -2.0, -1.0)


@pytest.mark.parametrize(("lines", "counts"), [((3, 1), r"3\D+1\b"), ((2, 5), r"2\D+5\b"), ((0, 1), r"0\D+1\b")])
def test_score_names_both_line_counts_of_unequal_files(tmp_path: Path, lines: tuple[int, int], counts: str) -> None:
    with pytest.raises(DataError, match=rf"\b{counts}"):
        of_files(tmp_path, b"a\n" * lines[0], b"b\n" * lines[1])


def test_score_names_a_line_without_a_tab(give: Callable[[bytes], None]) -> None:
    give(b"a\tb\na b\n")

    with pytest.raises(DataError, match="stdin: line 2: "):
        score(MODEL)


def test_score_requires_both_files_or_none() -> None:
    for files in ((Path("a"), None), (None, Path("b"))):
        with pytest.raises(RecipeError, match=r"^--source"):
            score(MODEL, *files)


def test_score_warns_of_invalid_utf_8(tmp_path: Path) -> None:
    (warning,) = of_files(tmp_path, b"a\n\xff\n", b"b\nc\n").warnings

    assert "source: line 2: " in warning
