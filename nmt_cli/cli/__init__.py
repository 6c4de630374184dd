"""The command line: subcommands, error messages and exit codes."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from nmt_cli import __version__, console
from nmt_cli.cli import (
    adapt,
    attention,
    backtranslate,
    check,
    compare,
    distill,
    evaluate,
    export,
    generate,
    import_model,
    preprocess,
    report,
    runs,
    score,
    shortlist,
    show,
    stop,
    sweep,
    train,
    translate,
)
from nmt_cli.cli.formatting import CommandGroup, NmtCommand
from nmt_cli.cli.man_page import man_page
from nmt_cli.cli.options import examples
from nmt_cli.commands.stdout import discard_stdout
from nmt_cli.errors import NmtError, ResourceError, StoppedError

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
        "nmt help train",
    ),
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_help(
    ctx: typer.Context,
    command: Annotated[str | None, typer.Argument(metavar="COMMAND", autocompletion=lambda: [*COMMANDS])] = None,
    man: Annotated[bool, typer.Option("--man", help="Print a manual page, for man -l.")] = False,
) -> None:
    """Show the options and examples of a command."""
    root: Any = ctx.find_root()
    name, found, context = "nmt", root.command, root
    if command is not None:
        inner, found, _ = root.command.resolve_command(root, [command])  # raises a usage error with similar names
        name, context = f"nmt-{inner}", type(ctx)(found, info_name=inner, parent=root)
    typer.echo(man_page(name, found, context).rstrip("\n") if man else context.get_help())


# In the order of the help page.
_GROUPS: dict[str, list[tuple[str, Callable[..., None], str]]] = {
    "Prepare": [("check", check.check, check.EXAMPLES), ("preprocess", preprocess.preprocess, preprocess.EXAMPLES)],
    "Train": [
        ("train", train.train, train.EXAMPLES),
        ("sweep", sweep.sweep, sweep.EXAMPLES),
        ("stop", stop.stop, stop.EXAMPLES),
    ],
    "Improve": [
        ("backtranslate", backtranslate.backtranslate, backtranslate.EXAMPLES),
        ("distill", distill.distill, distill.EXAMPLES),
        ("adapt", adapt.adapt, adapt.EXAMPLES),
        ("shortlist", shortlist.shortlist, shortlist.EXAMPLES),
    ],
    "Translate": [
        ("translate", translate.translate, translate.EXAMPLES),
        ("generate", generate.generate, generate.EXAMPLES),
        ("score", score.score, score.EXAMPLES),
    ],
    "Evaluate": [("evaluate", evaluate.evaluate, evaluate.EXAMPLES), ("compare", compare.compare, compare.EXAMPLES)],
    "Models of other toolkits": [
        ("import", import_model.import_model, import_model.EXAMPLES),
        ("export", export.export, export.EXAMPLES),
    ],
    "Inspect": [
        ("runs", runs.runs, runs.EXAMPLES),
        ("show", show.show, show.EXAMPLES),
        ("report", report.report, report.EXAMPLES),
        ("attention", attention.attention, attention.EXAMPLES),
        ("help", _show_help, examples("nmt help train", "nmt help --man train | man -l -")),
    ],
}
COMMANDS = [name for commands in _GROUPS.values() for name, _, _ in commands]
for _title, _commands in _GROUPS.items():
    for _name, _function, _examples in _commands:
        app.command(_name, cls=NmtCommand, epilog=_examples, rich_help_panel=_title)(_function)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"nmt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run `nmt`. An NmtError is printed without a traceback and sets the exit code."""
    _fill_closed_streams()
    try:
        app(prog_name="nmt")
    except NmtError as error:
        if str(error) and isinstance(error, StoppedError):  # as it was asked to
            console.write_line(f"nmt: {error}")
        elif str(error):
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
