"""Manual pages, generated from the help."""

import re
from collections.abc import Iterator
from typing import Any

from nmt_cli import __version__
from nmt_cli.cli.formatting import plain_range

_ARGUMENT_TYPE = re.compile(r" <(list\[.*\]|[a-z ]+)>$")


def man_page(name: str, command: Any, context: Any) -> str:
    """Return the manual page of a command in the macros of man(7).

    Args:
        name: Such as nmt-train; nmt for all commands.
        command: Command of typer.
        context: Context of typer that belongs to it.
    """
    return "".join(f"{line}\n" for line in _lines(name, command, context))


def _lines(name: str, command: Any, context: Any) -> Iterator[str]:
    first, *rest = (command.help or "").split("\n\n")
    yield f'.TH {_quoted(name.upper())} 1 "" {_quoted(f"nmt {__version__}")} {_quoted("nmt manual")}'
    yield from (".SH NAME", rf"{_escaped(name)} \- {_escaped(first.rstrip(chr(46)))}")
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from (".SH SYNOPSIS", rf"\fB{_escaped(name.replace(chr(45), chr(32), 1))}\fR {_escaped(pieces)}")
    if rest:
        yield ".SH DESCRIPTION"
        for paragraph in rest:
            yield from (".PP", _escaped(" ".join(paragraph.split())))
    if commands := getattr(command, "commands", None):
        yield ".SH COMMANDS"
        for inner, each in commands.items():
            yield from (".TP", rf"\fB{_escaped(inner)}\fR", _escaped((each.help or "").split("\n")[0]))
    if rows := [row for row in (each.get_help_record(context) for each in command.get_params(context)) if row]:
        yield ".SH OPTIONS"
        for option, text in rows:
            name_only = _ARGUMENT_TYPE.sub("", option)
            yield from (".TP", rf"\fB{_escaped(name_only)}\fR", _escaped(" ".join(plain_range(text).split())))
    if command.epilog:
        yield from (".SH EXAMPLES", ".nf")
        yield from (_escaped(line) for line in command.epilog.split("\n")[2:])
        yield ".fi"


def _escaped(text: str) -> str:
    """Escape what roff would interpret."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\(ga").replace("'", r"\(aq")
    return re.sub(r"^(?=\.)", r"\&", escaped)


def _quoted(text: str) -> str:
    return f'"{text}"'
