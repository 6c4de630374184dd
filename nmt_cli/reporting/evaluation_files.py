"""Files of an evaluated test set: hypotheses.jsonl, report.md, scores.json, and analyses of the translations."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from nmt_cli import files
from nmt_cli.data.arrays import evenly_spaced_indices
from nmt_cli.errors import DataError, NmtError
from nmt_cli.reporting.rendering import render_markdown
from nmt_cli.runs.directory import ANALYSIS, HYPOTHESES, REPORT, ROBUSTNESS, SCORES, TOXICITY, RunDirectory

if TYPE_CHECKING:  # numpy and sacreBLEU take a third of a second
    from nmt_cli.evaluation.breakdown import Analysis
    from nmt_cli.evaluation.breakdown.robustness import Robustness
    from nmt_cli.evaluation.breakdown.toxicity import AddedToxicity
    from nmt_cli.evaluation.metrics.metric import MetricScore

_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class EvaluatedSentence:
    """One line of a test set and its translation."""

    source: str
    hypothesis: str
    references: list[str]
    log_probability: float
    """Natural logarithm, including eos."""
    score: float
    """Normalised score that the search ranks by."""


@dataclass(frozen=True)
class Provenance:
    """Everything that the scores depend on; as long as it is unchanged, they are valid."""

    model: str
    """SHA-256 of the model's manifest, which contains those of its files."""
    source: str
    """SHA-256 of the source file, or of its hash and those of its column files."""
    references: list[str]
    """SHA-256 of each reference file."""
    decoding: dict[str, Any]
    evaluation: dict[str, Any]
    versions: dict[str, str]
    tags: str | None = None
    """SHA-256 of the file of tags, if there is one."""
    other_models: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the adapter, language model and n-gram model, if there are any, by name."""


@dataclass(frozen=True)
class EvaluatedTestSet:
    """Translations of a test set by a model, and their scores."""

    name: str
    languages: str
    """Such as en → de."""
    model: str
    """Folder of the model."""
    weights: str
    """Updates that the weights come from."""
    recipe: str
    """SHA-256 of the run's recipe with all defaults filled in."""
    sentences: Sequence[EvaluatedSentence]
    scores: Sequence["MetricScore"]
    exact_match: float
    """Percentage."""
    length_ratio: float
    warnings: list[str]
    samples: int
    """Number of sentences shown in the report."""
    provenance: Provenance

    @property
    def empty_hypotheses(self) -> int:
        """Number of empty translations."""
        return sum(not sentence.hypothesis.strip() for sentence in self.sentences)


@dataclass(frozen=True)
class StoredScore:
    """A corpus score, with its confidence interval if there is one."""

    name: str
    value: float
    signature: str
    low: float | None
    high: float | None
    is_stale: bool = False
    """Whether an earlier model of the run was scored."""


@dataclass(frozen=True)
class StoredEvaluation:
    """Content of the folder of an evaluated test set."""

    folder: Path
    name: str
    """Name of the test set, followed by @ and the checkpoint if that was evaluated instead of the model."""
    is_stale: bool
    """Whether an earlier model of the run was evaluated."""
    scores: list[StoredScore]
    content: dict[str, Any]
    """scores.json."""
    sentences: list[EvaluatedSentence]
    damaged_lines: int
    """Unreadable lines of hypotheses.jsonl."""


