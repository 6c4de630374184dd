"""Files under attack: many writers at once, kills, full disks, planted links, and names that belong to the user."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tmpfs import fill, mount, remount_read_only

from nmt_cli import files
from nmt_cli.errors import DataError, ModelError, ResourceError
from nmt_cli.locks import lock

ROOT = Path(__file__).parents[1]


def run(program: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start a Python program in which `files` is imported."""
    imports = "import os, sys, time\nfrom pathlib import Path\nfrom nmt_cli import files\n"
    command = [sys.executable, "-c", imports + program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


WRITE_FILES = """
for number in range(30):
    with files.new_file(Path(sys.argv[1])) as file:
        for _ in range(20):
            file.write(sys.argv[2].encode() * 1000)
            file.flush()
"""
WRITE_FOLDERS = """
for number in range(15):
    with files.new_folder(Path(sys.argv[1])) as folder:
        for name in "abc":
            (folder / name).write_text(sys.argv[2])
"""


def test_concurrent_writers_of_a_file_never_mix_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "file"
    writers = [run(WRITE_FILES, path, name) for name in "123"]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 20_000 and len(set(content)) == 1
    assert [writer.communicate()[1] for writer in writers] == ["", "", ""]
    assert names(tmp_path) == ["file"]


def test_concurrent_writers_of_a_folder_never_mix_their_contents(tmp_path: Path) -> None:
    writers = [run(WRITE_FOLDERS, tmp_path / "folder", name) for name in "123"]
    assert [writer.communicate(timeout=60)[1] for writer in writers] == ["", "", ""]
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["a", "b", "c"]
    assert len({path.read_text() for path in (tmp_path / "folder").iterdir()}) == 1


@pytest.mark.parametrize("write", [WRITE_FILES, WRITE_FOLDERS])
def test_leftovers_of_killed_writers_are_removed_by_the_next(tmp_path: Path, write: str) -> None:
    for _ in range(3):
        writer = run(write.replace("range(20)", "range(10**9)").replace('"abc"', '"a" * 10**9'), tmp_path / "it", "x")
        while not files.leftovers(tmp_path, "it"):
            time.sleep(0.002)
        writer.kill()
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
    with files.new_file(tmp_path / "other") as file:
        file.write(b"1")
    assert len(files.leftovers(tmp_path, "it")) == 1  # another target's are left alone
    assert run(write, tmp_path / "it", "y").communicate(timeout=60)[1] == ""
    assert names(tmp_path) == ["it", "other"]


def test_files_of_the_user_with_similar_names_are_untouched(tmp_path: Path) -> None:
    similar = ["it.tmp", "it.replaced.tmp", "it.nmt-12.tmp", "it.nmt-0123abcd.tmp.txt", "it2.nmt-0123abcd.tmp"]
    for name in similar:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").touch()
    for write in (WRITE_FOLDERS, "files.remove(Path(sys.argv[1]))", WRITE_FILES):
        assert run(write, tmp_path / "it", "x").communicate(timeout=60)[1] == ""
    assert names(tmp_path) == sorted(["it", *similar])
    assert all(names(tmp_path / name) == ["mine"] for name in similar)


def test_longest_possible_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    with files.new_file(path) as file:
        file.write(b"1")
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_modes_follow_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        files.write_json(tmp_path / "file", 1)
        append(tmp_path / "log")
        with files.new_folder(tmp_path / "folder"), lock(tmp_path / "lock"):
            pass
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes.pop("folder") == 0o777 & ~umask
    assert set(modes.values()) == {0o666 & ~umask}


WRITERS: dict[str, Callable[[Path], object]] = {
    "file": lambda path: files.write_json(path, "new"),
    "folder": lambda path: write_folder(path),
    "append": lambda path: append(path),
    "lock": lambda path: acquire(path),
}


def write_folder(path: Path) -> None:
    with files.new_folder(path) as folder:
        (folder / "new").write_bytes(bytes(5000))


def append(path: Path) -> None:
    with files.disk_errors(path), files.open_append(path) as file:
        file.write(b"new" * 2000)


def acquire(path: Path) -> None:
    with lock(path):
        pass


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("target", ["file", "folder", "missing", "pipe"])
def test_nothing_is_written_through_a_planted_link(tmp_path: Path, name: str, target: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for folder in (outside, inside, outside / "folder"):
        folder.mkdir()
    (outside / "file").write_text("process 1 on elsewhere")  # even one that looks like a lock file
    os.mkfifo(outside / "pipe")
    link = inside / "link"
    link.symlink_to(outside / target)
    try:
        WRITERS[name](link)
        assert not link.is_symlink()
    except DataError as error:
        assert str(error).startswith(f"{link}: ")
    assert names(outside) == ["file", "folder", "pipe"]
    assert (outside / "file").read_text() == "process 1 on elsewhere"
    assert names(outside / "folder") == []
    assert (outside / "pipe").is_fifo()


@pytest.mark.parametrize("content", [b"my notes\n", b"\0" * 2000])
def test_lock_leaves_files_that_it_did_not_make(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.lock").write_bytes(content)
    with pytest.raises(DataError, match=r"/data\.lock: "), lock(tmp_path / "data.lock"):
        pass
    assert (tmp_path / "data.lock").read_bytes() == content


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("leave", [0, 1, 4096])
def test_full_disk_is_a_resource_error(tmp_path: Path, name: str, leave: int) -> None:
    with mount(tmp_path / "disk", "64k") as disk:
        files.write_json(disk / "old", "old")
        fill(disk, leave)
        before = names(disk)
        for _ in range(20 if leave == 4096 else 1):  # until the space that is left is used
            try:
                with pytest.raises(ResourceError, match=f"^{disk}/"):
                    WRITERS[name](disk / "old" if name == "file" else disk / f"new{len(names(disk))}")
            except pytest.fail.Exception:
                continue
        assert files.read_json(disk / "old") == "old" or name == "file"
        assert not files.leftovers(disk)
        assert set(before) <= set(names(disk))


@pytest.mark.parametrize("name", WRITERS)
def test_read_only_disk_is_a_resource_error(tmp_path: Path, name: str) -> None:
    with mount(tmp_path / "disk", "64k") as disk:
        remount_read_only(disk)
        with pytest.raises(ResourceError, match=f"^{disk}/new: "):
            WRITERS[name](disk / "new")


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("read", [files.read_json, files.read_bytes, files.sha256])
def test_only_regular_files_are_read(
    tmp_path: Path, make: Callable[[Path], object], read: Callable[[Path], object]
) -> None:
    make(tmp_path / "it")
    with pytest.raises((DataError, OSError)):
        read(tmp_path / "it")


def test_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ModelError, match=r"manifest\.json: "):
        files.read_json(tmp_path / "manifest.json", ModelError)


@pytest.mark.parametrize("content", [rb'"\ud800"', b'"\xed\xa0\x80"', b'{"\\udfff": 1}'])
def test_json_with_lone_surrogates_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "it").write_bytes(content)
    with pytest.raises(DataError, match="/it: "):
        files.read_json(tmp_path / "it")


def test_manifest_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"1")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1")
    files.write_manifest(tmp_path / "model", {})
    (tmp_path / "model" / "weights").unlink()
    (tmp_path / "model" / "weights").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="/weights: "):
        files.read_manifest(tmp_path / "model", ModelError)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "a/" * 3000])
def test_manifest_with_an_impossible_name_is_refused(tmp_path: Path, name: str) -> None:
    files.write_json(tmp_path / "manifest.json", {"files": {name: {"bytes": 0, "sha256": ""}}})
    with pytest.raises(ModelError, match=r"^/"):
        files.read_manifest(tmp_path, ModelError)


def test_folder_replaces_that_of_another_writer_though_a_rest_of_the_first_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rename = tmp_path / "folder", Path.rename
    path.mkdir()
    (path / "a").touch()

    def rename_and_write_again(source: Path, target: Path) -> Path:
        found = rename(source, target)
        if source == path and len(list(tmp_path.iterdir())) == 2:  # the first time
            path.mkdir()
            (path / "other").touch()
        return found

    monkeypatch.setattr(Path, "rename", rename_and_write_again)
    monkeypatch.setattr(files, "remove", lambda path: None)
    with files.new_folder(path) as folder:
        (folder / "b").touch()
    assert names(path) == ["b"]
