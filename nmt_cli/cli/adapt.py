"""Arguments of `nmt adapt`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.options import (
    DryRun,
    Json,
    ModelPath,
    NewFolder,
    Overrides,
    Processes,
    Quiet,
    examples,
    refuse_ignored,
)

EXAMPLES = examples(
    "nmt adapt runs/en-de --corpus medical.en medical.de --valid dev.en dev.de -o adapted/medical",
    "nmt adapt models/opus --corpus client.en client.de --valid dev.en dev.de -o adapted/client --method lora",
    "nmt adapt models/opus --corpus a.en a.de --valid dev.en dev.de --general web.en web.de -o adapted/a",
)

DomainCorpus = Annotated[
    tuple[Path, Path], typer.Option("--corpus", metavar="SOURCE TARGET", help="Parallel text of the domain.")
]
ValidationSet = Annotated[
    tuple[Path, Path],
    typer.Option("--valid", metavar="SOURCE TARGET", help="Validation set of the domain, not in the corpora."),
]
GeneralCorpus = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--general",
        metavar="SOURCE TARGET",
        help="Other text to mix in against forgetting; default: the training corpora of MODEL's run.",
    ),
]
GeneralValidationSet = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--general-valid",
        metavar="SOURCE TARGET",
        help="Validation set of other text; default: the first one of MODEL's run.",
    ),
]
AdaptMethodOption = Annotated[
    Literal["all", "lora"], typer.Option(help="Train all parameters, or small adapters (LoRA), which forget less.")
]


def adapt(
    model: ModelPath,
    corpus: DomainCorpus,
    valid: ValidationSet,
    output: NewFolder,
    general: GeneralCorpus = None,
    general_valid: GeneralValidationSet = None,
    no_mixing: Annotated[bool, typer.Option("--no-mixing", help="Train on text of the domain only.")] = False,
    method: AdaptMethodOption = "all",
    no_train: Annotated[bool, typer.Option("--no-train", help="Only write the recipe.")] = False,
    set_: Overrides = None,
    nproc: Processes = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a model for a domain or a client, and measure what it gains there and loses elsewhere.

    FOLDER gets recipe.yaml, an ordinary recipe for fine-tuning, the prepared data and the run. Rerun the same command
    to resume after an interruption.
    """
    refuse_ignored({"--general": general if no_mixing else None}, "with --no-mixing")
    from nmt_cli.commands.adapt import AdaptOptions
    from nmt_cli.commands.adapt import adapt as command
    from nmt_cli.commands.stdout import write_result

    options = AdaptOptions(
        output,
        corpus,
        valid,
        general,
        general_valid,
        mixes=not no_mixing,
        method=method,
        trains=not no_train,
    )
    result = command(model, set_ or [], options, nproc, dry_run, console)
    if result is None:
        return
    for comparison in result.comparisons:
        console.table(*comparison.table())
        for verdict in comparison.verdicts:
            console.info(verdict)
    if json:
        write_result(result.as_json())
    if not result.comparisons:
        console.info(f"next: {console.command_line('nmt', 'preprocess', result.recipe)}")
