"""The lines of monolingual text that are worth translating."""

import random
from pathlib import Path

import pytest
from minimal_recipe import MINIMAL_RECIPE

from nmt_cli.data.preparation import text_selection
from nmt_cli.data.preparation.text_selection import select_lines
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import Data


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    monkeypatch.chdir(tmp_path)
    sets = {"source": "held.en", "target": "held.de"}
    Path("held.en").write_text("never\n")
    Path("held.de").write_text("".join(f"Satz Nummer {'x' * number}\n" for number in range(200)))
    filters = [{"type": "length", "min": 2, "max": 40}, {"type": "ratio"}, {"type": "identical"}]
    given = {**MINIMAL_RECIPE["data"], "filters": filters, "valid": {}, "test": {"held": sets}}
    given["valid"] = {"v": {"source": "empty", "target": "empty"}}
    Path("empty").write_text("")
    return Data.model_validate(given)


def select(data: Data, lines: list[str], *more: list[str]) -> tuple[list[str], text_selection.LineStats]:
    paths = [Path(f"mono{number}") for number in range(1 + len(more))]
    for path, some in zip(paths, (lines, *more), strict=True):
        path.write_bytes("".join(f"{line}\n" for line in some).encode(errors="surrogateescape"))
    stats = select_lines(paths, data.target_language, data, "whitespace", Path("selected"))
    return Path("selected").read_text().split("\n")[:-1], stats


def test_selection_equals_a_plain_loop(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_selection, "_CHUNK_LINES", 7)
    rng = random.Random(1)
    held_out = Path("held.de").read_text().split("\n")[:3]
    pool = ["", "  ", "a", "x" * 41, *held_out, held_out[0].upper() + "!", *(f"Zeile {i % 9}" for i in range(20))]
    lines = [rng.choice(["", " "]) + rng.choice(pool) for _ in range(300)]

    expected, known = [], set[str]()
    for line in lines:
        text = " ".join(line.split())
        letters = "".join(filter(str.isalpha, text.casefold()))
        is_held_out = letters in {"".join(filter(str.isalpha, each.casefold())) for each in held_out}
        if 2 <= len(text) <= 40 and not is_held_out and text not in known:
            known.add(text)
            expected.append(line)
    found, stats = select(data, lines[:100], lines[100:])

    assert found == expected
    assert (stats.num_read, stats.num_kept) == (300, len(expected))
    assert stats.drops.counts.total() == 300 - len(expected)


def test_few_lines_of_a_set_are_dropped_and_many_are_refused(data: Data) -> None:
    held_out = Path("held.de").read_text().split("\n")

    assert select(data, [*held_out[:20], "anderes"])[0] == ["anderes"]
    with pytest.raises(DataError, match=r"21 of the 200 .*test/held"):
        select(data, held_out[:21])


def test_line_of_the_other_language_may_be_translated(data: Data) -> None:
    assert select(data, ["never"])[0] == ["never"]


def test_invalid_utf_8_stops_or_is_dropped(data: Data) -> None:
    lines = ["eins eins", "zw\udce4i", "drei drei"]

    with pytest.raises(DataError, match="mono0: line 2"):
        select(data, lines)
    found, stats = select(data.model_copy(update={"on_error": "skip"}), lines)
    assert (found, stats.drops.counts["not_utf8"]) == (["eins eins", "drei drei"], 1)
