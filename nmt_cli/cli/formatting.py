"""Help pages and usage errors, where those of typer are cut or speak of Python."""

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

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

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        for parameter in self.params:
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = lambda **_: ""  # type: ignore[attr-defined]
        super().format_options(ctx, formatter)


class CommandGroup(TyperGroup):
    """All subcommands; their list shows whole sentences at any width."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of subcommands."""
        rows = [(name, (command.help or "").split("\n")[0]) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def plain_message(message: str) -> str:
    """Return a message about an option without the words of the library that checked it.

    >>> plain_message("Input should be a valid integer, unable to parse string as an integer")
    'must be an integer'
    """
    for library_words, words in _LIBRARY_WORDS:
        message = re.sub(library_words, words, message)
    return escape_invisible(message)
