"""Evaluated sets of a run as they lie on disk, read whatever may be wrong with one of them."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.errors import DataError, NmtError
from nmt_cli.reporting.report import Sentence
from nmt_cli.runs.directory import HYPOTHESES, SCORES, RunDirectory


@dataclass(frozen=True)
class ReadScore:
    """A corpus score, with the interval it lies in if one was computed."""

    name: str
    value: float
    signature: str
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Evaluation:
    """One evaluated set."""

    folder: Path
    name: str
    """The set's; after an @, the checkpoint that was evaluated in place of the model."""
    scores: list[ReadScore]
    content: dict[str, Any]
    """All of scores.json."""
    sentences: list[Sentence]
    damaged: int
    """Lines of hypotheses.jsonl that could not be understood."""


def read_evaluations(run: RunDirectory, trouble: Callable[[str], object]) -> list[Evaluation]:
    """All sets that were evaluated, by name; `trouble` hears of each that cannot be read."""
    folder = run.evaluation("any").parent
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not (path / SCORES).is_file():
            continue  # not finished, or none of ours
        try:
            found.append(read_evaluation_folder(path))
        except NmtError as error:
            trouble(str(error))
    return found


def read_evaluation_folder(folder: Path) -> Evaluation:
    """One set; DataError if its scores cannot be read."""
    content = _content(folder)
    sentences, damaged = [], 0
    for sentence in _sentences(folder / HYPOTHESES):
        if sentence is None:
            damaged += 1
        else:
            sentences.append(sentence)
    return Evaluation(folder, folder.resolve().name, _scores(content), content, sentences, damaged)


def read_scores(folder: Path) -> list[ReadScore]:
    """The scores alone; none if the folder is no evaluation, DataError if it is damaged."""
    return _scores(_content(folder)) if (folder / SCORES).is_file() else []


def _content(folder: Path) -> dict[str, Any]:
    content = files.read_json(folder / SCORES)
    if not isinstance(content, dict):
        raise DataError(f"{folder / SCORES}: holds no scores")
    return content


def _scores(content: dict[str, Any]) -> list[ReadScore]:
    listed = content.get("scores")
    return [score for entry in (listed if isinstance(listed, list) else ()) if (score := _score(entry))]


def _score(entry: Any) -> ReadScore | None:
    if not isinstance(entry, dict) or (value := _number(entry.get("score"))) is None:
        return None
    low, high = (_number(entry.get(key)) for key in ("confidence_low", "confidence_high"))
    return ReadScore(str(entry.get("name")), value, str(entry.get("signature", "")), low, high)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _sentences(path: Path) -> Iterator[Sentence | None]:
    """Each line of a file of hypotheses; None for one that is damaged."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
                yield Sentence(
                    str(record["source"]),
                    str(record["hypothesis"]),
                    [str(reference) for reference in record["references"]],
                    float(record["log_probability"]),
                    float(record["score"]),
                )
            except (ValueError, KeyError, TypeError, RecursionError):
                yield None
