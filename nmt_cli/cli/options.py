"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer


def examples(*commands: str) -> str:
    """The end of a help page; the mark keeps lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="YAML file that describes the experiment.")]
ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A run, a recipe (its run), a checkpoint or a model folder.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, as decoding.beam_size=1; repeatable."),
]
Factors = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=FILE", help="Line n has the values of a factor for the words of source n; repeatable."),
]
Processes = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Processes; one for each GPU if not given, else one.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
TargetLanguage = Annotated[
    str | None,
    typer.Option("--target-language", metavar="CODE", help="Translate into this language, one of those of the model."),
]
CorpusTag = Annotated[
    str | None,
    typer.Option("--corpus-tag", metavar="NAME", help="Translate in the style of the training corpora with this tag."),
]
