"""Programs that settings name. Those that only a stranger's run names are not run."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.evaluation import Evaluation


def refuse_programs(evaluation: Evaluation, overrides: Sequence[str], source: Path) -> None:
    """Raise RecipeError if the settings, read from `source`, have programs that no override has set."""
    given = {override.partition("=")[0] for override in overrides}
    for name, command in evaluation.programs().items():
        is_comet = name == "evaluation.comet"
        section = name if is_comet else "evaluation.external"
        # A program of COMET is its model, run by a Python that may be named, too.
        own_python = evaluation.comet is None or evaluation.comet.python is None
        parts = {f"{name}.path", *([] if own_python else [f"{name}.python"])} if is_comet else {f"{name}.command"}
        if not (given & {"evaluation", section, name} or parts <= given):
            empty = "'evaluation.external={}'" if section != name else f"{name}=null"
            raise RecipeError(
                f"{source}: {name}: would run {shlex.join(command)}; name your recipe"
                f" instead of the run, or add --allow-commands if you trust the run, or --set {empty}"
            )
