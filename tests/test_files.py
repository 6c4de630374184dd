"""Writes are atomic, and manifests detect every change."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nmt_cli import files
from nmt_cli.errors import DataError, ModelError, RecipeError, ResourceError

ROOT = Path(__file__).parents[1]


def start(program: str, *arguments: Path) -> "subprocess.Popen[str]":
    """Run a program in a new process, with `files` and `Path` imported."""
    imports = "import os, resource, sys, time\nfrom pathlib import Path\nfrom nmt_cli import files\n"
    return subprocess.Popen(
        [sys.executable, "-c", imports + program, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_file_appears_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with files.new_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert names(path.parent) == ["file"]


def test_new_file_exception_keeps_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), files.new_file(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_new_file_killed_while_writing_keeps_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = """
with files.new_file(Path(sys.argv[1])) as file:
    file.write(b"new" * 100_000)
    file.flush()
    print("writing", flush=True)
    time.sleep(60)
"""
    with start(program, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.kill()

    assert path.read_bytes() == b"old"
    with files.new_file(path) as file:  # the temporary file does not get in the way
        file.write(b"newer")
    assert names(tmp_path) == ["file"]


def test_new_file_full_disk_raises_and_keeps_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = """
from nmt_cli.errors import ResourceError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with files.new_file(Path(sys.argv[1])) as file:
        file.write(b"x" * 100_000)
except ResourceError as error:
    print(error, error.exit_code)
"""
    with start(program, path) as process:
        output, errors = process.communicate(timeout=30)
    assert output.startswith(f"{path}: "), errors
    assert output.endswith(" 5\n")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_new_file_refuses_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^{tmp_path}: "), files.new_file(tmp_path):
        pass


def test_new_file_below_a_file_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="/file/other: "), files.new_file(tmp_path / "file" / "other"):
        pass


def test_output_file_replaces_target_of_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere" / "file")
    for content in (b"first", b"second"):
        with files.output_file(link) as file:
            file.write(content)
        assert link.is_symlink()
        assert (tmp_path / "elsewhere" / "file").read_bytes() == content


def test_output_file_writes_into_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with files.output_file(pipe) as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    assert pipe.is_fifo()
    os.close(reader)


def test_new_folder_killed_while_replacing_leaves_complete_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with files.new_folder(path) as unfinished:
        (unfinished / "file").write_bytes(b"old")
    program = """
files.remove = lambda path, remove=files.remove: os.kill(os.getpid(), 9) if path.exists() else None
with files.new_folder(Path(sys.argv[1])) as unfinished:
    (unfinished / "file").write_bytes(b"new")
"""
    with start(program, path) as process:
        process.wait(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert (path / "file").read_bytes() == b"new"


def test_new_folder_appears_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with files.new_folder(path) as unfinished:
        (unfinished / "file").write_bytes(b"1")
        assert not path.exists()
    assert names(tmp_path) == ["folder"]
    assert names(path) == ["file"]


def test_new_folder_replaces_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for name in ("old", "new"):
        with files.new_folder(path) as unfinished:
            (unfinished / name).write_bytes(b"1")
    assert names(path) == ["new"]


def test_new_folder_exception_keeps_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with files.new_folder(path) as unfinished:
        (unfinished / "old").write_bytes(b"1")
    with pytest.raises(KeyError), files.new_folder(path) as unfinished:
        raise KeyError
    assert names(path) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_new_folder_failed_rename_keeps_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_bytes(b"")
    rename = Path.rename

    def refusing(path: Path, target: Path) -> Path:
        if target == folder and path.parent == tmp_path and names(path) == ["new"]:
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(ResourceError, match="/folder: "), files.new_folder(folder) as unfinished:
        (unfinished / "new").touch()
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_new_folder_ignores_remains_of_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    program = """
with files.new_folder(Path(sys.argv[1])) as unfinished:
    (unfinished / "stray").write_bytes(b"1")
    os.kill(os.getpid(), 9)
