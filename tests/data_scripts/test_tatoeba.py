"""Tatoeba, split by the hash of the English sentence."""

import gzip
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RunScript = Callable[..., CompletedProcess[str]]

AUTHORS = "CC-BY 2.0 (France) Attribution: tatoeba.org #1 & #2"


def export(size: int) -> str:
    """Return lines of an export; each English sentence has two translations, one with other capitalisation."""
    return "".join(
        f"Sentence {number}.\tSatz {number}.\t{AUTHORS}\nSENTENCE {number}.\tNoch ein Satz {number}.\t{AUTHORS}\n"
        for number in range(size)
    )


def lines(path: Path) -> list[str]:
    return path.read_bytes().decode().removesuffix("\n").split("\n")


def parts(folder: Path) -> dict[str, list[tuple[str, str]]]:
    return {
        part: list(zip(lines(folder / f"{part}.en"), lines(folder / f"{part}.de"), strict=True))
        for part in ("train", "valid", "test")
    }


def test_splits_are_disjoint_and_complete(run_script: RunScript, tmp_path: Path) -> None:
    (tmp_path / "deu.txt").write_text(export(500))
    result = run_script("tatoeba.py", "--from", "deu.txt", "--valid", "0.1", "--test", "0.2")
    assert (result.returncode, result.stderr) == (0, "")
    split = parts(tmp_path / "data" / "tatoeba-en-de")
    sentences = {part: {english.casefold() for english, _ in pairs} for part, pairs in split.items()}
    assert sum(map(len, sentences.values())) == len(set.union(*sentences.values())) == 500
    assert 25 < len(sentences["valid"]) < 80
    assert 60 < len(sentences["test"]) < 150
    assert sorted(german for pairs in split.values() for _, german in pairs) == sorted(
        line.split("\t")[1] for line in export(500).split("\n")[:-1]
    )


def test_splits_are_stable_when_the_export_grows(run_script: RunScript, tmp_path: Path) -> None:
    for name, size in (("old", 300), ("new", 400)):
        (tmp_path / f"{name}.txt").write_text(export(size))
        run_script("tatoeba.py", "--from", f"{name}.txt", "--to", name, "--valid", "0.1", "--test", "0.1")
    old, new = parts(tmp_path / "old"), parts(tmp_path / "new")
    assert all(set(old[part]) < set(new[part]) for part in old)


def test_a_part_of_the_short_pairs_is_kept(run_script: RunScript, tmp_path: Path) -> None:
    long = "".join(f"A sentence of six words {number}.\tLang {number}.\n" for number in range(200))
    (tmp_path / "deu.txt").write_text(export(300) + long)
    options = ["--from", "deu.txt", "--valid", "0.1", "--test", "0.1", "--max-words", "2"]
    for name, size in (("all", []), ("some", ["--train", "100"]), ("fewer", ["--train", "50"])):
        assert run_script("tatoeba.py", *options, *size, "--to", name).returncode == 0
    every, some, fewer = (parts(tmp_path / name) for name in ("all", "some", "fewer"))
    assert not any(german.startswith("Lang") for pairs in every.values() for _, german in pairs)
    assert (len(some["train"]), len(fewer["train"])) == (100, 50)
    assert set(fewer["train"]) < set(some["train"]) < set(every["train"])
    assert some["train"] == [pair for pair in every["train"] if pair in some["train"]]
    assert [some[part] for part in ("valid", "test")] == [every[part] for part in ("valid", "test")]
    result = run_script("tatoeba.py", *options, "--train", "9999")
    assert result.returncode == 3
    assert "fewer than --train 9999" in result.stderr


def test_every_export_format_gives_the_same_files(run_script: RunScript, tmp_path: Path) -> None:
    text = export(400).encode()
    (tmp_path / "deu.txt").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    (tmp_path / "deu.txt.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "deu-eng.zip", "w") as archive:
        archive.writestr("deu.txt", text)
        archive.writestr("_about.txt", "about")
    folder = tmp_path / "folder"
    folder.mkdir()
    english, german, _ = zip(*(line.split(b"\t") for line in text.split(b"\n")[:-1]), strict=True)
    for name, pairs in (("a", slice(500)), ("b", slice(500, None))):
        (folder / f"{name}.en").write_bytes(b"\n".join(english[pairs]) + b"\n")
        (folder / f"{name}.de.gz").write_bytes(gzip.compress(b"\n".join(german[pairs]) + b"\n"))
    told = [
        run_script("tatoeba.py", "--from", origin, "--to", "corpus").stdout
        for origin in ("deu.txt", "deu.txt.gz", "deu-eng.zip", "folder")
    ]
    assert told[0].count(" lines  sha256 ") == 6
    assert told == [told[0]] * 4


def test_only_line_feed_ends_a_line(run_script: RunScript, tmp_path: Path) -> None:
    (tmp_path / "deu.txt").write_text(export(400) + "One\u2028two\x0bthree\x85.\tEins\u2028zwei.\n")
    run_script("tatoeba.py", "--from", "deu.txt", "--to", "corpus")
    pairs = [pair for part in parts(tmp_path / "corpus").values() for pair in part]
    assert ("One\u2028two\x0bthree\x85.", "Eins\u2028zwei.") in pairs
    assert len(pairs) == 801


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x": b"a\tb\nc\n"}, r"x:2: .*tab"),
        ({"x": b"a\tb\n\xff\tc\n"}, r"x:2: .*UTF-8"),
        ({"x": b""}, r"x: .*train\.en"),
        ({"x": gzip.compress(b"a\tb\n")[:-9]}, "x: "),
        ({"x/a.en": b"1\n2\n", "x/a.de": b"1\n"}, r"x/a\.en .*2.*x/a\.de .*1"),
        ({"x/a.en": b"1\n"}, r"x/a\.en: .*a\.de\.gz"),
        ({"x/a.txt": b"1\n"}, r"x: .*\.en\.gz"),
        ({}, "x: "),
    ],
)
def test_invalid_export_is_a_one_line_error(
    files: dict[str, bytes], message: str, run_script: RunScript, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    result = run_script("tatoeba.py", "--from", "x")
    assert (result.returncode, result.stdout) == (3, "")
    assert re.match(rf"tatoeba\.py: error: {message}", result.stderr)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "arguments", [(), ("--from", "x", "--valid", "2"), ("--from", "x", "--valid", ".5", "--test", ".5")]
)
def test_wrong_arguments_are_usage_errors(arguments: tuple[str, ...], run_script: RunScript) -> None:
    result = run_script("tatoeba.py", *arguments)
    assert result.returncode == 2
    assert "tatoeba.py: error: " in result.stderr.split("\n")[-2]


@pytest.mark.parametrize("script", ["number_words.py", "multi30k.py", "tatoeba.py"])
def test_help_shows_an_example(script: str, run_script: RunScript) -> None:
    result = run_script(script, "--help")
    assert result.returncode == 0
    assert f"python data_scripts/{script}" in result.stdout
