"""nmt compare --sheet: sheets for people who judge translations, and the analysis of what comes back."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from nmt_cli import files
from nmt_cli.commands.compared_systems import common_test_sets, one_of_each_system, open_systems
from nmt_cli.console import Reporter, command_line
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.evaluation.human_judgements import HumanEvaluation, Judgement, JudgementKind, analyse_judgements
from nmt_cli.reporting.rendering import render_html
from nmt_cli.text.lines import read_lines

_KEY, _TSV, _HTML, _PEARMUT = "key.json", "sheet.tsv", "sheet.html", "pearmut.json"
_HINTS = {
    "direct": "How well does the translation say what the source says? From 0 (useless) to 100 (perfect).",
    "preference": "Which translation is better? 1, 2, or 0 if they are equally good.",
}
_SEED = 1
"""Of the lines that are drawn and their order."""
_COLUMNS = {"direct": ["translation"], "preference": ["translation 1", "translation 2"]}
"""Columns of the translations of an item."""
_MAX_VALUES = {"direct": 100.0, "preference": 2.0}
_MAX_DIGITS = 9
"""Of the number of an item; Python refuses to read very long ones."""


@dataclass(frozen=True)
class _Item:
    line: int
    source: str
    systems: tuple[str, ...]
    translations: tuple[str, ...]


def write_sheet(
    paths: Sequence[Path],
    test: Sequence[str],
    folder: Path,
    kind: JudgementKind,
    num_lines: int,
    reporter: Reporter,
) -> None:
    """Write a blind, shuffled sheet as TSV and HTML, a campaign for Pearmut, and the key.

    Of runs that differ only in their seed, the first is judged.

    Args:
        num_lines: Lines of the test set that are drawn at random.
    """
    opened = open_systems(paths)
    compared = one_of_each_system(opened)
    names = [system.name for system in compared]
    if len(set(names)) < max(len(names), 2):
        raise RecipeError("--sheet: give two systems or more; runs that differ only in their seed are one system")
    for system in opened:
        if system not in compared:
            reporter.info(f"{system.name}: is not shown, as another seed of this system is")
    sets = common_test_sets(compared, test)
    if len(sets) > 1:
        raise RecipeError(f"--sheet: name one test set with --test: {', '.join(sets)}")
    translated = [system.translations(sets[0]) for system in compared]
    sources = next((each.sources for each in translated if each.sources is not None), None)
    if sources is None or any(len(each.hypotheses) != len(sources) for each in translated):
        raise DataError("--sheet: needs systems with the same number of lines, one of them an evaluated run")
    rng = random.Random(_SEED)
    lines = sorted(rng.sample(range(len(sources)), min(num_lines, len(sources))))
    by_name = {name: each.hypotheses for name, each in zip(names, translated, strict=True)}
    items = list(_items(kind, lines, sources, by_name, rng))
    rng.shuffle(items)
    with files.new_folder(folder) as unfinished:
        (unfinished / _TSV).write_bytes(_as_tsv(kind, items).encode())
        page = render_html("sheet.html.j2", kind=kind, hint=_HINTS[kind], items=items, maximum=_MAX_VALUES[kind])
        (unfinished / _HTML).write_bytes(str(page).encode())
        (unfinished / _PEARMUT).write_bytes(files.json_bytes(_campaign(folder.name, lines, sources, by_name)))
        key = [{"line": each.line, "systems": each.systems} for each in items]
        content = {"format": 1, "kind": kind, "test_set": sets[0], "baseline": names[0], "items": key}
        files.write_json(unfinished / _KEY, content)
    reporter.info(f"{folder / _HTML}, {folder / _TSV}: {len(items)} items to judge; do not show {folder / _KEY}")
    reporter.info(f"next: {command_line('nmt', 'compare', '--sheet', folder, '--returned', 'NAME.tsv')}")


def analyse_sheets(folder: Path, returned: Sequence[Path]) -> HumanEvaluation:
    """Analyse sheets that annotators have filled in; the name of each file is that of its annotator.

    Raises:
        DataError: A file is not a sheet of this folder, or a judgement is not one of the values asked for.
    """
    key = files.read_json(folder / _KEY)
    try:
        kind, items, baseline = key["kind"], key["items"], key["baseline"]
        shown = [(int(each["line"]), tuple(each["systems"])) for each in items]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / _KEY}: is not the key of a sheet") from error
    if kind not in get_args(JudgementKind):
        raise DataError(f"{folder / _KEY}: unknown kind of judgement")
    num_shown = len(_COLUMNS[kind])
    is_valid = all(len(systems) == num_shown and all(isinstance(name, str) for name in systems) for _, systems in shown)
    if not is_valid or not isinstance(baseline, str):
        raise DataError(f"{folder / _KEY}: is not the key of a sheet")
    if len({path.stem for path in returned}) < len(returned):
        raise RecipeError("--returned: two sheets have the same name; name each file after its annotator")
    judgements = [each for path in returned for each in _read(path, kind, shown)]
    if not judgements:
        raise DataError(f"{returned[0]}: has no judgements in its last column")
    return analyse_judgements(kind, judgements, baseline)


def as_json(result: HumanEvaluation) -> dict[str, Any]:
    """Return the analysis as plain data."""
    return asdict(result)


def _items(
    kind: JudgementKind, lines: Sequence[int], sources: Sequence[str], by_name: dict[str, list[str]], rng: random.Random
) -> Iterator[_Item]:
    first, *others = by_name
    for line in lines:
        groups = [(name,) for name in by_name] if kind == "direct" else [(first, other) for other in others]
        for group in groups:
            systems = tuple(rng.sample(group, len(group)))
            yield _Item(line + 1, sources[line], systems, tuple(by_name[name][line] for name in systems))


def _as_tsv(kind: JudgementKind, items: Sequence[_Item]) -> str:
    rows = [["item", "source", *_COLUMNS[kind], "judgement"]]
    rows += [[str(number), each.source, *each.translations, ""] for number, each in enumerate(items, 1)]
    return "".join("\t".join(cell.replace("\t", " ") for cell in row) + "\n" for row in rows)


def _campaign(name: str, lines: Sequence[int], sources: Sequence[str], by_name: dict[str, list[str]]) -> dict[str, Any]:
    """Return a campaign of direct assessment for one annotator of Pearmut, which shuffles the systems itself."""
    documents = []
    for line in lines:
        translations = {name: texts[line] for name, texts in by_name.items()}
        documents.append([{"src": sources[line], "tgt": translations, "item_id": str(line + 1)}])
    info = {"assignment": "task-based", "protocol": "DA", "shuffle": True}
    return {"info": info, "campaign_id": name, "data": [documents]}


def _read(path: Path, kind: JudgementKind, shown: Sequence[tuple[int, tuple[str, ...]]]) -> Iterator[Judgement]:
    for number, row in enumerate(read_lines(path), 1):
        cells = row.rstrip("\r").split("\t")
        item, value = cells[0].strip(), cells[-1].strip()
        if number == 1 or not value or len(cells) < 2:
            continue
        if not item.isdecimal() or len(item) > _MAX_DIGITS or not 1 <= int(item) <= len(shown):
            raise DataError(f"{path}: line {number}: {item or 'the first column'} is not an item of the sheet")
        try:
            judged = float(value.replace(",", "."))
        except ValueError:
            judged = -1.0
        if not 0 <= judged <= _MAX_VALUES[kind] or (kind == "preference" and not judged.is_integer()):
            raise DataError(f"{path}: line {number}: {value} is not a judgement. {_HINTS[kind]}")
        line, systems = shown[int(item) - 1]
        yield Judgement(path.stem, item, line, systems, judged)