"""
    with start(program, path) as process:
        process.wait(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert not path.exists()
    with files.new_folder(path) as unfinished:
        (unfinished / "file").write_bytes(b"1")
    assert names(path) == ["file"]


def test_remove_deletes_files_folders_and_links(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "file").write_bytes(b"1")

    files.remove(tmp_path / "link")
    assert names(tmp_path / "folder") == ["file"]
    for name in ("folder", "file", "nothing"):
        files.remove(tmp_path / name)
    assert names(tmp_path) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_write_json_refuses_non_finite_numbers(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "file", value)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000, b"1 2", b"[NaN]", b"1e400", b'"\\ud800"']
)
def test_read_json_raises_given_class_if_invalid(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"^{path}: "):
        files.read_json(path, ModelError)


def test_read_json_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/file: "):
        files.read_json(tmp_path / "file")


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder with two files and their manifest."""
    folder = tmp_path / "closed"
    (folder / "inner").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(40)))
    (folder / "inner" / "words").write_bytes(b"one\ntwo\n")
    files.write_manifest(folder, {"format": 1})
    return folder


def test_manifest_has_size_and_hash_of_each_file(closed: Path) -> None:
    manifest = files.read_manifest(closed, ModelError)
    assert manifest["format"] == 1
    assert list(manifest["files"]) == ["inner/words", "weights"]
    assert manifest["files"]["weights"] == {"bytes": 40, "sha256": files.sha256(closed / "weights")}


def test_read_manifest_detects_every_flipped_bit(closed: Path) -> None:
    content = (closed / "weights").read_bytes()
    for index in range(len(content)):
        for bit in (1, 128):
            (closed / "weights").write_bytes(content[:index] + bytes([content[index] ^ bit]) + content[index + 1 :])
            with pytest.raises(ModelError, match="/weights: "):
                files.read_manifest(closed, ModelError)


@pytest.mark.parametrize("size", [0, 1, 39, 41])
def test_read_manifest_detects_other_size(closed: Path, size: int) -> None:
    (closed / "weights").write_bytes(bytes(range(size)))
    with pytest.raises(ModelError, match=rf"/weights: .*\b{size}\b.*\b40\b"):
        files.read_manifest(closed, ModelError)


@pytest.mark.parametrize("name", ["weights", "inner/words", "manifest.json"])
def test_read_manifest_names_missing_file(closed: Path, name: str) -> None:
    (closed / name).unlink()
    with pytest.raises(ModelError, match=name):
        files.read_manifest(closed, ModelError)


@pytest.mark.parametrize("name", ["/etc/hostname", "../outside", "inner/../../outside"])
def test_read_manifest_refuses_paths_outside_folder(closed: Path, name: str) -> None:
    (closed.parent / "outside").write_bytes(b"")
    content = {"files": {name: {"bytes": 0, "sha256": files.sha256(closed.parent / "outside")}}}
    (closed / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=re.escape(name)):
        files.read_manifest(closed, ModelError)


def test_read_manifest_refuses_malformed_entry(closed: Path) -> None:
    (closed / "manifest.json").write_text('{"files": {"weights": 40}}')
    with pytest.raises(ModelError, match="weights"):
        files.read_manifest(closed, ModelError)


@pytest.mark.parametrize("content", ["[]", "{}", '{"files": []}', "null"])
def test_read_manifest_refuses_other_json(closed: Path, content: str) -> None:
    (closed / "manifest.json").write_text(content)
    with pytest.raises(ModelError, match=r"manifest\.json: "):
        files.read_manifest(closed, ModelError)


def test_leftovers_lists_temporary_files_and_folders_of_a_target(tmp_path: Path) -> None:
    for name in ("folder.tmp", "folder.nmt-1.tmp", "other.nmt-0123abcd.tmp"):
        (tmp_path / name).mkdir()
    with files.new_folder(tmp_path / "folder") as unfinished:
        assert files.leftovers(tmp_path, "folder") == [unfinished]
        assert sorted(files.leftovers(tmp_path)) == sorted([unfinished, tmp_path / "other.nmt-0123abcd.tmp"])
    assert files.leftovers(tmp_path, "folder") == []
    assert files.leftovers(tmp_path / "nowhere") == []


def test_name_beside_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert files.beside(Path("a/run"), "-bt") == Path("a/run-bt")
    assert files.beside(Path(), ".lock") == tmp_path.with_name(f"{tmp_path.name}.lock")
    assert files.beside(Path(".."), ".lock") == tmp_path.parent.with_name(f"{tmp_path.parent.name}.lock")
    for path, ending in ((Path("/"), ".lock"), (Path("run"), "-a/b")):
        with pytest.raises(RecipeError, match="cannot end in"):
            files.beside(path, ending)


def test_working_directory_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (Path(), Path("..")):
        with pytest.raises(RecipeError, match="cannot be replaced"), files.new_folder(path):
            raise AssertionError
