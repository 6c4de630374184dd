"""nmt evaluate: test sets, or files of translations → scores, where they come from, and a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nmt_cli import console, files
from nmt_cli.commands.results import stdout
from nmt_cli.commands.systems import System, Translated, open_system
from nmt_cli.commands.test_sets import SetTexts, choose, read_parallel, read_test_set, words_seen
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.evaluation.analysis import analyse, measure_robustness, with_intervals
from nmt_cli.evaluation.breakdown.perturbations import PERTURBATIONS
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics, exact_match, length_ratio
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.evaluation.sanity_checks import sanity_checks
from nmt_cli.evaluation.system_comparison import format_p_value
from nmt_cli.recipe.decoding import AfterTraining
from nmt_cli.recipe.loading import override
from nmt_cli.reporting.report import EvaluatedSet, Sentence, read_evaluation, write_evaluation
from nmt_cli.reporting.templates import score_text
from nmt_cli.runs.directory import ANALYSIS, HYPOTHESES, REPORT, ROBUSTNESS, SCORES


@dataclass(frozen=True)
class Wanted:
    """What to do, besides scoring, and how to tell it."""

    as_json: bool = False
    robustness: bool = False


@dataclass(frozen=True)
class GivenFiles:
    """Translations of any system, their references and, for what needs them, their sources."""

    hypothesis: Path | None = None
    references: Sequence[Path] = ()
    source: Path | None = None


def evaluate(
    model: Path | None,
    tests: Sequence[str] = (),
    given: GivenFiles = GivenFiles(),
    overrides: Sequence[str] = (),
    wanted: Wanted = Wanted(),
) -> None:
    """Score MODEL on the test sets of its recipe (all, or those named), or score a file of translations.

    Scores go to stdout, as lines or as one JSON document. A model's translations, scores and report go into its run.
    """
    if model is not None and given != GivenFiles():
        raise RecipeError(
            "give either a MODEL, whose test sets are those of its recipe, or --hypothesis with --reference"
        )
    if model is not None:
        evaluate_system(open_system(model, overrides), tests, wanted)
    elif given.hypothesis is None or not given.references or tests:
        raise RecipeError("give a MODEL, with or without --test NAME, or --hypothesis FILE and --reference FILE")
    elif wanted.robustness:
        raise RecipeError("--robustness: needs a MODEL, which translates the disturbed test sets")
    else:
        evaluate_files(given, overrides, wanted.as_json)


def evaluate_system(system: System, tests: Sequence[str], wanted: Wanted) -> None:
    """Translate and score test sets, unless the scores of the same model, files and settings are there already."""
    build_metrics(system.recipe.evaluation)  # what one lacks is told before any work
    chosen = choose(system.recipe.data, tests)
    texts = {name: read_test_set(system, test) for name, test in chosen.items()}
    results = {}
    for name, text in texts.items():
        folder = system.folder(name)
        found = _stored(folder, text) or _evaluate_alone(system, name, text)
        if wanted.robustness:
            found = {**found, "robustness": _stored_robustness(folder, text) or _disturb_alone(system, name, text)}
        results[name] = found
        for warning in found["warnings"]:
            console.warn(f"{name}: {warning}")
        if not wanted.as_json:
            _print_scores(name, found)
        console.info(f"report: {folder / REPORT}")
    if wanted.as_json:
        _print_json(results)


def evaluate_files(given: GivenFiles, overrides: Sequence[str], as_json: bool) -> None:
    """Score a file of translations, of any system; nothing is written."""
    assert given.hypothesis is not None
    settings = override(AfterTraining(), overrides).evaluation
    metrics = build_metrics(settings)
    with_source = [] if given.source is None else [given.source]
    hypotheses, *others = read_parallel([given.hypothesis, *given.references, *with_source])
    references = others[: len(given.references)]
    texts = EvaluationTexts(hypotheses, references, others[-1] if with_source else None)
    scores = [score.as_sacrebleu() for score in with_intervals(compute_statistics(texts, metrics), settings)]
    for warning in sanity_checks(hypotheses, references):
        console.warn(f"{given.hypothesis}: {warning}")
    if as_json:
        _print_json(scores)
    else:
        _print_scores(given.hypothesis.name, {"scores": scores, "exact_match": exact_match(hypotheses, references)})


def _stored(folder: Path, text: SetTexts) -> dict[str, Any] | None:
    return read_evaluation(folder, text.provenance) if (folder / ANALYSIS).is_file() else None


def _evaluate_alone(system: System, name: str, text: SetTexts) -> dict[str, Any]:
    """Evaluate a set while no other process does; RunInUseError if one is at it."""
    with files.lock(system.folder(name) / ".lock"):
        return _evaluate_set(system, name, text)


def _evaluate_set(system: System, name: str, text: SetTexts) -> dict[str, Any]:
    recipe, references, folder = system.recipe, text.references, system.folder(name)
    settings = recipe.evaluation
    best = _stored_translations(folder, text) or list(system.translate(text.requests))
    hypotheses = [found.text for found in best]
    texts = EvaluationTexts(hypotheses, references, text.sources)
    statistics = compute_statistics(texts, build_metrics(settings))
    analysis = analyse(texts, statistics, settings, words_seen(recipe), text.tags)
    sentences = [
        Sentence(source, found.text, list(expected), found.log_probability, found.score)
        for source, found, *expected in zip(text.sources, best, *references, strict=True)
    ]
    evaluated = EvaluatedSet(
        name=name,
        languages=f"{text.source_language or recipe.data.source_language} → "
        f"{text.target_language or recipe.data.target_language}",
        model=str(system.model),
        weights=system.weights,
        recipe=system.recipe_sha256,
        sentences=sentences,
        scores=with_intervals(statistics, settings),
        exact_match=exact_match(hypotheses, references),
        length_ratio=length_ratio(hypotheses, references),
        warnings=sanity_checks(hypotheses, references),
        samples=settings.samples,
        provenance=text.provenance,
    )
    files.remove(folder / SCORES)  # older scores do not belong to the files that come now
    files.write_json(folder / ANALYSIS, {"test_set": name, **asdict(analysis)})
    return write_evaluation(folder, evaluated)


@dataclass(frozen=True)
class _Stored:
    """A translation that was made before."""

    text: str
    log_probability: float
    score: float


def _stored_translations(folder: Path, text: SetTexts) -> Sequence[Translated] | None:
    """The translations of an earlier evaluation, if only what is scored, and how, has changed since."""
    if not (folder / SCORES).is_file() or not (folder / HYPOTHESES).is_file():
        return None
    try:
        before = files.read_json(folder / SCORES)["provenance"]
        now = asdict(text.provenance)
        if any(before[key] != now[key] for key in ("model", "source", "decoding")):
            return None
        if before["versions"]["nmt"] != now["versions"]["nmt"]:
            return None
        records = [json.loads(line) for line in (folder / HYPOTHESES).read_bytes().split(b"\n")[:-1]]
        found = [_Stored(each["hypothesis"], each["log_probability"], each["score"]) for each in records]
        sources = [each["source"] for each in records]
    except (DataError, KeyError, TypeError, ValueError, OSError):
        return None  # damaged: to be written again
    return found if sources == text.sources else None


def _stored_robustness(folder: Path, text: SetTexts) -> list[dict[str, Any]] | None:
    """What the disturbances cost, if that was found before of the same model, files and settings."""
    try:
        content = files.read_json(folder / ROBUSTNESS)
        same = content["provenance"] == asdict(text.provenance)
        return list(content["sets"]) if same else None
    except (DataError, KeyError, TypeError):
        return None


def _disturb_alone(system: System, name: str, text: SetTexts) -> list[dict[str, Any]]:
    """Translate the test set disturbed in every way; the undisturbed one is evaluated already."""
    folder = system.folder(name)
    with files.lock(folder / ".lock"):
        best = _stored_translations(folder, text) or list(system.translate(text.requests))
        undisturbed = EvaluationTexts([found.text for found in best], text.references, text.sources)
        sets = []
        for disturbance in PERTURBATIONS:
            sources = disturbance.perturb_lines(text.sources)
            hypotheses = [found.text for found in system.translate(text.disturbed(sources))]
            disturbed = EvaluationTexts(hypotheses, text.references, sources)
            sets.append(asdict(measure_robustness(undisturbed, disturbed, disturbance, system.recipe.evaluation)))
        files.write_json(folder / ROBUSTNESS, {"test_set": name, "sets": sets, "provenance": asdict(text.provenance)})
    return sets


def _print_scores(name: str, found: Mapping[str, Any]) -> None:
    lines = [f"{name}  {each['name']} {_with_interval(each)}  ({each['signature']})" for each in found["scores"]]
    if all(each["name"] != "exact match" for each in found["scores"]):
        lines.append(f"{name}  exact match {found['exact_match']:.1f} %")
    for disturbed in found.get("robustness", ()):
        named = zip(found["scores"], disturbed["drops"], strict=True)
        drops = "  ".join(f"{score['name']} {_with_drop(drop)}" for score, drop in named)
        lines.append(f"{name}  {disturbed['perturbation']}: {drops}")
    _print("".join(f"{line}\n" for line in lines).encode())


def _with_drop(drop: Mapping[str, Any]) -> str:
    sign = "+" if drop["difference"] >= 0 else ""
    difference = f"{sign}{score_text(drop['difference'], drop['original'])}"
    return f"{score_text(drop['perturbed'])} ({difference}, {format_p_value(drop['p'])})"


def _with_interval(score: Mapping[str, Any]) -> str:
    if "confidence_var" not in score:
        return score_text(score["score"])
    return f"{score_text(score['score'])} ± {score_text(score['confidence_var'], score['score'])}"


def _print_json(content: Any) -> None:
    _print(files.json_bytes(content))


def _print(result: bytes) -> None:
    with stdout() as stream:
        stream.write(result)
