"""nmt evaluate: score a model on its test sets, or files of translations."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nmt_cli.commands.evaluation_inputs import (
    EvaluatedModel,
    LoadedTestSet,
    count_training_words,
    read_parallel,
    read_test_set,
    select_test_sets,
)
from nmt_cli.console import Reporter
from nmt_cli.decoding.results import TranslatedText
from nmt_cli.errors import DataError, NmtError, RecipeError
from nmt_cli.evaluation.breakdown import analyse
from nmt_cli.evaluation.breakdown.robustness import PERTURBATIONS, Robustness, measure_robustness
from nmt_cli.evaluation.breakdown.toxicity import AddedToxicity, measure_added_toxicity
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics, exact_match, length_ratio
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, Metric
from nmt_cli.evaluation.sanity_checks import sanity_checks, utility_warning
from nmt_cli.evaluation.significance import with_intervals
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.locks import lock
from nmt_cli.recipe.decoding import InferenceSettings, MbrSettings
from nmt_cli.recipe.loading import override
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.evaluation_files import (
    EvaluatedSentence,
    EvaluatedTestSet,
    read_current_scores,
    read_evaluation,
    read_robustness,
    write_evaluation,
    write_robustness,
    write_toxicity,
)
from nmt_cli.runs.directory import REPORT
from nmt_cli.text.checks.toxicity import ToxicityCheck


@dataclass(frozen=True)
class TranslationFiles:
    """Translations of any system, their references and, if a metric needs them, their sources."""

    hypothesis: Path
    references: Sequence[Path]
    source: Path | None = None
    target_language: str | None = None
    """Selects the tokenizers of metrics."""


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of a test set or a file."""

    name: str
    """Name of the test set or file."""
    content: Mapping[str, Any]
    """Content of scores.json; of given translations, its `scores` and `exact_match` only."""
    robustness: list[Robustness] | None = None
    """None unless requested."""
    toxicity: AddedToxicity | None = None
    """None unless requested."""

    @property
    def values(self) -> dict[str, float]:
        """The score of each metric by its name, such as BLEU and chrF2."""
        return {each["name"]: each["score"] for each in self.content["scores"]}

    def as_json(self) -> dict[str, Any]:
        """Return scores, robustness and added toxicity as plain data."""
        robustness = {} if self.robustness is None else {"robustness": [asdict(each) for each in self.robustness]}
        toxicity = {} if self.toxicity is None else {"toxicity": asdict(self.toxicity)}
        return {**self.content, **robustness, **toxicity}


def evaluate_model(
    model: EvaluatedModel,
    names: Sequence[str],
    with_robustness: bool,
    reporter: Reporter,
    toxicity: ToxicityCheck | None = None,
) -> Iterator[EvaluationResult]:
    """Translate and score test sets of the recipe, and write the results to the run.

    Stored results of the same model, files and settings are reused. All test sets are read before the first result is
    computed, which happens when the iterator is advanced.

    Args:
        names: Test or validation sets; empty for all test sets.
        toxicity: Also find translations that add toxic words.
    """
    selected = select_test_sets(model.recipe.data, names, reporter)
    test_sets = {name: read_test_set(model, test) for name, test in selected.items()}
    for test in test_sets.values():
        build_metrics(test.evaluation)  # reports missing dependencies before any work
    results = (_evaluate_test_set(model, name, test, with_robustness, reporter) for name, test in test_sets.items())
    if toxicity is None:
        return results
    return (_with_toxicity(each, model.folder(each.name), test_sets[each.name], toxicity) for each in results)


def _with_toxicity(
    result: EvaluationResult, folder: Path, test: LoadedTestSet, check: ToxicityCheck
) -> EvaluationResult:
    """Return the result with the added toxicity of the stored translations, which is also written beside them."""
    sentences = read_evaluation(folder).sentences
    sources, hypotheses = ([getattr(each, side) for each in sentences] for side in ("source", "hypothesis"))
    found = measure_added_toxicity(sources, hypotheses, check)
    with lock(folder / ".lock"):
        write_toxicity(folder, found, test.provenance)
    return replace(result, toxicity=found)


def evaluate_files(
    given: TranslationFiles, overrides: Sequence[str], reporter: Reporter, toxicity: ToxicityCheck | None = None
) -> EvaluationResult:
    """Score a file of translations of any system. Nothing is written.

    Args:
        toxicity: Also find translations that add toxic words; RecipeError if it needs sources and there are none.
    """
    if toxicity is not None and toxicity.needs_source and given.source is None:
        raise RecipeError("--source-toxic-words: requires --source FILE, the lines that were translated")
    source = [] if given.source is None else [given.source]
    hypotheses, *others = read_parallel([given.hypothesis, *given.references, *source])
    texts = EvaluationTexts(hypotheses, others[: len(given.references)], others[-1] if source else None)
    result = evaluate_texts(given.hypothesis.name, texts, given.target_language, overrides, reporter)
    if toxicity is None:
        return result
    return replace(result, toxicity=measure_added_toxicity(texts.sources, hypotheses, toxicity))


