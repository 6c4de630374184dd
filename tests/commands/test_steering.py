"""`nmt translate` with a glossary, prefixes, constraints and annotations, on a real model."""

import json
from pathlib import Path
from typing import Any

import pytest
from toy_model import save_toy_model

from nmt_cli.commands.translate import translate
from nmt_cli.commands.translating.request_reader import DEFAULT_INPUT_OPTIONS, InputOptions
from nmt_cli.decoding.constraints.glossary import read_glossary
from nmt_cli.decoding.requests import TranslateOptions

LINES = ["one two three", "", "four one", "Two five two"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model."""
    return save_toy_model(tmp_path_factory.mktemp("toy"), beam_size=3, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of input and output."""
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in LINES))
    return tmp_path


def translated(
    model: Path, folder: Path, input_options: InputOptions = DEFAULT_INPUT_OPTIONS, **options: Any
) -> list[Any]:
    """Translate, and return the JSON output."""
    (folder / "out").unlink(missing_ok=True)
    command_options = TranslateOptions((model,), **options)
    translate(command_options, folder / "in", folder / "out", "jsonl", input_options=input_options)
    return [json.loads(line) for line in (folder / "out").read_text().split("\n")[:-1]]


def test_translate_uses_hard_terms(model: Path, folder: Path) -> None:
    (folder / "glossary").write_text("one\tten ten\ntwo\tsix\n")

    found = translated(model, folder, glossary=read_glossary(folder / "glossary"), glossary_mode="hard")

    assert "ten ten" in found[0]["hypothesis"] and "six" in found[0]["hypothesis"].split()
    assert found[1]["hypothesis"] == "" and "terms" not in found[1]
    assert all(term["used"] for record in found for term in record.get("terms", []))


def test_translate_starts_lines_with_their_prefixes(model: Path, folder: Path) -> None:
    (folder / "prefixes").write_text("seven eig\nnine\n\nten \n")

    found = translated(model, folder, InputOptions(prefixes=folder / "prefixes"))

    assert found[0]["hypothesis"].startswith("seven eig")
    assert found[1]["hypothesis"] == ""
    assert found[3]["hypothesis"].startswith("ten")


def test_translate_reads_constraints_from_json(model: Path, folder: Path) -> None:
    lines = [{"source": "one", "required": ["nine nine"], "document": 7}, {"source": "two", "prefix": "six", "id": "b"}]
    (folder / "in").write_text("".join(json.dumps(line) + "\n" for line in lines))

    first, second = translated(model, folder, InputOptions("jsonl"))

    assert "nine nine" in first["hypothesis"] and (first["id"], first["document"]) == (0, 7)
    assert second["hypothesis"].startswith("six") and second["id"] == "b"


def test_translate_aligns_and_scores_words(model: Path, folder: Path) -> None:
    for record in translated(model, folder, alignment=True, word_scores=True):
        words = len(record["hypothesis"].split())
        assert len(record["word_scores"]) == words + 1
        assert [target for _, target in record["alignment"]] == list(range(words))
        assert all(source < len(record["source"].split()) for source, _ in record["alignment"])
        *of_words, of_end = record["word_scores"]
        whole = [pytest.approx(sum(of_words) + end, abs=1e-3) for end in (of_end, 0)]  # it may have been truncated
        assert record["log_probability"] in whole
