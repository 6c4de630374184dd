"""What is written about one evaluated test set: hypotheses.jsonl, report.md and, last, scores.json."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from nmt_cli import files
from nmt_cli.errors import DataError
from nmt_cli.reporting.templates import render_markdown
from nmt_cli.runs.directory import HYPOTHESES, REPORT, SCORES


class Interval(Protocol):
    """Where a score would lie, 19 times out of 20, for other sentences of the same kind."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


class Scored(Protocol):
    """What a report shows of a score."""

    @property
    def name(self) -> str: ...

    @property
    def value(self) -> float: ...

    @property
    def signature(self) -> str: ...

    @property
    def details(self) -> str: ...

    @property
    def interval(self) -> Interval | None: ...

    def as_sacrebleu(self) -> dict[str, str | float]: ...


@dataclass(frozen=True)
class Sentence:
    """One line of a test set and its translation."""

    source: str
    hypothesis: str
    references: list[str]
    log_probability: float
    """Natural logarithm, the end of the sentence included."""
    score: float
    """What the search ranked by."""


@dataclass(frozen=True)
class Provenance:
    """All that the scores depend on; as long as it is the same, there is nothing to do again."""

    model: str
    """SHA-256 of the model's manifest, which holds those of its files."""
    source: str
    """SHA-256 of the source file; with factors, of that and those of their files."""
    references: list[str]
    """SHA-256 of each reference file."""
    decoding: dict[str, Any]
    evaluation: dict[str, Any]
    versions: dict[str, str]
    tags: str | None = None
    """SHA-256 of the file that says of what kind each line is, if there is one."""


@dataclass(frozen=True)
class EvaluatedSet:
    """A test set, what a model made of it, and how good that is."""

    name: str
    languages: str
    """Such as en → de."""
    model: str
    """Where the model lies."""
    weights: str
    """Which updates the model comes from."""
    recipe: str
    """SHA-256 of the run's recipe with every default filled in."""
    sentences: Sequence[Sentence]
    scores: Sequence[Scored]
    exact_match: float
    """Percentage."""
    length_ratio: float
    warnings: list[str]
    samples: int
    """How many sentences the report shows."""
    provenance: Provenance

    @property
    def empty_hypotheses(self) -> int:
        """How many translations say nothing."""
        return sum(not sentence.hypothesis.strip() for sentence in self.sentences)


def write_evaluation(folder: Path, evaluated: EvaluatedSet) -> dict[str, Any]:
    """Write the three files, each whole or not at all, and return the content of scores.json.

    scores.json is published last: where it stands, the others belong to it.
    """
    content = _scores(evaluated)
    files.remove(folder / SCORES)  # older scores do not belong to the files that come now
    with files.new_file(folder / HYPOTHESES) as file:
        for number, sentence in enumerate(evaluated.sentences):
            line = json.dumps({"id": number, **asdict(sentence)}, ensure_ascii=False, allow_nan=False)
            file.write(line.encode() + b"\n")
    with files.new_file(folder / REPORT) as file:
        file.write(render_report(evaluated).encode())
    files.write_json(folder / SCORES, content)
    return content


def read_evaluation(folder: Path, provenance: Provenance) -> dict[str, Any] | None:
    """The content of scores.json if all three files stand and are of this provenance, else None."""
    if not all((folder / name).is_file() for name in (HYPOTHESES, REPORT, SCORES)):
        return None
    try:
        content = files.read_json(folder / SCORES)
    except DataError:
        return None  # damaged: to be written again
    if not isinstance(content, dict) or content.get("provenance") != asdict(provenance):
        return None
    return content


def render_report(evaluated: EvaluatedSet) -> str:
    """The report as Markdown that reads well raw, too."""
    shown = spread(len(evaluated.sentences), evaluated.samples)
    samples = [(index + 1, evaluated.sentences[index]) for index in shown]
    return render_markdown("report.md.j2", evaluated=evaluated, samples=samples)


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the numbers below `count`, evenly spread, the first and the last among them."""
    if wanted >= count:
        return list(range(count))
    if wanted == 1:
        return [0]
    return [place * (count - 1) // (wanted - 1) for place in range(wanted)]


def _scores(evaluated: EvaluatedSet) -> dict[str, Any]:
    return {
        "test_set": evaluated.name,
        "scores": [score.as_sacrebleu() for score in evaluated.scores],
        "exact_match": evaluated.exact_match,
        "sentences": len(evaluated.sentences),
        "empty_hypotheses": evaluated.empty_hypotheses,
        "length_ratio": evaluated.length_ratio,
        "warnings": evaluated.warnings,
        "recipe": evaluated.recipe,
        "provenance": asdict(evaluated.provenance),
    }
