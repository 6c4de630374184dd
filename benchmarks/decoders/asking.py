"""Start a decoding server and measure its answers."""

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.child import REPOSITORY, count_cores, threads

_PATIENCE = 900.0
"""Timeout for an answer in seconds."""


class AskError(Exception):
    """A server failed or did not answer in time. The message has the end of its output."""


@dataclass(frozen=True)
class Sentence:
    """Number of a test sentence and the lengths of source and reference in tokens, eos included."""

    number: int
    source: int
    reference: int


@dataclass(frozen=True)
class Batch:
    """Numbers of sentences and the length of their translations."""

    sentences: list[int]
    length: int


@dataclass(frozen=True)
class Asked:
    """A request to decode batches."""

    beam: int
    batches: list[Batch]

    @property
    def sentences(self) -> int:
        return sum(len(batch.sentences) for batch in self.batches)

    @property
    def tokens(self) -> int:
        """Number of target tokens, eos included."""
        return sum(len(batch.sentences) * batch.length for batch in self.batches)


@dataclass(frozen=True)
class Answer:
    """Wall time and processor time in seconds, and the peak resident set so far in bytes."""

    wall: float
    cpu: float
    memory: int


def batches_of(sentences: Sequence[Sentence], size: int) -> list[Batch]:
    """Return batches of sentences sorted by length; an incomplete last batch is dropped."""
    order = sorted(sentences, key=lambda sentence: (sentence.source, sentence.reference, sentence.number))
    groups = [order[first : first + size] for first in range(0, len(order) - size + 1, size)]
    return [
        Batch([each.number for each in group], max(2, round(sum(each.reference for each in group) / size)))
        for group in groups
    ]


class Asker:
    """A started server, pinned to `cores` with as many threads."""

    def __init__(self, program: str, python: Path, settings: dict[str, Any], cores: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "settings.json").write_text(json.dumps({**settings, "threads": count_cores(cores)}))
        self._log = folder / "log"
        started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", cores, str(python), "-m", program, str(folder / "settings.json")],
                cwd=REPOSITORY,
                env={**os.environ, **threads(count_cores(cores))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            ready = self._answer()
        except AskError:
            self.end()
            raise
        self.start = Answer(time.monotonic() - started, ready["cpu"], ready["memory"])

    def ask(self, asked: Asked) -> Answer:
        """Send a request and return the answer."""
        question = {"beam": asked.beam, "batches": [vars(batch) for batch in asked.batches]}
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the server has ended
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        return Answer(**self._answer())

    def end(self) -> None:
        """Stop the server."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._folder.cleanup()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], _PATIENCE)
        line = self._process.stdout.readline() if readable else b""
        if not line:
            said = self._log.read_text(errors="replace").strip().split("\n")[-8:]
            raise AskError("ended, or gave no answer; it said\n  " + "\n  ".join(said))
        answer: dict[str, Any] = json.loads(line)
        return answer
