"""Multi30k from a folder; downloads are verified in the same way."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RunScript = Callable[..., CompletedProcess[str]]

SHARED = Path(__file__).parents[3] / "shared" / "data" / "multi30k"
needs_corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the Multi30k files are not there")

NAMES = [f"{part}.{language}" for part in ("train", "valid", "test2016") for language in ("en", "de", "fr")]


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """A folder with the original files, without gzip."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for path in SHARED.glob("*[a-z0-9].??.gz"):
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return folder


@needs_corpus
def test_compressed_and_plain_files_give_the_same_corpus(run_script: RunScript, tmp_path: Path, unpacked: Path) -> None:
    packed_result = run_script("multi30k.py", "--from", SHARED, "--to", "a")
    plain_result = run_script("multi30k.py", "--from", unpacked, "--to", "b")
    assert packed_result.returncode == plain_result.returncode == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(NAMES)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in NAMES)
    assert (tmp_path / "a" / "valid.de").read_bytes() == (unpacked / "val.de").read_bytes()


@needs_corpus
def test_only_wrong_files_are_rewritten(run_script: RunScript, tmp_path: Path) -> None:
    run_script("multi30k.py", "--url", SHARED.resolve().as_uri(), "--to", "a")
    result = run_script("multi30k.py", "--from", "nowhere", "--to", "a")
    assert (result.returncode, result.stdout.partition(":")[0]) == (0, "a")
    assert result.stdout.count("\n") == 1
    (tmp_path / "a" / "valid.en").write_bytes(b"broken\n")
    result = run_script("multi30k.py", "--from", SHARED, "--to", "a")
    assert result.stdout.startswith("a/valid.en  1,014 lines  sha256 1f2a23d9")
    assert result.stdout.count("\n") == 1


@needs_corpus
def test_wrong_file_leaves_no_output(run_script: RunScript, tmp_path: Path, unpacked: Path) -> None:
    with (unpacked / "test_2016_flickr.fr").open("ab") as file:
        file.write(b"one more\n")
    result = run_script("multi30k.py", "--from", unpacked, "--to", "a")
    assert result.returncode == 3
    assert result.stderr.startswith(f"multi30k.py: error: {unpacked}/test_2016_flickr.fr: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"a\n", mtime=0)[:-9], ""),
        (
            b"a\n",
            "87428fc5",
        ),
    ],
)
def test_damaged_file_is_named(content: bytes, message: str, run_script: RunScript, tmp_path: Path) -> None:
    (tmp_path / "train.en.gz").write_bytes(content)
    result = run_script("multi30k.py", "--from", ".")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith("multi30k.py: error: train.en.gz: ") and message in result.stderr
    assert not (tmp_path / "data").exists()


def test_missing_file_is_named_compressed_and_plain(run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("multi30k.py", "--from", ".")
    assert result.returncode == 3 and re.search(r": error: .*train\.en\.gz .*train\.en\n$", result.stderr)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/raw", "file:///no/such/folder", "nonsense"])
def test_failed_download_has_remedy_and_leaves_no_output(url: str, run_script: RunScript, tmp_path: Path) -> None:
    result = run_script("multi30k.py", "--url", url)
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith(f"multi30k.py: error: {url}/train.en.gz: ")
    assert "--from" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
