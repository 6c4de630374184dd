"""Reading all text of a recipe; unreadable files are findings."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt_cli.data.checking import DataFinding
from nmt_cli.data.checking.sampling import Pair
from nmt_cli.data.checking.texts import LeakDetector, TextSamples, read_texts
from nmt_cli.recipe.data import Data
from nmt_cli.recipe.filters import Filter, OverlapFilter

Make = Callable[..., list[Pair]]
SHARED = Path(__file__).parents[4] / "shared" / "data"


def read(folder: Path, **changes: Any) -> TextSamples:
    def sides(name: str) -> dict[str, str]:
        return {"source": str(folder / f"{name}.en"), "target": str(folder / f"{name}.de")}

    languages = {"source_language": "en", "target_language": "de", "prepared": str(folder / "prepared")}
    corpora = {"train": {"news": sides("train")}, "valid": {"dev": sides("valid")}, "test": {"test": sides("test")}}
    return read_texts(Data.model_validate({**languages, **corpora, **changes}))


@pytest.fixture
def folder(pairs: Make, tmp_path: Path) -> Path:
    """Three sets without a pair in common."""
    everything = pairs(1000)
    for name, chosen in {"train": everything[:800], "valid": everything[800:900], "test": everything[900:]}.items():
        for side, code in enumerate(("en", "de")):
            (tmp_path / f"{name}.{code}").write_text("".join(f"{pair[side]}\n" for pair in chosen))
    return tmp_path


def reported(texts: TextSamples) -> list[tuple[str, str, str]]:
    return [(found.level, found.check, found.where) for found in texts.findings]


def test_good_text_is_counted_and_has_no_findings(folder: Path) -> None:
    texts = read(folder)
    assert not texts.findings
    counts = {corpus.name: corpus.num_pairs for corpus in [*texts.train, *texts.held_out]}
    assert counts == {"data.train.news": 800, "data.valid.dev": 100, "data.test.test": 100}


def test_all_unreadable_files_are_reported(folder: Path) -> None:
    (folder / "valid.de").unlink()
    with (folder / "train.en").open("a") as file:
        file.write("one more\n")
    texts = read(folder)
    assert reported(texts) == [("error", "files", "data.valid.dev"), ("error", "files", "data.train.news")]
    assert "valid.de: " in texts.findings[0].message
    assert "801" in texts.findings[1].message
    assert "800" in texts.findings[1].message


def test_skipped_records_are_counted(folder: Path) -> None:
    for name in ("train", "valid"):
        lines = (folder / f"{name}.de").read_bytes().split(b"\n")
        lines[3:5] = [b"Stra\xdfe", b"Stra\xdfe"]
        (folder / f"{name}.de").write_bytes(b"\n".join(lines))
    texts = read(folder, on_error="skip")
    assert reported(texts) == [("warning", "files", "data.valid.dev"), ("warning", "files", "data.train.news")]
    assert all(re.search(r"^2 .*UTF-8", found.message) for found in texts.findings)
    assert [corpus.num_pairs for corpus in texts.train] == [798]


def test_invalid_utf8_is_reported(folder: Path) -> None:
    (folder / "test.de").write_bytes(b"Stra\xdfe\n" * 100)
    texts = read(folder)
    assert reported(texts) == [("error", "files", "data.test.test")]
    assert re.search(r"test\.de: line 1: .*UTF-8", texts.findings[0].message)


def test_other_formats_are_read(folder: Path, pairs: Make) -> None:
    table = folder / "table"
    table.write_bytes(gzip.compress("".join(f"{e}\t{d}\n" for e, d in pairs(100)).encode()))
    texts = read(folder, train={"table": {"format": "tsv", "file": str(table)}})
    assert [corpus.num_pairs for corpus in texts.train] == [100]


def test_languages_of_a_corpus_override_the_default(folder: Path) -> None:
    swapped = {"source": str(folder / "train.de"), "target": str(folder / "train.en")}
    assert [found.check for found in read(folder, train={"news": swapped}).findings] == ["languages"]
    named = {**swapped, "source_language": "de", "target_language": "en"}
    assert not read(folder, train={"news": named}, language_tags=True).findings


def test_leak_is_reported(folder: Path) -> None:
    (folder / "test.en").write_bytes((folder / "valid.en").read_bytes())
    (folder / "test.de").write_bytes((folder / "valid.de").read_bytes())
    sides = {"source": str(folder / "valid.en"), "target": str(folder / "valid.de")}
    texts = read(folder, train={"news": sides}, filters=[])
    assert reported(texts) == [("warning", "leaks", "data.valid.dev"), ("warning", "leaks", "data.test.test")]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpora are not here")
@pytest.mark.parametrize("languages", [("en", "de"), ("en", "fr"), ("de", "fr"), ("fr", "en")])
def test_real_text_has_no_findings(languages: tuple[str, str], tmp_path: Path) -> None:
    def sides(name: str) -> dict[str, str]:
        files = (str(SHARED / "multi30k" / f"{name}.{code}.gz") for code in languages)
        return dict(zip(("source", "target"), files, strict=True))

    codes = dict(zip(("source_language", "target_language"), languages, strict=True))
    corpora = {"train": {"m": sides("train")}, "valid": {"m": sides("val")}, "test": {"m": sides("test_2016_flickr")}}
    assert not [found for found in read(tmp_path, **codes, **corpora).findings if found.level != "fact"]


def leaks(train: list[Pair], test: list[Pair], *filters: Filter) -> list[DataFinding]:
    detector = LeakDetector({"data.test.news": test})
    assert list(detector.watch(train)) == train
    return detector.findings(filters)


def test_disjoint_sets_have_no_findings(pairs: Make) -> None:
    both = pairs(300)
    assert not leaks(both[:200], both[200:])


def test_leak_without_filter_is_a_warning(pairs: Make) -> None:
    both = pairs(300)
    (leak,) = leaks(both[:220], both[200:])
    assert leak.level == "warning"
    assert re.search(r"20 % .*pairs \(20\)", leak.message)


def test_leak_is_found_despite_other_spaces(pairs: Make) -> None:
    ((source, target),) = pairs(1)
    (leak,) = leaks([(f" {source}", target.replace(" ", "  "))], [(source, target)])
    assert leak.level == "warning"


def test_removed_leak_is_a_fact(pairs: Make) -> None:
    both = pairs(300)
    (fact,) = leaks(both[:205], both[200:], OverlapFilter(compare="either"))
    assert fact.level == "fact"
    assert fact.message.startswith("5 ")


def test_refused_leak_is_an_error(pairs: Make) -> None:
    both = pairs(300)
    assert [leak.level for leak in leaks(both[:201], both[200:], OverlapFilter(action="refuse"))] == ["error"]


@pytest.mark.parametrize(
    ("compare", "is_reported"), [("pair", True), ("source", False), ("target", True), ("either", False)]
)
def test_known_sources_are_reported_unless_removed(compare: str, is_reported: bool, pairs: Make) -> None:
    both = pairs(300)
    paraphrased = [(source, f"{target}!") for source, target in both[200:250]]
    reported = leaks([*both[:200], *paraphrased], both[200:], OverlapFilter.model_validate({"compare": compare}))
    assert bool(reported) == is_reported
    assert all(re.search(r"50 % .*sources \(50\)", leak.message) for leak in reported)


def test_leak_of_any_reference_is_found(pairs: Make) -> None:
    ((source, target),) = pairs(1)
    assert leaks([(source, target)], [(source, "another"), (source, target)])


def test_documents_are_checked_for_leaks_and_none(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n\n".join(f"Document {n}." for n in range(40)))
    (tmp_path / "dev.txt").write_text("\n\n".join(f"Document  {n}." for n in range(35, 45)))
    (tmp_path / "none.txt").write_text("\n \n")
    train, *valid = ({"format": "text", "file": str(tmp_path / f"{name}.txt")} for name in ("train", "dev", "none"))
    data = {"target_language": "en", "prepared": "prepared", "train": {"t": train}}
    data["valid"] = dict(zip(("dev", "none"), valid, strict=True))
    texts = read_texts(Data.model_validate(data))
    assert reported(texts) == [("error", "files", "data.valid.none"), ("warning", "leaks", "data.valid.dev")]
    assert re.search(r"50 % of the documents \(5\)", texts.findings[1].message)
    filtered = read_texts(Data.model_validate({**data, "filters": [{"type": "overlap"}]}))
    assert reported(filtered) == [("error", "files", "data.valid.none"), ("fact", "leaks", "data.filters")]
