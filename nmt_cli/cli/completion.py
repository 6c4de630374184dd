"""Completion of arguments in the shell: runs, recipes, and the keys and values of settings after `--set`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from typer import _completion_classes, _completion_shared

_MODEL_COMMANDS = {"attention", "compare", "generate", "import", "score", "translate"}
"""Commands that change only the settings of a finished model."""
_BASH_SCRIPT = """
%(complete_func)s() {
    # Words of the line at spaces only: bash also splits them at = and :.
    local line="${COMP_LINE:0:COMP_POINT}" words word kept
    IFS=$' \\t\\n' read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word="${words[-1]}"
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="$line" COMP_CWORD=$((${#words[@]} - 1)) %(autocomplete_var)s=complete_bash $1 ) )
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        kept="${word%%"${word##*=}"}"
        COMPREPLY=( "${COMPREPLY[@]#"$kept"}" )
    fi
}

complete -o default -F %(complete_func)s %(prog_name)s
"""
"""In place of typer's, which does not complete what follows an equals sign."""
_completion_shared._completion_scripts["bash"] = _completion_classes.BashComplete.source_template = _BASH_SCRIPT
_MAX_DEPTH = 3
"""Folders between runs/ and a run, itself included."""


def complete_run(incomplete: str) -> list[str]:
    """Return the runs below runs/ and the recipes that begin with `incomplete`."""
    from nmt_cli.runs.directory import RunDirectory

    folders = (each for depth in range(1, _MAX_DEPTH + 1) for each in Path("runs").glob("/".join("*" * depth)))
    runs = [str(each) for each in folders if RunDirectory(each).summary.is_file()]
    return [each for each in sorted(runs) if each.startswith(incomplete)] + complete_recipe(incomplete)


def complete_recipe(incomplete: str) -> list[str]:
    """Return the recipes in this folder and in recipes/ that begin with `incomplete`."""
    found = (path for folder in (Path(), Path("recipes")) for path in sorted(folder.glob("*.yaml")))
    return [str(path) for path in found if str(path).startswith(incomplete)]


def complete_setting(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return `key=` for each setting that begins with `incomplete`; if there is only one, also `key=value`.

    Values are those that a setting can have, or else its default.
    """
    settings = {key: fields for key, fields in _settings().items() if _is_for(ctx.info_name, key)}
    found = [key for key in settings if f"{key}=".startswith(incomplete.partition("=")[0])]
    if "=" in incomplete:
        found = [key for key in found if incomplete.startswith(f"{key}=")]
    if len(found) != 1:
        return [f"{key}=" for key in found]
    [key] = found
    candidates = [f"{key}=", *(f"{key}={value}" for value in _values(settings[key]))]
    return [each for each in candidates if each.startswith(incomplete)]


def _is_for(command: str | None, key: str) -> bool:
    return command not in _MODEL_COMMANDS or key.startswith(("decoding.", "evaluation."))


def _settings() -> dict[str, list[Any]]:
    """Return the fields of each setting by its dotted key, without sections and what is below a name of the user."""
    from nmt_cli.recipe.loading.schema_walk import INDEX, NAME, sections
    from nmt_cli.recipe.schema import Recipe

    known, found = sections(Recipe), dict[str, list[Any]]()
    for key, classes in known.items():
        fields = [each for section in classes for each in section.model_fields.items()]
        for name, field in () if NAME in key or INDEX in key else fields:
            if (*key, name) not in known and get_origin(field.annotation) is not dict:
                found.setdefault(".".join((*key, name)), []).append(field)
    return found


def _values(fields: list[Any]) -> list[str]:
    """Return the values that a setting can have, or else its default."""
    found = [value for field in fields for value in _choices(field.annotation)]
    found = found or [field.default for field in fields if isinstance(field.default, int | float | str)]
    return list(dict.fromkeys(str(each).lower() if isinstance(each, bool) else str(each) for each in found))


def _choices(annotation: Any) -> Iterator[object]:
    """Yield the values of all literals and booleans in a type."""
    if annotation is bool:
        yield from (True, False)
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for argument in get_args(annotation):
            yield from _choices(argument)
