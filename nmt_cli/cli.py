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


def _examples(*commands: str) -> str:
    """The end of a help page; the mark keeps lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


app = typer.Typer(
    name="nmt",
    help="Neural machine translation: from raw parallel text to a trustworthy score, in four commands.",
    epilog=_examples(
        "nmt preprocess recipe.yaml",
        "nmt train recipe.yaml",
        "nmt evaluate recipe.yaml",
        "nmt translate recipe.yaml < in.txt > out.txt",
    ),
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


@app.command(
    epilog=_examples("nmt preprocess recipe.yaml", "nmt preprocess recipe.yaml --set tokenizer.vocabulary_size=4000")
)
def preprocess(recipe: RecipePath, set_: Overrides = None, dry_run: DryRun = False, quiet: Quiet = False) -> None:
    """Learn subwords and prepare the recipe's text.

    Does nothing if that is done already.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.preprocess import preprocess as command
    from nmt_cli.recipe.loading import load_recipe

    command(load_recipe(recipe, set_ or []), dry_run)


@app.command(
    epilog=_examples(
        "nmt train recipe.yaml",
        "nmt train recipe.yaml --run runs/short --set training.limits.updates=2000",
        "nmt train recipe.yaml --fresh",
        "nmt train recipe.yaml --nproc 4",
        "nmt train recipe.yaml --set training.limits.minutes=30",
    )
)
def train(
    recipe: RecipePath,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run directory, in place of the recipe's `run`.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move an old run aside and start anew.")] = False,
    set_: Overrides = None,
    nproc: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes; one for each GPU if not given, else one.")
    ] = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train the recipe's model, or go on with it.

    On an existing run, training goes on exactly where it was stopped or killed. Limits, logging, validation,
    checkpoints, batch_tokens, divergence, parallel, test sets, evaluation and the number of processes may change then;
    anything else needs --fresh. Ctrl-C saves and stops. docs/training.md tells the rest.
    """
    console.set_quiet(quiet)
    from nmt_cli.recipe.loading import load_recipe

    load_recipe(recipe, set_ or [])  # mistakes are told before torch is loaded
    from nmt_cli.commands.train import train as command

    command(recipe, set_ or [], run, fresh, dry_run, nproc)


@app.command(
    epilog=_examples(
        "nmt translate runs/en-de -i in.en -o out.de",
        "nmt translate runs/en-de < in.en > out.de",
        "nmt translate runs/en-de -i in.en --set decoding.beam_size=1",
        "nmt translate runs/en-de -i in.en --format nbest --set decoding.n_best=5",
        "nmt translate runs/en-de -i in.en --set decoding.strategy=sampling --set decoding.top_k=10",
    )
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
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Take translations as they are; the same as --set decoding.check=false.")
    ] = False,
    set_: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Translate lines: one out for each one in, in the same order."""
    console.set_quiet(quiet)
    from nmt_cli.commands.translate import translate as command
    from nmt_cli.commands.translators import TranslatorOptions

    overrides = (*(set_ or []), *(["decoding.check=false"] if no_check else []))
    command(TranslatorOptions(tuple(model), overrides), input_, output, format_.value)


@app.command(
    epilog=_examples(
        "nmt evaluate recipe.yaml",
        "nmt evaluate runs/en-de --test test2016 --json",
        "nmt evaluate --hypothesis out.de --reference test.de",
    )
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
    """Score a model, or translations of any system.

    A model's translations, scores and a report to read go to evaluation/ in its run.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.evaluate import evaluate as command

    command(model, test or [], hypothesis, reference or [], set_ or [], json)


def main() -> None:
    """Run `nmt`; every mistake of a user ends in one line and the exit code of its kind."""
    _fill_closed_streams()
    try:
        app()
    except NmtError as mistake:
        if str(mistake):
            console.error(str(mistake))
        sys.exit(mistake.exit_code)
    except KeyboardInterrupt:
        console.error("stopped")
        sys.exit(128 + signal.SIGINT)
    except MemoryError:
        console.error("out of memory; lower training.batch_tokens or decoding.batch_tokens")
        sys.exit(5)


def _fill_closed_streams() -> None:
    """Let no file take the number of a standard stream that is closed: libraries would print into that file."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
