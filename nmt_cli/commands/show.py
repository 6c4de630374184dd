"""nmt show: a path → what it is."""

from pathlib import Path

from nmt_cli import files
from nmt_cli.commands.results import stdout
from nmt_cli.errors import DataError
from nmt_cli.reporting.markdown import visible
from nmt_cli.reporting.showing import Shown, check, show_path


def show(path: Path, checked: bool = False, as_json: bool = False) -> None:
    """Say on stdout what `path` is, and what to do with it; DataError names what is damaged, if that is checked."""
    shown = show_path(path)
    damage = check(shown) if checked else []
    with stdout() as stream:
        stream.write(_json(shown, damage, checked) if as_json else _text(path, shown, damage, checked))
    if damage:
        raise DataError("\n".join(damage))


def _json(shown: Shown, damage: list[str], checked: bool) -> bytes:
    facts = {name: visible(value) for name, value in shown.facts.items()}
    told = {"kind": shown.kind, "facts": facts, "next": visible(shown.next)}
    return files.json_bytes(told | ({"damage": list(map(visible, damage))} if checked else {}))


def _text(path: Path, shown: Shown, damage: list[str], checked: bool) -> bytes:
    facts = dict(shown.facts)
    if checked:
        facts["check"] = _verdict(shown, damage)
    width = max(map(len, facts), default=0)
    lines = [f"{path}: {shown.kind}", *(f"  {name:<{width}}  {value}" for name, value in facts.items())]
    return "".join(f"{visible(line)}\n" for line in [*lines, f"next: {shown.next}"]).encode()


def _verdict(shown: Shown, damage: list[str]) -> str:
    if not shown.folders:
        return "there are no hashes to compare it with"
    whole = len(shown.folders) - len(damage)
    return f"{whole} of {len(shown.folders)} folders whole" if damage else "all files are as they were written"
