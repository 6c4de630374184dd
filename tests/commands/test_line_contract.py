"""Any bytes: one output line per input line, in order, in each format, from files and pipes."""

import io
import json
import os
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from fake_models import CharacterTokenizer, EchoModel, GruModel
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nmt_cli.commands.translate import translate_stream
from nmt_cli.commands.translating.inputs import Input, InvalidLines
from nmt_cli.commands.translating.workers import OutputFormat, in_this_process, translate_fn
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.segments import is_blank
from nmt_cli.decoding.translator import InferenceConfig, Translator
from nmt_cli.recipe.decoding import BeamSettings, SearchSettings
from nmt_cli.text.signatures import recognise

SEPARATORS = ["\r", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\ufeff", "\u200b", "\u00a0", "\t"]
PARTS = st.sampled_from(
    [*(each.encode() for each in SEPARATORS), b"a", b"b c. D", b"\xff", b"\xe2\x80", b" ||| ", b'"\\', "去。".encode()]
)
LINES = st.lists(
    st.lists(PARTS | st.binary(max_size=3).map(lambda some: some.replace(b"\n", b"")), max_size=6).map(b"".join),
    max_size=40,
)
CPU = torch.device("cpu")


def echo(batch_tokens: int = 4096) -> Translator:
    """Says each line as it is: what comes out shows where it belongs."""
    return Translator(
        EchoModel(3000),
        CharacterTokenizer(),
        BeamSettings(beam_size=1, batch_tokens=batch_tokens),
        CPU,
        InferenceConfig(max_tokens=9),
    )


def answered(translator: Translator, stream: Any, format: OutputFormat) -> bytes:
    """What `nmt translate` writes for the lines of a stream."""
    written = io.BytesIO()
    source = Input(stream, "input")
    requests = map(Request, source.lines(InvalidLines()))
    stats = translate_stream(source, requests, written, in_this_process(translate_fn(translator, format)))
    assert stats.lines == written.getvalue().count(b"\n")
    return written.getvalue()


def given_file(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return path.open("rb")


def given_pipe(path: Path, content: bytes) -> Any:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)

    threading.Thread(target=write, daemon=True).start()
    return os.fdopen(reading, "rb")


def read(line: bytes, first: bool) -> str:
    """A line as it is understood."""
    line = line.removesuffix(b"\r")
    return (line.removeprefix(b"\xef\xbb\xbf") if first else line).decode(errors="replace")


@settings(max_examples=60)
@given(
    opened=st.sampled_from([given_file, given_pipe]),
    batch_tokens=st.sampled_from([1, 100, 4096]),
    lines=LINES,
    ended=st.booleans(),
)
def test_each_line_has_one_translation(
    tmp_path_factory: pytest.TempPathFactory, opened: Any, batch_tokens: int, lines: list[bytes], ended: bool
) -> None:
    ended = ended or not lines or not lines[-1]
    content = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    assume(recognise(content) is None)  # text, not an image or the like
    path = tmp_path_factory.mktemp("lines") / "in"
    sources = [read(line, number == 0) for number, line in enumerate(lines)]

    with opened(path, content) as stream:
        records = [json.loads(line) for line in answered(echo(batch_tokens), stream, "jsonl").split(b"\n")[:-1]]

    assert [(record["id"], record["source"]) for record in records] == list(enumerate(sources))
    for source, record in zip(sources, records, strict=True):
        visible = "".join(each for each in source if not is_blank(each))
        assert "".join(each for each in record["hypothesis"] if not is_blank(each)) == visible
        assert record["hypothesis"] or not visible
        assert "\n" not in record["hypothesis"]
        assert ("\ufffd" in record["hypothesis"]) == ("\ufffd" in source)


@settings(max_examples=50)
@given(LINES)
def test_formats_have_the_same_lines(lines: list[bytes]) -> None:
    content = b"".join(line + b"\n" for line in lines)
    text, nbest, records, tsv = (
        answered(echo(), io.BytesIO(content), format).decode().split("\n")[:-1] for format in get_args(OutputFormat)
    )

    assert len(text) == len(nbest) == len(tsv) == len(records) == len(lines)
    assert [json.loads(record)["hypothesis"] for record in records] == text
    assert [line.split(" ||| ", 1)[0] for line in nbest] == [str(number) for number in range(len(lines))]
    assert all(line.count("\t") == 2 for line in tsv)


def gru(decoding: SearchSettings) -> Translator:
    tokenizer = CharacterTokenizer()
    tokenizer.encode_source(["abcde. "])
    return Translator(GruModel(11, seed=4, end_bias=2.0), tokenizer, decoding, CPU)


@pytest.mark.parametrize("beam_size", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_output_does_not_depend_on_batches(tmp_path: Path, beam_size: int) -> None:
    chosen = torch.randint(0, 7, (60, 9), generator=torch.Generator().manual_seed(1)).tolist()
    content = "".join("".join("abcde. "[each] for each in row[: row[0] + 2]) + "\n" for row in chosen).encode()

    outputs = []
    for batch_tokens in (4096, 4096, 64, 7, 1):
        with given_file(tmp_path / "in", content) as stream:
            outputs.append(answered(gru(BeamSettings(beam_size=beam_size, batch_tokens=batch_tokens)), stream, "text"))

    assert all(one == other for one, other in pairwise(outputs))
    assert len(set(outputs[0].split(b"\n"))) > 20
