"""All text of a recipe is read once, whatever its format; what cannot be read is told with all the rest."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt_cli.data.checking.sampling import Pair
from nmt_cli.data.checking.texts import Texts, read_texts
from nmt_cli.recipe.data import Data

Make = Callable[..., list[Pair]]
SHARED = Path(__file__).parents[4] / "shared" / "data"


def read(folder: Path, **changes: Any) -> Texts:
    def sides(name: str) -> dict[str, str]:
        return {"source": str(folder / f"{name}.en"), "target": str(folder / f"{name}.de")}

    told = {"source_language": "en", "target_language": "de", "prepared": str(folder / "prepared")}
    corpora = {"train": {"news": sides("train")}, "valid": {"dev": sides("valid")}, "test": {"test": sides("test")}}
    return read_texts(Data.model_validate({**told, **corpora, **changes}))


@pytest.fixture
def folder(pairs: Make, tmp_path: Path) -> Path:
    """Three sets without a pair in common."""
    everything = pairs(1000)
    for name, chosen in {"train": everything[:800], "valid": everything[800:900], "test": everything[900:]}.items():
        for side, code in enumerate(("en", "de")):
            (tmp_path / f"{name}.{code}").write_text("".join(f"{pair[side]}\n" for pair in chosen))
    return tmp_path


def told(texts: Texts) -> list[tuple[str, str, str]]:
    return [(found.level, found.check, found.where) for found in texts.findings]


def test_good_text_is_counted_and_left_alone(folder: Path) -> None:
    texts = read(folder)
    assert not texts.findings
    counts = {corpus.name: corpus.read for corpus in [*texts.train, *texts.held_out]}
    assert counts == {"data.train.news": 800, "data.valid.dev": 100, "data.test.test": 100}


def test_files_that_are_missing_or_unequal_are_all_told(folder: Path) -> None:
    (folder / "valid.de").unlink()
    with (folder / "train.en").open("a") as file:
        file.write("one more\n")
    texts = read(folder)
    assert told(texts) == [("error", "files", "data.valid.dev"), ("error", "files", "data.train.news")]
    assert "does not exist" in texts.findings[0].what
    assert "801" in texts.findings[1].what
    assert "800" in texts.findings[1].what


def test_records_that_will_be_skipped_are_counted(folder: Path) -> None:
    for name in ("train", "valid"):
        lines = (folder / f"{name}.de").read_bytes().split(b"\n")
        lines[3:5] = [b"Stra\xdfe", b"Stra\xdfe"]
        (folder / f"{name}.de").write_bytes(b"\n".join(lines))
    texts = read(folder, on_error="skip")
    assert told(texts) == [("warning", "files", "data.valid.dev"), ("warning", "files", "data.train.news")]
    assert {found.what for found in texts.findings} == {"2 records: a line is not UTF-8"}
    assert [corpus.read for corpus in texts.train] == [798]


def test_text_that_is_not_utf8_is_told(folder: Path) -> None:
    (folder / "test.de").write_bytes(b"Stra\xdfe\n" * 100)
    texts = read(folder)
    assert told(texts) == [("error", "files", "data.test.test")]
    assert "is not UTF-8" in texts.findings[0].what


def test_other_formats_are_read_too(folder: Path, pairs: Make) -> None:
    table = folder / "table"
    table.write_bytes(gzip.compress("".join(f"{e}\t{d}\n" for e, d in pairs(100)).encode()))
    texts = read(folder, train={"table": {"format": "tsv", "file": str(table)}})
    assert [corpus.read for corpus in texts.train] == [100]


def test_a_corpus_has_the_languages_that_it_names(folder: Path) -> None:
    swapped = {"source": str(folder / "train.de"), "target": str(folder / "train.en")}
    assert [found.check for found in read(folder, train={"news": swapped}).findings] == ["languages"]
    named = {**swapped, "source_language": "de", "target_language": "en"}
    assert not read(folder, train={"news": named}, language_tags=True).findings


def test_a_leak_is_told(folder: Path) -> None:
    (folder / "test.en").write_bytes((folder / "valid.en").read_bytes())
    (folder / "test.de").write_bytes((folder / "valid.de").read_bytes())
    sides = {"source": str(folder / "valid.en"), "target": str(folder / "valid.de")}
    texts = read(folder, train={"news": sides}, filters=[])
    assert told(texts) == [("warning", "leaks", "data.valid.dev"), ("warning", "leaks", "data.test.test")]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpora are not here")
@pytest.mark.parametrize("languages", [("en", "de"), ("en", "fr"), ("de", "fr"), ("fr", "en")])
def test_real_text_is_left_alone(languages: tuple[str, str], tmp_path: Path) -> None:
    def sides(name: str) -> dict[str, str]:
        files = (str(SHARED / "multi30k" / f"{name}.{code}.gz") for code in languages)
        return dict(zip(("source", "target"), files, strict=True))

    source, target = languages
    told = {"source_language": source, "target_language": target}
    corpora = {"train": {"m": sides("train")}, "valid": {"m": sides("val")}, "test": {"m": sides("test_2016_flickr")}}
    assert not [found for found in read(tmp_path, **told, **corpora).findings if found.level != "fact"]
