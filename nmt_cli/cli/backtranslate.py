"""Arguments of `nmt backtranslate`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.completion import complete_run
from nmt_cli.cli.options import (
    DecodingSettings,
    DryRun,
    Json,
    MinScore,
    NewCorpusName,
    NewFolder,
    NumBest,
    Overrides,
    Processes,
    Quiet,
    RecipePath,
    TextShard,
    examples,
)
from nmt_cli.errors import RecipeError

EXAMPLES = examples(
    "nmt backtranslate en-de.yaml --model runs/de-en --text news.de.gz -o data/news",
    "nmt backtranslate en-de.yaml --model runs/de-en --text news.de.gz -o data/news --strategy sampling",
    "nmt backtranslate en-de.yaml --model runs/de-en --text news.de.gz -o data/news --shard 3/8",
    "nmt backtranslate en-de.yaml --model de-en.yaml --text news.de --source-text news.en --rounds 2 -o data/news",
)
ReverseModel = Annotated[
    Path,
    typer.Option(
        metavar="MODEL",
        autocompletion=complete_run,
        help="A model of the reverse direction: a run, a recipe, a checkpoint or a model folder.",
    ),
]
TargetText = Annotated[
    list[Path], typer.Option(metavar="FILE", help="Sentences in the target language, one per line; repeatable.")
]
SourceText = Annotated[
    list[Path] | None,
    typer.Option("--source-text", metavar="FILE", help="Sentences in the source language, for --rounds; repeatable."),
]
StrategyOption = Annotated[
    Literal["beam", "sampling", "top-k"] | None,
    typer.Option(help="How to search: by beam, sampling, or sampling among 10 tokens; default: as MODEL says."),
]
RoundsOption = Annotated[
    int,
    typer.Option(metavar="N", min=1, help="Train both directions on each other's text first, N - 1 times."),
]
TagOption = Annotated[
    str, typer.Option(metavar="NAME", help="Tag of the new corpus, so that the model can tell it; empty: none.")
]
_STRATEGIES = {
    "beam": ["strategy=beam"],
    "sampling": ["strategy=sampling"],
    "top-k": ["strategy=sampling", "top_k=10"],
}


def backtranslate(
    recipe: RecipePath,
    model: ReverseModel,
    text: TargetText,
    output: NewFolder,
    strategy: StrategyOption = None,
    n_best: NumBest = 1,
    decoding: DecodingSettings = None,
    min_score: MinScore = None,
    name: NewCorpusName = "backtranslated",
    tag: TagOption = "bt",
    rounds: RoundsOption = 1,
    source_text: SourceText = None,
    shard: TextShard = None,
    set_: Overrides = None,
    nproc: Processes = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add monolingual text to a recipe: a reverse model translates it into the source language.

    The text is filtered as the recipe says; duplicates and lines of validation and test sets are dropped, and so are
    bad translations. FOLDER gets the pairs and recipe.yaml, which trains on them and the recipe's own corpora. Rerun
    the same command to resume after an interruption.
    """
    from nmt_cli.commands.backtranslate import BacktranslateOptions
    from nmt_cli.commands.backtranslate import backtranslate as command
    from nmt_cli.commands.backtranslation_rounds import Rounds, backtranslate_in_rounds
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.processes import ShardSpec

    settings = [*(_STRATEGIES[strategy] if strategy else []), f"n_best={n_best}"]
    options = BacktranslateOptions(
        model, tuple(text), output, (*settings, *(decoding or [])), name, tag or None, min_score
    )
    given = tuple(set_ or [])
    if rounds > 1:
        if shard:
            raise RecipeError("--shard: is not supported with --rounds; use --nproc")
        all_rounds = Rounds(rounds, tuple(source_text or []))
        result = backtranslate_in_rounds(recipe, given, options, all_rounds, nproc, dry_run, console)
    elif source_text:
        raise RecipeError("--source-text: has no effect without --rounds; remove it, or add --rounds 2")
    else:
        shard_spec = ShardSpec.parse_or_all(shard)
        result = command(recipe, given, options, shard_spec, nproc, dry_run, console)
    if result is None:
        return
    if json:
        write_result(asdict(result) | {"recipe": result.recipe and str(result.recipe)})
    if result.recipe is None:
        console.info("next, when all shards are ready: the same command without --shard")
        return
    console.info(f"{result.pairs:,} pairs from {result.selected:,} of {result.lines:,} lines")
    console.info(f"next: {console.command_line('nmt', 'preprocess', result.recipe)}")