def write_evaluation(folder: Path, evaluated: EvaluatedTestSet, analysis: "Analysis") -> dict[str, Any]:
    """Write the files of a test set, each atomically, and return the content of scores.json.

    scores.json is removed first and written last, so that it always belongs to the other files.
    """
    content = {
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
    files.remove(folder / SCORES)
    files.write_json(folder / ANALYSIS, {"test_set": evaluated.name, **asdict(analysis)})
    with files.new_file(folder / HYPOTHESES) as file:
        for index, sentence in enumerate(evaluated.sentences):
            line = json.dumps({"id": index, **asdict(sentence)}, ensure_ascii=False, allow_nan=False)
            file.write(line.encode() + b"\n")
    with files.new_file(folder / REPORT) as file:
        file.write(render_evaluation(evaluated).encode())
    files.write_json(folder / SCORES, content)
    return content


def render_evaluation(evaluated: EvaluatedTestSet) -> str:
    """Render the report of a test set as Markdown that is also readable as plain text."""
    indices = evenly_spaced_indices(len(evaluated.sentences), evaluated.samples)
    samples = [(index + 1, evaluated.sentences[index]) for index in indices]
    return render_markdown("evaluation.md.j2", evaluated=evaluated, samples=samples)


def read_current_scores(folder: Path, provenance: Provenance) -> dict[str, Any] | None:
    """Return the content of scores.json, or None if a file is missing or damaged or the provenance differs."""
    if not all((folder / name).is_file() for name in (HYPOTHESES, REPORT, SCORES)):
        return None
    try:
        content = files.read_json(folder / SCORES)
        read_analysis(folder)
        sentences = list(_read_sentences(folder / HYPOTHESES))
    except DataError:
        return None
    if not isinstance(content, dict) or content.get("provenance") != asdict(provenance):
        return None
    return None if None in sentences or len(sentences) != content.get("sentences") else content


def read_analysis(folder: Path) -> "Analysis":
    """Read analysis.json; raises DataError if it is missing or damaged."""
    from nmt_cli.evaluation.breakdown import Analysis

    return _validate(folder / ANALYSIS, Analysis, files.read_json(folder / ANALYSIS))


def write_robustness(folder: Path, results: Sequence["Robustness"], provenance: Provenance) -> None:
    """Write robustness.json, with the provenance of the scores that it belongs to."""
    content = {"perturbations": [asdict(result) for result in results], "provenance": asdict(provenance)}
    files.write_json(folder / ROBUSTNESS, content)


def read_robustness(folder: Path, provenance: object) -> "list[Robustness] | None":
    """Read robustness.json; None if it is missing or has another provenance, DataError if it is damaged."""
    from nmt_cli.evaluation.breakdown.robustness import Robustness

    content = _read_current(folder / ROBUSTNESS, provenance)
    return None if content is None else _validate(folder / ROBUSTNESS, list[Robustness], content.get("perturbations"))


def write_toxicity(folder: Path, found: "AddedToxicity", provenance: Provenance) -> None:
    """Write toxicity.json, with the provenance of the translations that it belongs to."""
    files.write_json(folder / TOXICITY, asdict(found) | {"provenance": asdict(provenance)})


def read_added_toxicity(folder: Path, provenance: object) -> "AddedToxicity | None":
    """Read toxicity.json; None if it is missing or has another provenance, DataError if it is damaged."""
    from nmt_cli.evaluation.breakdown.toxicity import AddedToxicity

    content = _read_current(folder / TOXICITY, provenance)
    return None if content is None else _validate(folder / TOXICITY, AddedToxicity, content)


def _read_current(path: Path, provenance: object) -> dict[str, Any] | None:
    """Return the content of a file; None if it is missing or has another provenance."""
    content = files.read_json(path) if path.is_file() else None
    return content if isinstance(content, dict) and content.get("provenance") == provenance else None


def read_evaluations(run: RunDirectory, report_problem: Callable[[str], object]) -> list[StoredEvaluation]:
    """Read all evaluated test sets of a run, sorted by name. Unreadable ones are passed to `report_problem`."""
    found = []
    for path in sorted(run.evaluation("").glob("*")):
        if not (path / SCORES).is_file():
            continue  # unfinished, or not written by nmt
        try:
            found.append(evaluation := read_evaluation(path))
            if evaluation.is_stale:
                report_problem(f"{path}: is of an earlier model of the run; run nmt evaluate again")
        except NmtError as error:
            report_problem(str(error))
    return found


def read_evaluation(folder: Path) -> StoredEvaluation:
    """Read an evaluated test set; raises DataError if its scores cannot be read."""
    content = _read_scores_file(folder)
    lines = list(_read_sentences(folder / HYPOTHESES))
    sentences = [sentence for sentence in lines if sentence is not None]
    damaged_lines = len(lines) - len(sentences)
    name, scores, is_stale = folder.resolve().name, _parse_scores(content), is_stale_evaluation(folder)
    return StoredEvaluation(folder, name, is_stale, scores, content, sentences, damaged_lines)


def read_scores(folder: Path) -> list[StoredScore]:
    """Read only the scores; empty if the folder has none. Raises DataError if they are damaged."""
    if not (folder / SCORES).is_file():
        return []
    is_stale = is_stale_evaluation(folder)
    return [replace(score, is_stale=is_stale) for score in _parse_scores(_read_scores_file(folder))]


def is_stale_evaluation(folder: Path) -> bool:
    """Return whether an evaluated set belongs to an earlier model than the one in its run, as their hashes differ.

    Raises:
        DataError: The scores or the manifest of the model cannot be read.
    """
    path = folder.resolve()
    run, checkpoint = RunDirectory(path.parent.parent), path.name.partition("@")[2].partition("+")[0]  # + ADAPTER
    manifest = (run.checkpoints / checkpoint if checkpoint else run.model) / files.MANIFEST
    if not manifest.exists():
        return False  # a checkpoint that was not kept, or no run
    provenance = _read_scores_file(folder).get("provenance")
    with files.read_errors(manifest, DataError):
        return not isinstance(provenance, dict) or provenance.get("model") != files.sha256(manifest)


def _read_scores_file(folder: Path) -> dict[str, Any]:
    content = files.read_json(folder / SCORES)
    if not isinstance(content, dict):
        raise DataError(f"{folder / SCORES}: contains no scores")
    return content


def _parse_scores(content: dict[str, Any]) -> list[StoredScore]:
    entries = content.get("scores")
    return [score for entry in (entries if isinstance(entries, list) else ()) if (score := _parse_score(entry))]


def _parse_score(entry: Any) -> StoredScore | None:
    if not isinstance(entry, dict) or (value := _finite(entry.get("score"))) is None:
        return None
    low, high = (_finite(entry.get(key)) for key in ("confidence_low", "confidence_high"))
    return StoredScore(str(entry.get("name")), value, str(entry.get("signature", "")), low, high)


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _read_sentences(path: Path) -> Iterator[EvaluatedSentence | None]:
    """Yield each line of hypotheses.jsonl; None for a damaged one."""
    if not path.is_file():
        return
    read = TypeAdapter(EvaluatedSentence)
    with files.open_regular(path) as file:
        for line in file:
            try:
                yield read.validate_json(line)
            except ValidationError:
                yield None


def _validate(path: Path, kind: type[_Kind], content: Any) -> _Kind:
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DataError(f"{path}: {key}: has an unknown format; run nmt evaluate again") from error
