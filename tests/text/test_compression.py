"""Compressed files are detected by content, read completely, and damage is reported."""

import bz2
import gzip
import io
import lzma
import os
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.errors import DataError
from nmt_cli.text import compression
from nmt_cli.text.lines import open_text, read_lines, reading_errors


def zstd_compressed(content: bytes) -> bytes:
    # With a checksum, as the program writes it.
    zstd = compression._import_zstd()
    compressed: bytes = zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})
    return compressed


KINDS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd_compressed,
}
TEXT = b"".join(b"%d a line of text\n" % number for number in range(20))

each_kind = pytest.mark.parametrize("kind", list(KINDS))


def content_of(path: Path) -> bytes:
    with open_text(path) as stream, reading_errors("text"):
        return stream.read()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@each_kind
def test_format_is_detected_by_content(tmp_path: Path, kind: str) -> None:
    compressed = written(tmp_path / "plain-name", KINDS[kind](b"a\nb\n"))
    plain = written(tmp_path / f"name.{kind}", b"a\nb\n")
    assert list(read_lines(compressed)) == list(read_lines(plain)) == ["a", "b"]


@each_kind
def test_stream_has_fileno_of_the_file(tmp_path: Path, kind: str) -> None:
    with open_text(written(tmp_path / "text", KINDS[kind](TEXT))) as stream:
        assert os.fstat(stream.fileno()).st_size == (tmp_path / "text").stat().st_size


@each_kind
def test_empty_text(tmp_path: Path, kind: str) -> None:
    assert content_of(written(tmp_path / "text", KINDS[kind](b""))) == b""


@each_kind
def test_several_members_are_read(tmp_path: Path, kind: str) -> None:
    pack = KINDS[kind]

    @settings(max_examples=50)
    @given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
    def check(members: list[bytes]) -> None:
        with written(tmp_path / "text", b"".join(map(pack, members))).open("rb") as file:
            assert compression.decompressed(file).read() == b"".join(members)

    check()


@each_kind
def test_large_text_is_read_completely(tmp_path: Path, kind: str) -> None:
    content = random.Random(1).randbytes(1_000_000) + bytes(5_000_000)
    assert content_of(written(tmp_path / "text", KINDS[kind](content) + KINDS[kind](b"more"))) == content + b"more"


@each_kind
def test_every_truncation_is_detected(tmp_path: Path, kind: str) -> None:
    first, both = KINDS[kind](TEXT), KINDS[kind](TEXT) + KINDS[kind](b"second")
    for length in (*range(6, len(first)), *range(len(first) + 1, len(both))):
        with pytest.raises(DataError, match=f"text: .*{kind} "):
            list(read_lines(written(tmp_path / "text", both[:length])))


@each_kind
def test_flipped_bit_is_detected_or_harmless(tmp_path: Path, kind: str) -> None:
    whole = KINDS[kind](TEXT)
    for place in range(6, len(whole)):
        compressed = bytearray(whole)
        compressed[place] ^= 4
        try:
            content = content_of(written(tmp_path / "text", bytes(compressed)))
        except DataError as error:
            assert re.search(f"text: .*{kind} ", str(error))
        else:
            assert content == TEXT


@each_kind
def test_trailing_garbage_is_detected(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=f"text: .*{kind} "):
        content_of(written(tmp_path / "text", KINDS[kind](TEXT) + b"something else"))


def test_xz_padding_is_allowed(tmp_path: Path) -> None:
    member = lzma.compress(TEXT)
    assert content_of(written(tmp_path / "text", member + bytes(8) + member + bytes(4))) == TEXT * 2


def test_older_format_of_xz_is_read(tmp_path: Path) -> None:
    assert content_of(written(tmp_path / "text", lzma.compress(TEXT, lzma.FORMAT_ALONE))) == TEXT


def test_skippable_zstd_frames_are_skipped(tmp_path: Path) -> None:
    skipped = b"\x52\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    content = skipped + zstd_compressed(b"a") + skipped + zstd_compressed(b"b")
    assert content_of(written(tmp_path / "text", content)) == b"ab"


@pytest.mark.parametrize("program", ["gzip", "bzip2", "xz", "zstd"])
def test_output_of_command_line_programs_is_read(program: str, tmp_path: Path) -> None:
    try:
        compressed = subprocess.run([program, "-c"], input=TEXT, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip(f"{program} is not installed")
    assert content_of(written(tmp_path / "text", compressed)) == TEXT


def test_plain_file_is_returned_itself() -> None:
    file = io.BufferedReader(io.BytesIO(b"plain"))  # type: ignore[arg-type]
    assert compression.decompressed(file) is file
