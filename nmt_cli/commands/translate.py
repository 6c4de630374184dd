"""`nmt translate`: translates lines from a file or stdin to a file or stdout."""

import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from nmt_cli import console
from nmt_cli.commands.model_config import named_model, read_adapter_inputs
from nmt_cli.commands.translating.inputs import Input, InvalidLines, open_input
from nmt_cli.commands.translating.outputs import HashedOutput, check_output, open_output, sidecar_for, write_lines
from nmt_cli.commands.translating.request_reader import DEFAULT_INPUT_OPTIONS, InputOptions, read_requests
from nmt_cli.commands.translating.workers import (
    OutputFormat,
    TranslateWindowsFn,
    TranslatorFactory,
    Window,
    open_workers,
)
from nmt_cli.console import OnProgress, Reporter
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.results import TranslationStats
from nmt_cli.decoding.windows import arriving_windows, windows
from nmt_cli.errors import NmtError, RecipeError, StoppedError
from nmt_cli.processes import ALL_SHARDS, ShardSpec
from nmt_cli.processes.pool import STOP_SIGNALS
from nmt_cli.runs.directory import find_adapter


@dataclass(frozen=True)
class TranslateResult:
    """Statistics of a translated input."""

    stats: TranslationStats
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    """Time without loading of the model."""
    is_up_to_date: bool = False
    """Nothing was done: the output was made from the same input by the same model before."""


def translate(
    options: TranslateOptions,
    input: Path | None = None,
    output: Path | None = None,
    format: OutputFormat = "text",
    processes: int | None = None,
    shard: ShardSpec = ALL_SHARDS,
    input_options: InputOptions = DEFAULT_INPUT_OPTIONS,
    reporter: Reporter = console,
) -> TranslateResult:
    """Translate each line of the input, in order.

    Args:
        input: A file; None: stdin.
        output: A file, which appears when it is complete; None: stdout.
        processes: Number of processes, whose output is the same as that of one; None: one per GPU, else one.
        shard: The part of the input file to translate.
    """
    check_output(input, output)
    factory, num_context_lines = TranslatorFactory(options, format), count_context_lines(options)
    if num_context_lines and shard != ALL_SHARDS:
        reason = "this model translates lines in context (data.context)"
        raise RecipeError(f"--shard: {reason}; split the file between documents yourself, or use --nproc")
    with raise_on_signals(), open_input(input, shard, reporter) as source:
        sidecar = sidecar_for(output, source, factory, input_options)
        if sidecar and sidecar.is_up_to_date():
            return TranslateResult(TranslationStats(), is_up_to_date=True)
        with open_workers(factory, processes) as translate_windows:
            started, invalid = time.monotonic(), InvalidLines()
            requests = read_requests(
                source.lines(invalid), source.name, source.first_line, input_options, num_context_lines
            )
            with open_output(output) as stream, _progress(output, reporter) as on_progress:
                target = HashedOutput(stream)
                stats = translate_stream(source, requests, target, translate_windows, on_progress)
                if format != "nbest" and target.num_lines != stats.lines:
                    raise NmtError(
                        f"{output or 'stdout'}: {target.num_lines:,} lines for {stats.lines:,} lines of input"
                    )
        if sidecar:
            sidecar.write(target)
    warnings = (*invalid.warnings(source.name), *stats.warnings())
    return TranslateResult(stats, warnings, time.monotonic() - started)


def count_context_lines(options: TranslateOptions) -> int:
    """Return how many lines before each the model reads as context."""
    context = named_model(options.models[0]).context
    if options.adapter is not None and (inputs := read_adapter_inputs(find_adapter(options.adapter))) is not None:
        context = inputs.context
    return 0 if context is None else context.sentences


def translate_stream(
    source: Input,
    requests: Iterable[Request],
    target: IO[bytes] | HashedOutput,
    translate_windows: TranslateWindowsFn,
    on_progress: OnProgress = lambda lines: None,
) -> TranslationStats:
    """Translate the requests of an input. Lines that have arrived do not wait for later ones."""
    stats = TranslationStats()
    split = arriving_windows if source.is_interactive else windows
    for result in translate_windows(_number(split(requests), source.first_line), on_progress):
        write_lines(target, result.output)
        stats += result.stats
    return stats


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Raise StoppedError at the first signal to stop, so that files are closed and temporary files removed.

    A second signal ends the process at once. Signals ignored by the parent process stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    before = {number: handler for number in STOP_SIGNALS if (handler := signal.getsignal(number)) != signal.SIG_IGN}

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise StoppedError(f"stopped by {signal.Signals(number).name}", number)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _number(windows: Iterable[list[Request]], first_line: int) -> Iterator[Window]:
    for requests in windows:
        yield Window(first_line, requests)
        first_line += len(requests)


@contextmanager
def _progress(output: Path | None, reporter: Reporter) -> Iterator[OnProgress]:
    """Show a progress bar, unless the translations themselves go to a terminal."""
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        yield lambda lines: None
        return
    with reporter.progress_bar("translating", "lines") as bar:
        yield bar.advance
