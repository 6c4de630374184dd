"""Arguments in, one command called, exit code out."""

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import __version__, console
from nmt_cli.errors import NmtError

app = typer.Typer(
    name="nmt",
    help="Neural machine translation: from raw parallel text to a trustworthy score, in four commands.",
    epilog="nmt preprocess recipe.yaml, nmt train recipe.yaml, nmt evaluate recipe.yaml, nmt translate recipe.yaml",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """Forms of translations."""

    text = "text"
    nbest = "nbest"
    jsonl = "jsonl"
    tsv = "tsv"


RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML file that describes the experiment.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, as decoding.beam_size=1; repeatable."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nmt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: nmt preprocess recipes/multi30k_transformer.yaml")
def preprocess(recipe: RecipePath, set_: Overrides = None, dry_run: DryRun = False, quiet: Quiet = False) -> None:
    """Learn subwords and turn the recipe's text into arrays to train on."""
    console.set_quiet(quiet)
    from nmt_cli.commands.preprocess import preprocess as command
    from nmt_cli.recipe.loading import load_recipe

    command(load_recipe(recipe, set_ or []), dry_run)


@app.command(epilog="Example: nmt train recipes/multi30k_transformer.yaml --set training.limits.updates=2000")
def train(
    recipe: RecipePath,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run directory, in place of the recipe's `run`.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move an old run aside and start anew.")] = False,
    set_: Overrides = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train the recipe's model; on an existing run, go on where it stopped."""
    console.set_quiet(quiet)
    from nmt_cli.recipe.loading import load_recipe

    load_recipe(recipe, set_ or [])  # mistakes are told before torch is loaded
    from nmt_cli.commands.train import train as command

    command(recipe, set_ or [], run, fresh, dry_run)


@app.command(
    epilog="Examples: nmt translate runs/de-en -i in.de -o out.en; nmt translate runs/de-en < in.de > out.en;"
    " nmt translate runs/de-en --set decoding.beam_size=1 --format jsonl < in.de"
)
def translate(
    model: Annotated[
        list[Path], typer.Argument(metavar="MODEL", help="A run, a recipe (its run), a checkpoint or a model folder.")
    ],
    input_: Annotated[
        Path | None, typer.Option("--input", "-i", metavar="FILE", help="Lines to translate; stdin if not given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; stdout if not given.")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write translations.")] = Format.text,
    set_: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Translate lines: one out for each one in, in the same order."""
    console.set_quiet(quiet)
    from nmt_cli.commands.translate import translate as command

    command(model, input_, output, format_.value, set_ or [])


@app.command(
    epilog="Examples: nmt evaluate runs/de-en; nmt evaluate runs/de-en --test test2016 --json;"
    " nmt evaluate --hypothesis out.en --reference test.en"
)
def evaluate(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A run, a recipe, a checkpoint or a model folder.")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this test set of the recipe; repeatable.")
    ] = None,
    hypothesis: Annotated[Path | None, typer.Option(metavar="FILE", help="Score this file, of any system.")] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Reference translations; repeatable.")
    ] = None,
    set_: Overrides = None,
    json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score a model on its test sets, or any translations against references."""
    console.set_quiet(quiet)
    from nmt_cli.commands.evaluate import evaluate as command

    command(model, test or [], hypothesis, reference or [], set_ or [], json)


def main() -> None:
    """Run `nmt`; every mistake of a user ends in one line and the exit code of its kind."""
    try:
        app()
    except NmtError as mistake:
        console.error(str(mistake))
        sys.exit(mistake.exit_code)
    except KeyboardInterrupt:
        console.error("stopped")
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except MemoryError:
        console.error("out of memory; lower training.batch_tokens or decoding.batch_tokens")
        sys.exit(5)
