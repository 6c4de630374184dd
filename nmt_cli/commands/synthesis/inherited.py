"""Settings that a recipe takes over from a model. A program that only a stranger's run names is never among them."""

import shlex
from pathlib import Path
from typing import Any

from nmt_cli.commands.model_config import SETTINGS_OF_DATA, ModelConfig, NamedModel
from nmt_cli.console import Reporter
from nmt_cli.recipe.data import Data
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.filters import DEFAULT_FILTERS, Filter
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe

_KEPT_OF_DATA = {"language_tags", "length_bounds", *SETTINGS_OF_DATA}
"""Settings that the model's text must have, too; beside the filters."""


def recipe_of(named: NamedModel) -> Recipe | None:
    """Return the recipe with which a model was trained; None if it belongs to no run."""
    if named.recipe is not None:
        return named.recipe
    run = named.files.run
    return load_recipe(run.resolved) if run is not None and run.resolved.is_file() else None


def inherited_settings(named: NamedModel, config: ModelConfig, reporter: Reporter) -> dict[str, dict[str, Any]]:
    """Return the settings of a new recipe that are those of the model, by section, without defaults.

    Programs in them are left out with a warning, unless the model is named by a recipe, which is the user's own.
    """
    original, source = recipe_of(named), None
    if named.recipe is None:
        run = named.files.run
        source = named.files.folder if run is None or original is None else run.resolved
    given, found = original or config, dict[str, dict[str, Any]]()
    if original is None:
        found["data"] = config.model_dump(mode="json", include={*SETTINGS_OF_DATA}, exclude_defaults=True)
    else:
        found["data"] = _data(original.data, source, reporter)
        found["training"] = original.training.model_dump(include={"label_smoothing"}, exclude_defaults=True)
    found["decoding"] = given.decoding.model_dump(mode="json", exclude_defaults=True)
    found["evaluation"] = _evaluation(given.evaluation, source, reporter)
    return {section: settings for section, settings in found.items() if settings}


def _data(data: Data, source: Path | None, reporter: Reporter) -> dict[str, Any]:
    kept = data.model_dump(mode="json", include=_KEPT_OF_DATA, exclude_defaults=True)
    filters = list[Filter]()
    for number, each in enumerate(data.filters, 1):
        command = getattr(each, "command", None)
        if source is None or command is None:
            filters.append(each)
        else:
            _warn(f"{source}: data.filters.{number}", command, reporter)
    if filters == DEFAULT_FILTERS:
        return kept
    return kept | {
        "filters": [{"type": each.type} | each.model_dump(mode="json", exclude_defaults=True) for each in filters]
    }


def _evaluation(evaluation: Evaluation, source: Path | None, reporter: Reporter) -> dict[str, Any]:
    if source is not None:
        for name, command in evaluation.programs().items():
            _warn(f"{source}: {name}", shlex.join(command), reporter)
        evaluation = evaluation.model_copy(update={"external": {}, "comet": None})
    return evaluation.model_dump(mode="json", exclude_defaults=True)


def _warn(where: str, command: str, reporter: Reporter) -> None:
    advice = "to use it, name the recipe of that run instead, or add it with --set"
    reporter.warn(f"{where}: is left out of the new recipe, because it would run `{command}`; {advice}")
