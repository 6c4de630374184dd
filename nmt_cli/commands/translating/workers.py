"""Translation of a window of lines to lines of output, in this process or in worker processes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from nmt_cli.commands.translators import open_translator
from nmt_cli.console import OnProgress
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.results import TranslationStats
from nmt_cli.processes.pool import WorkerPool
from nmt_cli.processes.worker import report_progress

if TYPE_CHECKING:  # a process that only starts workers needs no torch
    from nmt_cli.decoding.translator import Translator

OutputFormat = Literal["text", "nbest", "jsonl", "tsv"]


@dataclass(frozen=True)
class Window:
    """Lines that are translated together. Line numbers are 1-based."""

    first_line: int
    requests: Sequence[Request]


@dataclass(frozen=True)
class WindowResult:
    """The output of a window: whole lines in UTF-8."""

    output: bytes
    stats: TranslationStats


TranslateFn = Callable[[Window, OnProgress], WindowResult]
TranslateWindowsFn = Callable[[Iterable[Window], OnProgress], Iterator[WindowResult]]
"""Translates windows and yields the results in order. The callback gets the number of lines of each batch."""


@dataclass(frozen=True)
class TranslatorFactory:
    """Loads a translator, in any process."""

    options: TranslateOptions
    format: OutputFormat

    def __call__(self, index: int = 0, count: int = 1) -> TranslateFn:
        """Load the model in process `index` of `count`, which share the machine."""
        from nmt_cli.devices import init_worker, memory_errors

        if count > 1:
            init_worker(index, count)
        with memory_errors():
            return translate_fn(open_translator(self.options), self.format)


def translate_fn(translator: "Translator", format: OutputFormat) -> TranslateFn:
    """Return a function that translates a window to lines of this format."""
    from nmt_cli.decoding.results import FORMATS
    from nmt_cli.devices import memory_errors, release_freed_memory

    write = FORMATS[format]

    def translate(window: Window, on_progress: OnProgress) -> WindowResult:
        with memory_errors():
            translations = translator.translate_window(window.requests, window.first_line, on_progress)
        lines = [write(index, translation) for index, translation in enumerate(translations, window.first_line - 1)]
        release_freed_memory()
        return WindowResult("".join(lines).encode(), TranslationStats.count(translations))

    return translate


def in_this_process(translate: TranslateFn) -> TranslateWindowsFn:
    """Return a function that translates one window after another."""
    return lambda windows, on_progress: (translate(window, on_progress) for window in windows)


@contextmanager
def open_workers(factory: TranslatorFactory, processes: int | None) -> Iterator[TranslateWindowsFn]:
    """Start worker processes, which load the model at once; 1 is this process, None one per GPU."""
    if processes is None:
        from nmt_cli.devices import default_processes

        processes = default_processes()
    if processes == 1:
        yield in_this_process(factory())
        return
    factories = [partial(_open_worker, factory, index, processes) for index in range(processes)]
    with WorkerPool(factories, "lower --nproc or decoding.batch_tokens") as workers:
        yield workers.results


def _open_worker(factory: TranslatorFactory, index: int, count: int) -> Callable[[Window], WindowResult]:
    """Load the model in a worker process. Progress is sent to the parent process."""
    translate = factory(index, count)
    return lambda window: translate(window, report_progress)
