"""The command line: subcommands, error messages and exit codes."""

import errno
import os
import signal
import sys
from typing import Annotated

import typer

from nmt_cli import __version__, console
from nmt_cli.cli import (
    check,
    compare,
    evaluate,
    export,
    import_model,
    preprocess,
    report,
    runs,
    score,
    show,
    stop,
    train,
    translate,
)
from nmt_cli.cli.formatting import CommandGroup, NmtCommand
from nmt_cli.cli.options import examples
from nmt_cli.commands.stdout import discard_stdout
from nmt_cli.errors import NmtError, ResourceError

app = typer.Typer(
    name="nmt",
    cls=CommandGroup,
    help="Neural machine translation: prepare data, train, translate and evaluate.",
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

# In the order of the help page.
app.command(cls=NmtCommand, epilog=check.EXAMPLES)(check.check)
app.command(cls=NmtCommand, epilog=preprocess.EXAMPLES)(preprocess.preprocess)
app.command(cls=NmtCommand, epilog=train.EXAMPLES)(train.train)
app.command(cls=NmtCommand, epilog=translate.EXAMPLES)(translate.translate)
app.command(cls=NmtCommand, epilog=score.EXAMPLES)(score.score)
app.command(cls=NmtCommand, epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command(cls=NmtCommand, epilog=compare.EXAMPLES)(compare.compare)
app.command(cls=NmtCommand, epilog=report.EXAMPLES)(report.report)
app.command(cls=NmtCommand, epilog=runs.EXAMPLES)(runs.runs)
app.command(cls=NmtCommand, epilog=show.EXAMPLES)(show.show)
app.command(cls=NmtCommand, epilog=stop.EXAMPLES)(stop.stop)
app.command("import", cls=NmtCommand, epilog=import_model.EXAMPLES)(import_model.import_model)
app.command(cls=NmtCommand, epilog=export.EXAMPLES)(export.export)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"nmt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run `nmt`. An NmtError is printed without a traceback and sets the exit code."""
    _fill_closed_streams()
    try:
        app()
    except NmtError as error:
        if str(error):
            console.error(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.error("interrupted")
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            console.error("too many files are open; raise the limit with ulimit -n")
            sys.exit(ResourceError.exit_code)
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF) or error.filename is not None:
            raise
        discard_stdout()  # typer prints help pages itself
        console.error(f"stdout: cannot be written: {error.strerror}")
        sys.exit(ResourceError.exit_code)
    except MemoryError:
        console.error("out of memory; lower training.batch_tokens or decoding.batch_tokens")
        sys.exit(ResourceError.exit_code)


def _fill_closed_streams() -> None:
    """Open closed standard streams, so that no file gets their number and the output of libraries."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
