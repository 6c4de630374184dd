"""Input in each form becomes requests, and what is wrong is named by its line."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.commands.translating.requests import RequestOptions, factor_files, read_requests
from nmt_cli.decoding.requests import Request
from nmt_cli.errors import DataError, RecipeError

JSON = RequestOptions("jsonl")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])), st.lists
)


def read(lines: list[str], options: RequestOptions, first: int = 1) -> list[Request]:
    return list(read_requests(lines, "input", first, options))


@settings(max_examples=15)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES), st.text(max_size=5))
def test_other_keys_are_kept(extra: dict[str, object], source: str) -> None:
    extra = {key: extra[key] for key in extra if key not in ("source", "prefix", "required", "forbidden", "factors")}
    source = source.encode(errors="replace").decode()

    assert read([json.dumps({"source": source, **extra})], JSON) == [Request(source, extra=extra)]


def test_wishes_are_read() -> None:
    line = '{"source": "a\\nb", "prefix": "P", "required": ["r", "s"], "forbidden": ["f"], "id": "x"}'

    assert read([line], JSON) == [Request("a\nb", "P", ("r", "s"), ("f",), extra={"id": "x"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "is not JSON"),
        ("plain text", "is not JSON"),
        ('{"source": "\\ud800"}', "is not JSON in UTF-8"),
        ('{"source": "a", "x": NaN}', "NaN is no number"),
        ("[" * 100_000, "is not JSON"),
        ('"text"', 'no object with a text "source"'),
        ('{"text": "a"}', 'no object with a text "source"'),
        ('{"source": 1}', 'no object with a text "source"'),
        ('{"source": "a", "prefix": "b\\nc"}', "prefix: is no text on one line"),
        ('{"source": "a", "prefix": null}', "prefix: is no text"),
        ('{"source": "a", "required": "b"}', "required: is no list of texts"),
        ('{"source": "a", "forbidden": [1]}', "forbidden: is no list of texts"),
        ('{"source": "a", "factors": ["N"]}', "factors: is no object of texts"),
        ('{"source": "a", "factors": {"pos": 1}}', "factors: is no object of texts"),
    ],
)
def test_a_bad_line_is_named(line: str, message: str) -> None:
    with pytest.raises(DataError, match=r"^input: line 8: ") as error:
        read(['{"source": "good"}', line], JSON, first=7)

    assert message in str(error.value)


def test_line_n_of_a_file_begins_translation_n(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_bytes(b"one\n\nthree \n")

    assert [each.prefix for each in read(["a", "b", "c"], RequestOptions(prefixes=path))] == ["one", "", "three "]
    assert [each.prefix for each in read(["c"], RequestOptions(prefixes=path), first=3)] == ["three "]
    with pytest.raises(DataError, match="has 3 lines, but input has more"):
        read(["a", "b", "c", "d"], RequestOptions(prefixes=path))


def test_a_line_has_one_prefix(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_bytes(b"one\n")

    with pytest.raises(DataError, match="line 1: has a prefix of its own"):
        read(['{"source": "a", "prefix": "b"}'], RequestOptions("jsonl", path))


def test_factors_of_objects_and_of_files_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "pos").write_text("A B\nC\n\n")
    (tmp_path / "case").write_text("up low\nlow\n\n")
    files = RequestOptions(factors=factor_files([f"pos={tmp_path / 'pos'}", f"case={tmp_path / 'case'}"]))
    expected = [Request("c", factors={"pos": "C", "case": "low"}), Request("", factors={"pos": "", "case": ""})]

    assert read(["c", ""], files, first=2) == expected
    assert (
        read([json.dumps({"source": each.text, "factors": dict(each.factors)}) for each in expected], JSON) == expected
    )


def test_factors_come_from_one_place_and_for_every_line(tmp_path: Path) -> None:
    (tmp_path / "pos").write_text("A\n")
    given = {"pos": tmp_path / "pos"}

    with pytest.raises(DataError, match=r"pos: has 1 lines, but input has more; line n has the pos of line n"):
        read(["a", "b"], RequestOptions(factors=given))
    with pytest.raises(DataError, match="input: line 1: has factors of its own"):
        read(['{"source": "a", "factors": {"pos": "B"}}'], RequestOptions("jsonl", factors=given))


@pytest.mark.parametrize("given", [["pos"], ["=file"], ["pos="], ["pos=a", "pos=b"]])
def test_files_of_factors_have_names(given: list[str]) -> None:
    with pytest.raises(RecipeError, match="--factors"):
        factor_files(given)
