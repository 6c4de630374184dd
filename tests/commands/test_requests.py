"""Parsing of input lines, and errors that name the line."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.commands.translating.request_reader import InputOptions, parse_factor_files, read_requests
from nmt_cli.decoding.constraints.builder import TermUse
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.results import OUTPUT_KEYS, TranslatedText, Translation, format_jsonl
from nmt_cli.decoding.scoring.annotation import Annotation
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.text.checks import TranslationFinding

JSON = InputOptions("jsonl")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    st.lists,
    max_leaves=3,
)


def read(lines: list[str], options: InputOptions, first_line: int = 1) -> list[Request]:
    return list(read_requests(lines, "input", first_line, options))


@settings(max_examples=15)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=3), st.text(max_size=5))
def test_read_requests_keeps_other_json_keys(extra: dict[str, object], source: str) -> None:
    used = {"source", "prefix", "required", "forbidden", "factors", *OUTPUT_KEYS}
    extra = {key: extra[key] for key in extra if key not in used}
    source = source.encode(errors="replace").decode()

    [request] = read([json.dumps({"source": source, **extra})], JSON)
    assert request == Request(source, extra={key: json.dumps(value) for key, value in extra.items()})


NUMBERS = ["1.10", "1e400", "-0.0", "1E+2", "9" * 5000, '[1.0, {"a":  2.50}]', '"\\u00e4\\/"', "null", '"\\ud800"']


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("key", ["id", "price"])
def test_foreign_values_come_out_as_they_were_written(value: str, key: str) -> None:
    [request] = read([f'{{ "source" : "a",\t"{key}" :{value} , "x":1 }}'], JSON)
    translated = Translation("a", (TranslatedText("b", -1.0, -0.5),), extra=request.extra)
    line = format_jsonl(7, translated)
    assert f'"{key}": {value}' in line
    assert (
        list(json.loads(line.replace("9" * 5000, "9")))[:3]
        == ["id", key, "x"][key == "id" :] + ["source"][: key == "id"]
    )


def test_keys_of_an_earlier_translation_are_not_copied() -> None:
    link = Annotation(alignment=((0, 0),), word_scores=(-0.5,))
    uses = (TermUse("a", ("b",), True),)
    problems = (TranslationFinding("loop", "b b b"),)
    best = TranslatedText("b", -1.0, -0.5, link)
    full = Translation("a", (best, best), problems=problems, terms=uses, extra={"id": "5", "note": '"kept"'})
    keys = json.loads(format_jsonl(0, full)).keys() - {"id", "note"}
    assert keys <= OUTPUT_KEYS
    line = json.dumps({**json.loads(format_jsonl(0, full)), **dict.fromkeys(OUTPUT_KEYS - keys), "source": "c"})
    assert read([line], JSON) == [Request("c", extra={"id": "5", "note": '"kept"'})]


def test_blank_lines_are_blank_texts() -> None:
    assert read(["", '{"source": "a"}', " \t"], JSON) == [Request(""), Request("a"), Request("")]


@pytest.mark.parametrize("line", ["[", '[{"source": "a"}]', "{"])
def test_json_of_another_form_is_named_with_the_command(line: str) -> None:
    with pytest.raises(DataError, match=r"^input: line 1: .*jq"):
        read([line], JSON)


def test_read_requests_parses_constraints() -> None:
    line = '{"source": "a\\nb", "prefix": "P", "required": ["r", "s"], "forbidden": ["f"], "id": "x"}'

    assert read([line], JSON) == [Request("a\nb", "P", ("r", "s"), ("f",), extra={"id": '"x"'})]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("plain text", ""),
        ('{"source": "a"', ""),
        ('{"source": "a",}', ""),
        ('{"source": "a"} {}', ""),
        ('{"source": "a", "x"}', ""),
        ('{source: "a"}', ""),
        ('{"source": "a", "\\ud800": 1}', ""),
        ('{"source": "a", "required": ["\\ud800"]}', "required: "),
        ('{"source": "\\ud800"}', ""),
        ('{"source": "a", "x": NaN}', ""),
        ("[" * 100_000, ""),
        ('"text"', ""),
        ('{"text": "a"}', ""),
        ('{"source": 1}', ""),
        ('{"source": "a", "prefix": "b\\nc"}', "prefix: "),
        ('{"source": "a", "prefix": null}', "prefix: "),
        ('{"source": "a", "required": "b"}', "required: "),
        ('{"source": "a", "forbidden": [1]}', "forbidden: "),
        ('{"source": "a", "forbidden": ["b*", "x*y"]}', r"forbidden: 'x\*y'"),
        ('{"source": "a", "required": ["x y"], "forbidden": ["y"]}', ".*'x y'"),
        ('{"source": "a", "factors": ["N"]}', "factors: "),
        ('{"source": "a", "factors": {"pos": 1}}', "factors: "),
    ],
)
def test_read_requests_names_line_and_key_of_an_error(line: str, key: str) -> None:
    with pytest.raises(DataError, match=rf"^input: line 8: {key}"):
        read(['{"source": "good"}', line], JSON, first_line=7)


def test_read_requests_adds_prefixes_by_line(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_bytes(b"one\n\nthree \n")

    assert [each.prefix for each in read(["a", "b", "c"], InputOptions(prefixes=path))] == ["one", "", "three "]
    assert [each.prefix for each in read(["c"], InputOptions(prefixes=path), first_line=3)] == ["three "]
    with pytest.raises(DataError, match=r"prefixes: .*3"):
        read(["a", "b", "c", "d"], InputOptions(prefixes=path))


def test_read_requests_rejects_two_prefixes(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_bytes(b"one\n")

    with pytest.raises(DataError, match=r"^input: line 1: "):
        read(['{"source": "a", "prefix": "b"}'], InputOptions("jsonl", path))


def test_read_requests_adds_factors_from_objects_and_files(tmp_path: Path) -> None:
    (tmp_path / "pos").write_text("A B\nC\n\n")
    (tmp_path / "case").write_text("up low\nlow\n\n")
    files = InputOptions(factors=parse_factor_files([f"pos={tmp_path / 'pos'}", f"case={tmp_path / 'case'}"]))
    expected = [Request("c", factors={"pos": "C", "case": "low"}), Request("", factors={"pos": "", "case": ""})]

    assert read(["c", ""], files, first_line=2) == expected
    assert (
        read([json.dumps({"source": each.text, "factors": dict(each.factors)}) for each in expected], JSON) == expected
    )


def test_read_requests_rejects_missing_and_repeated_factors(tmp_path: Path) -> None:
    (tmp_path / "pos").write_text("A\n")
    given = {"pos": tmp_path / "pos"}

    with pytest.raises(DataError, match=r"pos: .*1"):
        read(["a", "b"], InputOptions(factors=given))
    with pytest.raises(DataError, match=r"^input: line 1: "):
        read(['{"source": "a", "factors": {"pos": "B"}}'], InputOptions("jsonl", factors=given))


@pytest.mark.parametrize("given", [["pos"], ["=file"], ["pos="], ["pos=a", "pos=b"]])
def test_parse_factor_files_requires_unique_names(given: list[str]) -> None:
    with pytest.raises(RecipeError, match="--factors"):
        parse_factor_files(given)
