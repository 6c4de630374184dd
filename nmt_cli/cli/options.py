"""Options that several commands share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.completion import complete_recipe, complete_run, complete_setting
from nmt_cli.errors import RecipeError


def examples(*commands: str) -> str:
    """Return the examples at the end of a help page. `\\b` prevents rewrapping."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def terms_in(path: Path | None) -> tuple[str, ...]:
    """Return the terms in a file; none without one."""
    from nmt_cli.text.terms import read_terms

    return () if path is None else read_terms(path)


def refuse_ignored(options: Mapping[str, object], reason: str) -> None:
    """Raise RecipeError, naming the first option that is given, as it has no effect for this reason.

    Args:
        options: By name, whether it is given, or its value if it is none by default.
    """
    for name, given in options.items():
        if given:
            raise RecipeError(f"{name}: has no effect {reason}; remove it")


def overrides_of(given: list[str] | None, length: str | None = None, no_check: bool = False) -> tuple[str, ...]:
    """Return the changed settings, with those that have an option of their own."""
    found = [*(given or [])]
    if length is not None:
        found.append(f"decoding.length={length}")
    if no_check:
        found.append("decoding.check=false")
    return tuple(found)


MAX_PROCESSES = 1024
_MODEL = "A run, a recipe, a checkpoint or a model folder."

RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", autocompletion=complete_recipe, help="YAML file of the experiment.")
]
ModelPath = Annotated[
    Path,
    typer.Argument(metavar="MODEL", autocompletion=complete_run, help=_MODEL),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=complete_setting,
        help="Change a setting, such as decoding.beam_size=1; repeatable.",
    ),
]
ScoredLanguage = Annotated[
    str | None,
    typer.Option(
        "--target-language", metavar="CODE", help="Target language of files, which selects the tokenizers of metrics."
    ),
]
Factors = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=FILE", help="Line n has the values of a factor for the words of source n; repeatable."),
]
RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", autocompletion=complete_run, help="A run, or a recipe (its run).")
]
RunFolder = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="Run directory; overrides `run` of the recipe.")
]
Processes = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, max=MAX_PROCESSES, help="Number of processes; default: one per GPU, or one without GPUs."
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=console.set_quiet, help="Print only warnings and errors.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
AllowCommands = Annotated[
    bool,
    typer.Option(
        "--allow-commands",
        help="Run evaluation.external and evaluation.comet even if they come from a run.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, without doing it.")]
SourceLanguage = Annotated[
    str | None,
    typer.Option("--source-language", metavar="CODE", help="Source language, for an imported model with several."),
]
TargetLanguage = Annotated[
    str | None,
    typer.Option("--target-language", metavar="CODE", help="Target language, for a model with several."),
]
CorpusTag = Annotated[
    str | None,
    typer.Option("--corpus-tag", metavar="NAME", help="Tag of the training corpora whose style to follow."),
]
ToxicWords = Annotated[
    Path | None,
    typer.Option(
        "--toxic-words",
        metavar="FILE",
        help="Find translations with one of these words (one per line), which their sources do not have.",
    ),
]
SourceToxicWords = Annotated[
    Path | None,
    typer.Option(
        "--source-toxic-words",
        metavar="FILE",
        help="Toxic words of the source language; a source with one may have a toxic translation.",
    ),
]
TranslationLength = Annotated[
    Literal["short", "normal", "long"] | None,
    typer.Option(
        "--length",
        help="Length of translations, for a model trained with length tags; same as --set decoding.length=…",
    ),
]
ModelPaths = Annotated[
    list[Path],
    typer.Argument(
        metavar="MODEL",
        autocompletion=complete_run,
        help="Runs, recipes, checkpoints or model folders; several form an ensemble.",
    ),
]
Adapter = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        autocompletion=complete_run,
        help="Add the adapter of this run, or in this folder, to MODEL, for which it was trained.",
    ),
]
WordScoresOption = Annotated[
    bool, typer.Option("--word-scores", help="Also output per-word log-probabilities (end of sentence last).")
]
TextShard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Translate only shard I of N, for parallel jobs; then run without it."),
]
DecodingSettings = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Change a setting of the search, such as beam_size=1; repeatable."),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score", metavar="SCORE", help="Drop translations with a lower score (log-probability per token)."
    ),
]
NewCorpusName = Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the new corpus in the recipe.")]
NewFolder = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write.")]
NumBest = Annotated[int, typer.Option("--n-best", metavar="N", min=1, help="Translations of each line.")]
