"""`nmt translate` on streams and files, and its errors."""

import io
import os
import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nmt_cli.commands import translate as command
from nmt_cli.commands.translate import translate, translate_stream
from nmt_cli.commands.translating import workers
from nmt_cli.commands.translating.inputs import Input, InvalidLines
from nmt_cli.commands.translating.workers import TranslatorFactory, in_this_process
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.results import TranslatedText, Translation
from nmt_cli.errors import DataError, RecipeError, ResourceError

MODEL = TranslateOptions((Path("model"),))


class Shouting:
    """Translates by upper case."""

    def __init__(self, *arguments: Any) -> None:
        self.windows: list[int] = []

    def translate_window(self, requests: Sequence[Request], first_line: int, on_progress: Any) -> list[Translation]:
        assert first_line == sum(self.windows) + 1
        self.windows.append(len(requests))
        on_progress(len(requests))
        return [Translation(request.text, (TranslatedText(request.text.upper(), -1.0, -0.5),)) for request in requests]


@pytest.fixture(autouse=True)
def shouting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command without a model."""
    monkeypatch.setattr(workers, "open_translator", Shouting)
    monkeypatch.setattr(command, "sidecar_for", lambda *arguments: None)
    monkeypatch.setattr(command, "count_context_lines", lambda options: 0)


def streamed(given: bytes, format: Any = "text") -> bytes:
    target = io.BytesIO()
    source = Input(io.BytesIO(given), "input")
    requests = map(Request, source.lines(InvalidLines()))
    translate_stream(source, requests, target, in_this_process(TranslatorFactory(MODEL, format)()))
    return target.getvalue()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"", b""),
        (b"\n", b"\n"),
        (b"one\ntwo\n", b"ONE\nTWO\n"),
        (b"one\n\n\ntwo", b"ONE\n\n\nTWO\n"),
        (b"one\r\ntwo\r\n", b"ONE\nTWO\n"),
        ("a\u2028b\x0bc\x85d\n".encode(), "A\u2028B\x0bC\x85D\n".encode()),
        (b"good\nb\xffad\n", "GOOD\nB\ufffdAD\n".encode()),
    ],
)
def test_translate_stream_writes_one_line_per_line(given: bytes, expected: bytes) -> None:
    assert streamed(given) == expected


def test_line_numbers_continue_across_windows() -> None:
    written = streamed(b"line\n" * 100, "nbest").decode().splitlines()

    assert [line.split(" ||| ")[0] for line in written] == [str(number) for number in range(100)]


def test_translate_warns_once_of_invalid_utf_8(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"good\nb\xffad\nw\xferse\n")

    (warning,) = translate(MODEL, tmp_path / "in", tmp_path / "out").warnings

    assert re.search(r"in: line 2 .*\b1\b", warning)


def test_translate_stream_answers_each_line_of_a_pipe() -> None:
    to_us, from_us = os.pipe(), os.pipe()
    files = [os.fdopen(to_us[0], "rb"), os.fdopen(from_us[1], "wb")]
    source = Input(files[0], "input")
    requests = map(Request, source.lines(InvalidLines()))
    arguments = (source, requests, files[1], in_this_process(TranslatorFactory(MODEL, "text")()))
    thread = threading.Thread(target=translate_stream, args=arguments, daemon=True)
    thread.start()
    with os.fdopen(to_us[1], "wb", buffering=0) as question, os.fdopen(from_us[0], "rb") as answer:
        for number in range(5):
            question.write(f"line {number}\n".encode())
            assert answer.readline() == f"LINE {number}\n".encode()
        question.close()
        thread.join(5)
        for file in files:
            file.close()


class TestFiles:
    def test_translate_leaves_no_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"one\n")

        (tmp_path / "new").mkdir()
        translate(MODEL, tmp_path / "in", tmp_path / "new" / "out")

        assert (tmp_path / "new" / "out").read_bytes() == b"ONE\n"
        assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "out"]

    def test_translate_keeps_the_old_output_on_errors(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "in").write_bytes(b"one\n" * 100)
        (tmp_path / "out").write_bytes(b"old\n")
        monkeypatch.setattr(Shouting, "translate_window", lambda *arguments: 1 / 0)

        with pytest.raises(ZeroDivisionError):
            translate(MODEL, tmp_path / "in", tmp_path / "out")

        assert (tmp_path / "out").read_bytes() == b"old\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]

    def test_translate_follows_links(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"one\n")
        (tmp_path / "link").symlink_to(tmp_path / "target")

        translate(MODEL, tmp_path / "in", tmp_path / "link")

        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").read_bytes() == b"ONE\n"

    def test_translate_writes_to_devices(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"one\n")

        translate(MODEL, tmp_path / "in", Path("/dev/null"))

        assert Path("/dev/null").is_char_device()

    def test_translate_writes_to_named_pipes(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"one\n")
        os.mkfifo(tmp_path / "pipe")
        arguments = (MODEL, tmp_path / "in", tmp_path / "pipe")
        thread = threading.Thread(target=translate, args=arguments, daemon=True)
        thread.start()

        assert (tmp_path / "pipe").read_bytes() == b"ONE\n"
        thread.join(5)
        assert (tmp_path / "pipe").is_fifo()

    def test_translate_does_not_overwrite_the_input(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"one\n")
        (tmp_path / "link").symlink_to(tmp_path / "in")

        for output in ("in", "link"):
            with pytest.raises(RecipeError, match=rf"{output}: .*input"):
                translate(MODEL, tmp_path / "in", tmp_path / output)
        assert (tmp_path / "in").read_bytes() == b"one\n"

    def test_translate_rejects_a_folder_as_output(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"one\n")

        with pytest.raises(RecipeError, match=rf"{tmp_path}: "):
            translate(MODEL, tmp_path / "in", tmp_path)

    def test_translate_rejects_missing_inputs_and_folders(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "missing"):
            with pytest.raises(DataError, match=str(path)):
                translate(MODEL, path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_translate_reports_a_full_device(self, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"one\n")

        with pytest.raises(ResourceError, match="/dev/full: "):
            translate(MODEL, tmp_path / "in", Path("/dev/full"))

    @pytest.mark.parametrize("name", ["stdin", "stdout"])
    def test_translate_reports_closed_streams(self, monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"one\n")
        monkeypatch.setattr(sys, name, None)

        with pytest.raises((RecipeError, ResourceError), match=name):
            translate(MODEL, None if name == "stdin" else tmp_path / "in")
