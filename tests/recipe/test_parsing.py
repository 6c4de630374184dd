"""YAML 1.2, and files that are not recipes."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.loading.parsing import Location, RecipeIssue, parse, parse_scalar, read_document

ErrorsOf = Callable[..., list[str]]


@pytest.mark.parametrize("text", ["no", "on", "off", "yes", "y", "NO", "1:30", "1_000", "2016-01-01", "1.10.3", "0b1"])
def test_yaml_1_1_literals_are_text(text: str) -> None:
    assert parse_scalar(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1e4", 1e4),
        ("1.e-4", 1e-4),
        (".5", 0.5),
        ("1.10", 1.1),
        ("-1E+2", -100.0),
        ("-.inf", float("-inf")),
    ],
)
def test_parse_scalar_reads_floats(text: str, value: float) -> None:
    found = parse_scalar(text)
    assert isinstance(found, float)
    assert found == value


@pytest.mark.parametrize(("text", "value"), [("010", 10), ("0x10", 16), ("0o10", 8), ("-3", -3), ("+3", 3)])
def test_leading_zero_does_not_change_the_base(text: str, value: int) -> None:
    assert parse_scalar(text) == value


@pytest.mark.parametrize(("text", "value"), [("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None)])
def test_parse_scalar_reads_booleans_and_null(text: str, value: Any) -> None:
    assert parse_scalar(text) is value


def test_number_with_many_digits_is_infinite() -> None:
    assert parse_scalar("1" * 100_000) == float("inf")


def test_keys_are_always_text() -> None:
    document = parse("2016: a\nno: b\n1.10: c\ntrue: d\n", Location("f", 1, 1))
    assert document.values == {"2016": "a", "no": "b", "1.10": "c", "true": "d"}


def test_every_value_has_a_location() -> None:
    document = parse("a:\n  b: [x, y]\n", Location("f", 1, 1))
    assert str(document.location(("a", "b"))) == "f:2:3"
    assert str(document.location(("a", "b", 1))) == "f:2:10"
    assert str(document.location(("a", "b", 1, "unknown"))) == "f:2:10"
    assert str(document.location(("a", "unknown"))) == "f:1:1"


def test_list_items_have_locations_and_one_based_names() -> None:
    document = parse("a:\n  - {b: 1}\n  - c: 2\n    b: 3\n", Location("f", 1, 1))
    assert str(document.location(("a", 0, "b"))) == "f:2:6"
    assert str(document.location(("a", 1))) == "f:3:5"
    assert str(document.location(("a", 1, "b"))) == "f:4:5"
    assert document.value(("a", 1, "b")) == 3
    assert document.value(("a", 2, "b")) is document.value(("a", 1, "b", 0)) is None
    assert str(RecipeIssue(document.location(("a", 1)), ("a", 1, "b"), "is wrong")) == "f:3:5: a.2.b: is wrong"


def test_duplicate_key_is_reported_with_both_lines() -> None:
    document = parse("a: 1\nb: {c: 1, c: 2}\na: 2\n", Location("f", 1, 1))
    assert [str(error) for error in document.issues] == [
        "f:2:11: b.c: is given twice; the first is on line 2",
        "f:3:1: a: is given twice; the first is on line 1",
    ]
    assert document.values == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize("text", [b"\xef\xbb\xbfrun: x\n", b"run: x\r\n", b"---\nrun: x\n...\n", b"# first\nrun: x"])
def test_byte_order_mark_and_crlf_are_accepted(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(text)
    assert read_document(path).values == {"run": "x"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "r.yaml:1:1: is empty; a recipe needs at least run, data and model"),
        (b"# nothing\n", "r.yaml:1:1: is empty; a recipe needs at least run, data and model"),
        (b"\n- a\n- b\n", "r.yaml:2:1: is a list, but a recipe consists of settings such as `run: runs/first`"),
        (b"hello\n", "r.yaml:1:1: is text, but a recipe consists of settings such as `run: runs/first`"),
        (b"a: 1\n---\nb: 2\n", "r.yaml:2:1: begins a second document; a recipe has only one"),
        (b"a:\n\tb: 1\n", "r.yaml:2:1: is indented with a tab; use spaces"),
        (b"a: \x07\n", "r.yaml:1:4: has a character that is not allowed in YAML: U+0007"),
        (b"a: 1\nb: \xff\n", "r.yaml:2: is not UTF-8 text; convert the file to UTF-8"),
        ("a: 1\n".encode("utf-16"), "r.yaml:1: is not UTF-8 text; convert the file to UTF-8"),
        (b"a: &x 1\nb: *x\n", "r.yaml:1:4: recipes do not support & and *; write the value out"),
        (b"a: *x\n", "r.yaml:1:4: recipes do not support & and *; write the value out"),
        (b"a: !!float 1\n", "r.yaml:1:4: recipes do not support tags (!)"),
    ],
)
def test_other_content_is_reported_with_location(content: bytes, message: str, errors_of: ErrorsOf) -> None:
    assert errors_of(content) == [message]


@pytest.mark.parametrize("text", ["a: b: c", "{a: 1", "a: 'x", "a: 1\n b: 2", "a: [1, 2", "a\nb: 1", "]", "%"])
def test_invalid_yaml_is_one_line_with_location(text: str, errors_of: ErrorsOf) -> None:
    (error,) = errors_of(text)
    assert error.startswith("r.yaml:")
    assert int(error.split(":")[1]) <= 2


def test_yaml_tag_does_not_run_code(tmp_path: Path, errors_of: ErrorsOf) -> None:
    canary = tmp_path / "canary"
    (error,) = errors_of(f"run: !!python/object/apply:os.system ['touch {canary}']\n")
    assert error.startswith("r.yaml:1:6: ")
    assert not canary.exists()


@pytest.mark.parametrize(
    "text",
    ["[" * 90_000, "- " * 40_000, "{a: " * 20_000, "x" * 50_000_000, "a: &a [x, x]\n" + "b: &b [*a, *a, *a]\n" * 4_000],
    ids=["brackets", "dashes", "braces", "50 MB", "aliases"],
)
def test_hostile_files_are_refused_quickly(text: str, errors_of: ErrorsOf) -> None:
    started = time.process_time()
    (error,) = errors_of(text)
    assert len(error) < 200
    assert time.process_time() - started < 2


def test_missing_recipe_is_named() -> None:
    with pytest.raises(RecipeError, match=r"^no/such\.yaml: "):
        load_recipe(Path("no/such.yaml"))


def test_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=f"^{tmp_path}: "):
        load_recipe(tmp_path)


def test_impossible_file_name_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^'a\\x00b': "):
        load_recipe(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.touch(mode=0)
    with pytest.raises(RecipeError, match=r"secret\.yaml: "):
        load_recipe(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('run: "\\UFFFFFFFF"', 1),
        ('seed: 1\nrun: "\\U00110000"', 2),
        (f"%YAML 1.{'1' * 5000}\n---\nrun: x", 1),
        (f"%YAML {'1' * 5000}.1\n---\nrun: x", 1),
        (f"run: |{'9' * 5000}\n x", 1),
        ("run: " + "[" * 5000, 1),
        ("? " * 5000, 1),
        ("- " * 5000, 1),
    ],
)
def test_what_the_parser_cannot_convert_is_an_error_with_its_line(text: str, line: int) -> None:
    with pytest.raises(RecipeError, match=rf"^r\.yaml:{line}:\d+: "):
        parse(text, Location("r.yaml", 1, 1))
