"""Arguments in, one command called, exit code out."""

import os
import signal
import sys
from typing import Annotated

import typer

from nmt_cli import __version__, console
from nmt_cli.cli import check, compare, evaluate, export, preprocess, report, runs, score, show, train, translate
from nmt_cli.cli.options import examples
from nmt_cli.errors import NmtError

app = typer.Typer(
    name="nmt",
    help="Neural machine translation: from raw parallel text to a trustworthy score.",
    epilog=examples(
        "nmt check recipe.yaml",
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

# In the order in which the help page names them.
app.command(epilog=check.EXAMPLES)(check.check)
app.command(epilog=preprocess.EXAMPLES)(preprocess.preprocess)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=translate.EXAMPLES)(translate.translate)
app.command(epilog=score.EXAMPLES)(score.score)
app.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(epilog=compare.EXAMPLES)(compare.compare)
app.command(epilog=report.EXAMPLES)(report.report)
app.command(epilog=runs.EXAMPLES)(runs.runs)
app.command(epilog=show.EXAMPLES)(show.show)
app.command(epilog=export.EXAMPLES)(export.export)


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
