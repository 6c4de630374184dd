"""nmt compare: compare systems on common test sets, with significance tests and a breakdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt_cli import files
from nmt_cli.commands.compared_systems import (
    ComparedSystem,
    common_references,
    common_test_sets,
    decoding_differences,
    group_runs,
    open_systems,
    run_folders,
    utility_of,
)
from nmt_cli.commands.evaluation_inputs import count_training_words
from nmt_cli.commands.programs import refuse_programs
from nmt_cli.console import Reporter
from nmt_cli.evaluation.metrics import build_metrics
from nmt_cli.evaluation.metrics.metric import Metric
from nmt_cli.evaluation.sanity_checks import sanity_checks, utility_warning
from nmt_cli.evaluation.significance import DEFAULT_RESAMPLES, PairedTest, SignificanceMethod
from nmt_cli.evaluation.system_comparison import ComparedTestSet, Comparison, compare
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.decoding import InferenceSettings
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import override, recipe_or_none
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.comparison_page import write_comparison
from nmt_cli.text.lines import read_lines


@dataclass(frozen=True)
class CompareOptions:
    """Test sets, files and significance test of a comparison."""

    tests: Sequence[str] = ()
    """Empty for all that the systems have in common."""
    references: Sequence[Path] = ()
    source: Path | None = None
    method: SignificanceMethod = "randomisation"
    resamples: int | None = None
    """None for the default of the method."""
    overrides: Sequence[str] = ()
    target_language: str | None = None
    """Selects the tokenizers of metrics; by default that of the recipe."""
    allow_commands: bool = False
    """Whether the programs of `evaluation.external` and `evaluation.comet` may be run if they come from a run."""


def compare_systems(
    paths: Sequence[Path], options: CompareOptions, page: Path | None, reporter: Reporter
) -> dict[str, Comparison]:
    """Compare runs, evaluated sets or files of translations; the first is the baseline.

    The folder of `nmt train --seeds` stands for its runs.

    Args:
        page: File to write the comparison to as HTML.

    Returns:
        The comparison on each test set that all systems have in common.
    """
    if page is not None:
        files.require_folder_of(page)
    compared = open_systems(paths)
    recipe = next((system.recipe for system in compared if system.recipe is not None), None)
    settings = _settings(recipe, options.overrides)
    if not options.allow_commands:
        _refuse_programs(settings, paths, options.overrides)
    build_metrics(settings)  # reports missing dependencies before any work
    test = PairedTest(options.method, options.resamples or DEFAULT_RESAMPLES[options.method], settings.seed)
    word_counts = None if recipe is None else count_training_words(recipe, reporter)
    comparisons = {}
    for name in common_test_sets(compared, options.tests):
        translations = [system.translations(name) for system in compared]
        references, sources = common_references(translations, options.references, options.source)
        for difference in decoding_differences(compared, name):
            reporter.info(difference)
        tags = _tags(compared, name, len(references[0]))
        test_set = ComparedTestSet(name, references, sources, tags, word_counts)
        language = options.target_language or _target_language(recipe, name)
        chosen = for_language(settings, language)
        metrics = build_metrics(chosen)
        for system, translation in zip(compared, translations, strict=True):
            for warning in sanity_checks(translation.hypotheses, references, metrics):
                reporter.warn(f"{system.name}: {warning}")
        for warning in _selection_warnings(compared, name, metrics):
            reporter.warn(warning)
        comparisons[name] = compare(group_runs(compared, translations), test_set, chosen, test)
    if page is not None:
        write_comparison(comparisons, run_folders(compared), page)
        reporter.info(f"report: {page}")
    return comparisons


def _selection_warnings(compared: Sequence[ComparedSystem], test_set: str, metrics: Sequence[Metric]) -> Iterator[str]:
    """Yield a sentence for each metric that some of the systems were optimised for."""
    for metric in metrics:
        utility = [system.name for system in compared if utility_of(system, test_set) == metric.key]
        if utility:
            yield utility_warning(metric, ", ".join(utility))
        recipes = {system.name: system.recipe for system in compared if system.recipe is not None}
        chosen = [name for name, each in recipes.items() if each.training.validation.metric == metric.key]
        if chosen and len(chosen) < len(compared):
            yield (
                f"{metric.name} chose the checkpoints of {', '.join(chosen)}, but not of the other systems, and favours"
                " them; judge by another metric, too"
            )


def _settings(recipe: Recipe | None, overrides: Sequence[str]) -> Evaluation:
    given = (
        InferenceSettings()
        if recipe is None
        else InferenceSettings(decoding=recipe.decoding, evaluation=recipe.evaluation)
    )
    return override(given, overrides).evaluation


def _target_language(recipe: Recipe | None, test_set: str) -> str | None:
    if recipe is None:
        return None
    each = recipe.data.test.get(test_set) or recipe.data.valid.get(test_set.removeprefix("valid+"))
    return recipe.data.target_language if each is None else recipe.data.languages_of(each)[1]


def _refuse_programs(settings: Evaluation, paths: Sequence[Path], overrides: Sequence[str]) -> None:
    """Raise RecipeError if the settings have programs that are neither in a given recipe nor in an override."""
    recipes = [recipe for path in paths if (recipe := recipe_or_none(path)) is not None]
    known = [metric.command for recipe in recipes for metric in recipe.evaluation.external.values()]
    unknown = {name: metric for name, metric in settings.external.items() if metric.command not in known}
    comet = None if settings.comet in [recipe.evaluation.comet for recipe in recipes] else settings.comet
    refuse_programs(settings.model_copy(update={"external": unknown, "comet": comet}), overrides, paths[0])


def _tags(compared: Sequence[ComparedSystem], name: str, count: int) -> list[str] | None:
    """Return the tag of each line from the first recipe whose test set has an existing file of tags."""
    for system in compared:
        test = None if system.recipe is None else system.recipe.data.test.get(name)
        if test is not None and test.tags is not None and test.tags.is_file():
            tags = list(read_lines(test.tags))
            return tags if len(tags) == count else None
    return None
