"""nmt backtranslate --rounds: each direction makes training text for the other, in turn (Hoang et al. 2018).

Each round but the last ends with better models of both directions:

1. The reverse model translates the target text. The recipe is trained with it, too: a better forward model.
2. That model translates the source text. The reverse recipe is trained with it, too: a better reverse model.

The last round is an ordinary back-translation with the last reverse model.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from nmt_cli import console, files
from nmt_cli.commands.backtranslate import BacktranslateOptions, BacktranslateResult, backtranslate
from nmt_cli.commands.synthesis.training import prepare_and_train
from nmt_cli.console import Reporter
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.loading import recipe_or_none


@dataclass(frozen=True)
class Rounds:
    """How often the directions make text for each other."""

    count: int
    source_text: tuple[Path, ...]
    """Files in the source language, one sentence on each line."""


def backtranslate_in_rounds(
    recipe: Path,
    overrides: tuple[str, ...],
    options: BacktranslateOptions,
    rounds: Rounds,
    processes: int | None = None,
    dry_run: bool = False,
    reporter: Reporter = console,
) -> BacktranslateResult | None:
    """Back-translate several times, each time with a better reverse model, and write the corpus of the last round.

    The corpora of earlier rounds are beside it, in OUTPUT-round1 and OUTPUT-round1-reverse and so on. Rerun the same
    command to resume after an interruption.

    Args:
        processes: Number of processes that translate, and that train; None: one per GPU, else one.
        options: The model must be a recipe, which is trained again with more text.

    Raises:
        RecipeError: Source text is missing, or the model is not a recipe.
    """
    reverse_recipe = model = options.model
    if recipe_or_none(reverse_recipe) is None:
        raise RecipeError(f"--rounds: --model {model} must be a recipe, which is trained again with more text")
    if not rounds.source_text:
        raise RecipeError("--rounds: needs --source-text, which is translated for the reverse model")

    def make(direction: Path, text: tuple[Path, ...], suffix: str) -> BacktranslateResult | None:
        output = files.beside(options.output, suffix)
        changed = replace(options, model=model, text=text, output=output, suffix=f"{options.name}{suffix}")
        given = overrides if direction == recipe else ()
        return backtranslate(direction, given, changed, processes=processes, dry_run=dry_run, reporter=reporter)

    for number in range(1, rounds.count):
        suffix = f"-round{number}"
        reporter.info(f"round {number} of {rounds.count}")
        if dry_run:
            make(recipe, options.text, suffix)
            reporter.info(f"would train both directions, and go on with the better reverse model of {reverse_recipe}")
            continue
        for direction, text, end in (
            (recipe, options.text, suffix),
            (reverse_recipe, rounds.source_text, f"{suffix}-reverse"),
        ):
            result = make(direction, text, end)
            assert result is not None and result.recipe is not None
            model = prepare_and_train(result.recipe, processes, reporter)
    reporter.info(f"round {rounds.count} of {rounds.count}")
    return make(recipe, options.text, "")