def evaluate_texts(
    name: str, texts: EvaluationTexts, target_language: str | None, overrides: Sequence[str], reporter: Reporter
) -> EvaluationResult:
    """Score translations. Nothing is written.

    Args:
        target_language: Selects the tokenizers of metrics.
    """
    settings = for_language(override(InferenceSettings(), overrides).evaluation, target_language)
    metrics = build_metrics(settings)
    scores = [score.as_sacrebleu() for score in with_intervals(compute_statistics(texts, metrics), settings)]
    for warning in sanity_checks(texts.hypotheses, texts.references, metrics):
        reporter.warn(f"{name}: {warning}")
    content = {"scores": scores, "exact_match": exact_match(texts.hypotheses, texts.references)}
    return EvaluationResult(name, content)


def _evaluate_test_set(
    model: EvaluatedModel, name: str, test: LoadedTestSet, with_robustness: bool, reporter: Reporter
) -> EvaluationResult:
    """Evaluate a test set, or read the stored results. Raises RunInUseError if another process evaluates it."""
    folder = model.folder(name)
    content = read_current_scores(folder, test.provenance)
    if content is None:
        with lock(folder / ".lock"):
            content = _score_test_set(model, name, test, reporter)
    robustness = None
    if with_robustness:
        with suppress(DataError):  # a damaged file is replaced
            robustness = read_robustness(folder, asdict(test.provenance))
        if robustness is None:
            with lock(folder / ".lock"):
                robustness = _measure_robustness(model, name, test)
    for warning in content["warnings"]:
        reporter.warn(f"{name}: {warning}")
    reporter.info(f"report: {folder / REPORT}")
    return EvaluationResult(name, content, robustness)


def _score_test_set(model: EvaluatedModel, name: str, test: LoadedTestSet, reporter: Reporter) -> dict[str, Any]:
    recipe, references, folder = model.recipe, test.references, model.folder(name)
    settings = test.evaluation
    translations = _translate(model, folder, test)
    hypotheses = [translation.text for translation in translations]
    texts = EvaluationTexts(hypotheses, references, test.sources)
    metrics = build_metrics(settings)
    statistics = compute_statistics(texts, metrics)
    analysis = analyse(texts, statistics, count_training_words(recipe, reporter), test.tags)
    sentences = [
        EvaluatedSentence(source, best.text, list(expected), best.log_probability, best.score)
        for source, best, *expected in zip(test.sources, translations, *references, strict=True)
    ]
    evaluated = EvaluatedTestSet(
        name=name,
        languages=f"{test.source_language or recipe.data.source_language} → "
        f"{test.target_language or recipe.data.target_language}",
        model=str(model.model),
        weights=model.weights,
        recipe=model.recipe_sha256,
        sentences=sentences,
        scores=with_intervals(statistics, settings),
        exact_match=exact_match(hypotheses, references),
        length_ratio=length_ratio(hypotheses, references),
        warnings=[*sanity_checks(hypotheses, references, metrics), *_utility_warnings(recipe, name, metrics)],
        samples=settings.samples,
        provenance=test.provenance,
    )
    return write_evaluation(folder, evaluated, analysis)


def _utility_warnings(recipe: Recipe, name: str, metrics: Sequence[Metric]) -> list[str]:
    utility = recipe.decoding.utility if isinstance(recipe.decoding, MbrSettings) else None
    return [utility_warning(metric, name) for metric in metrics if metric.key == utility]


def _translate(model: EvaluatedModel, folder: Path, test: LoadedTestSet) -> Sequence[TranslatedText]:
    """Translate a test set, or read the stored translations."""
    return _stored_translations(folder, test) or list(model.translate(test.requests, test.source_language))


def _stored_translations(folder: Path, test: LoadedTestSet) -> Sequence[TranslatedText] | None:
    """Read the translations of an earlier evaluation; None if they depend on anything that has changed since."""
    try:
        stored = read_evaluation(folder)
        before, now = stored.content["provenance"], asdict(test.provenance)
        is_equal = all(before[key] == now[key] for key in ("model", "source", "decoding"))
        is_equal = is_equal and before.get("other_models", {}) == now["other_models"]
        is_equal = is_equal and before["versions"]["nmt"] == now["versions"]["nmt"]
    except (NmtError, KeyError, TypeError, AttributeError, OSError):
        return None  # missing or damaged
    if not is_equal or stored.damaged_lines or [each.source for each in stored.sentences] != test.sources:
        return None
    return [TranslatedText(each.hypothesis, each.log_probability, each.score) for each in stored.sentences]


def _measure_robustness(model: EvaluatedModel, name: str, test: LoadedTestSet) -> list[Robustness]:
    """Translate the test set with every perturbation; the original has been evaluated before."""
    folder = model.folder(name)
    hypotheses = [translation.text for translation in _translate(model, folder, test)]
    original = EvaluationTexts(hypotheses, test.references, test.sources)
    results = []
    for perturbation in PERTURBATIONS:
        sources = perturbation.perturb_lines(test.sources)
        hypotheses = [
            translation.text for translation in model.translate(test.perturbed_requests(sources), test.source_language)
        ]
        perturbed = EvaluationTexts(hypotheses, test.references, sources)
        results.append(measure_robustness(original, perturbed, perturbation, test.evaluation))
    write_robustness(folder, results, test.provenance)
    return results
