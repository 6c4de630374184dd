"""A window of lines in, what is written of their translations out: what each process that translates does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nmt_cli.commands.translators import TranslatorOptions, open_translator
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.summary import Summary
from nmt_cli.processes import report_progress

if TYPE_CHECKING:  # torch, which who only hands options on does not need
    from nmt_cli.decoding.translator import Translator

Format = Literal["text", "nbest", "jsonl", "tsv"]


@dataclass(frozen=True)
class Window:
    """Lines that are translated together, and the number of the first, counted from 1."""

    first: int
    requests: Sequence[Request]


@dataclass(frozen=True)
class Answer:
    """What is to be written for a window: whole lines in UTF-8."""

    written: bytes
    summary: Summary


Answering = Callable[[Window, Callable[[int], object]], Answer]
"""Translates a window; the function it is given hears how many lines each batch had."""


@dataclass(frozen=True)
class Opener:
    """What to answer with; plain values, so that a process that is yet to start can be told them."""

    options: TranslatorOptions
    format: Format

    def __call__(self, number: int = 0, count: int = 1) -> Answering:
        """Load the model; `number` is that of this process among `count`, which each have a part of the machine."""
        from nmt_cli.devices import init_worker, memory_errors

        if count > 1:
            init_worker(number, count)
        with memory_errors():
            return answering_by(open_translator(self.options), self.format)


@dataclass(frozen=True)
class WorkerOpener:
    """What to answer with in a process among several."""

    opener: Callable[[int, int], Answering]
    number: int
    count: int

    def __call__(self) -> Callable[[Window], Answer]:
        """Load the model; whoever asks for the answers hears of batches, too."""
        answering = self.opener(self.number, self.count)
        return lambda window: answering(window, report_progress)


def answering_by(translator: "Translator", format: Format) -> Answering:
    """Answers in this format by a translator."""
    from nmt_cli.decoding.formats import FORMATS
    from nmt_cli.devices import memory_errors, release_freed_memory

    write = FORMATS[format]

    def answer(window: Window, translated: Callable[[int], object]) -> Answer:
        with memory_errors():
            translations = translator.translate_window(window.requests, window.first, translated)
        lines = [write(number, translation) for number, translation in enumerate(translations, window.first - 1)]
        release_freed_memory()
        return Answer("".join(lines).encode(), Summary.of(translations))

    return answer
