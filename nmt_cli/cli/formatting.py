"""Help pages and usage errors, where those of typer are cut or speak of Python."""

import re
import shutil
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from nmt_cli import console
from nmt_cli.text.lines import escape_invisible

_UsageError: Any = typer.BadParameter.__base__  # typer exports only the subclass
_LIBRARY_WORDS = [
    ("Value error, ", ""),
    (", unable to parse.*", ""),
    ("Input should be a valid integer", "must be an integer"),
]
_LIBRARY_WORDS += [("Input should be", "must be")]


class NmtCommand(TyperCommand):
    """A subcommand whose help page has no Python types, and whose usage errors are in plain words."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Parse the command line."""
        try:
            return super().make_context(*arguments, **options)
        except _UsageError as error:
            error.message = plain_message(error.message)
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the arguments of the usage line, without the braces of typer."""
        return [re.sub(r"^\{(.*)\}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = lambda **_: ""  # type: ignore[attr-defined]
        write_rows = formatter.write_dl
        formatter.write_dl = lambda rows, *sizes, **named: write_rows(
            [(name, plain_range(text)) for name, text in rows], *sizes, **named
        )
        super().format_options(ctx, formatter)


class CommandGroup(TyperGroup):
    """All subcommands. Their list shows whole sentences at any width, in groups (`rich_help_panel` in typer)."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of subcommands."""
        groups: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, self.commands))
        for name, command in self.commands.items():
            if not command.hidden:
                row = (name.ljust(width), (command.help or "").split("\n")[0])
                groups.setdefault(str(getattr(command, "rich_help_panel", "Commands")), []).append(row)
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def stdout_width() -> int | None:
    """Return the columns of the terminal that results are printed on; None if it is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def highlight(text: str) -> str:
    """Return the best value of several in a colour, if results are printed on a terminal that has colours."""
    return console.in_colour(text, 32) if console.has_colours(sys.stdout) else text


def plain_range(text: str) -> str:
    """Return the help of an option with the range of its values in plain words.

    >>> plain_range("Number of resamples.  [1<=x<=1000000]")
    'Number of resamples.  [1 to 1,000,000]'
    """
    return re.sub(r"\b(\d+)<=x<=(\d+)\b", lambda found: f"{int(found[1]):,} to {int(found[2]):,}", text)


def plain_message(message: str) -> str:
    """Return a message about an option without the words of the library that checked it.

    >>> plain_message("Input should be a valid integer, unable to parse string as an integer")
    'must be an integer'
    """
    for library_words, words in _LIBRARY_WORDS:
        message = re.sub(library_words, words, message)
    return escape_invisible(message)
