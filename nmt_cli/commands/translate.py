"""`nmt translate`: lines of text through a model, from file or stdin to file or stdout."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from nmt_cli import console
from nmt_cli.commands.finding import named_model
from nmt_cli.commands.translating.answering import Answer, Answering, Format, Opener, Window, WorkerOpener
from nmt_cli.commands.translating.inputs import Input, InvalidLines, opened_input
from nmt_cli.commands.translating.interruption import signals_raised
from nmt_cli.commands.translating.outputs import opened_output, refuse_to_overwrite, write_lines
from nmt_cli.commands.translating.requests import PLAIN, RequestOptions, read_requests
from nmt_cli.commands.translating.sidecar import sidecar_of
from nmt_cli.commands.translators import TranslatorOptions
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.summary import Summary
from nmt_cli.decoding.windows import arriving, windows
from nmt_cli.errors import RecipeError
from nmt_cli.processes import WorkerPool
from nmt_cli.processes.sharding import ALL_SHARDS, ShardSpec
from nmt_cli.text.lines import decode_lines

Answers = Callable[[Iterable[Window], Callable[[int], object]], Iterator[Answer]]
"""The answer to each window, in order; the function it is given hears how many lines each batch had."""


def translate(
    options: TranslatorOptions,
    input: Path | None = None,
    output: Path | None = None,
    format: Format = "text",
    processes: int | None = None,
    shard: ShardSpec = ALL_SHARDS,
    reading: RequestOptions = PLAIN,
) -> None:
    """Translate each line of `input` (None: stdin) into `output` (None: stdout), a file whole or not at all.

    Several `processes` (None: one for each GPU, else one) answer with the same bytes as one.
    """
    refuse_to_overwrite(input, output)
    opener, before = Opener(options, format), lines_before(options)
    if before and shard != ALL_SHARDS:
        reason = "this model translates lines in the context of those before (data.context)"
        raise RecipeError(f"--shard: {reason}; cut the file yourself where a document ends, or use --nproc")
    reading = replace(reading, before=before)
    with signals_raised(), opened_input(input, shard) as source:
        sidecar = sidecar_of(output, source, opener, reading)
        if sidecar and sidecar.is_true():
            console.info(f"{output}: is translated already, from the same input by the same model; it stays as it is")
            return
        with _answers(opener, processes) as answers:
            started = time.monotonic()
            with opened_output(output) as target, _progress(output) as translated:
                summary = translate_stream(source, target, answers, translated, reading)
        if sidecar:
            sidecar.write(summary.lines)
    seconds = time.monotonic() - started
    for warning in summary.warnings():
        console.warn(warning)
    for line in summary.glossary():
        console.info(line)
    rate = summary.lines / max(seconds, 1e-3)
    lines = "1 line" if summary.lines == 1 else f"{summary.lines:,} lines"
    console.info(f"translated {lines} in {console.duration(seconds)}: {rate:,.1f} lines/s")


def lines_before(options: TranslatorOptions) -> int:
    """How many lines before each matter to its translation."""
    context = named_model(options.models[0]).context
    return 0 if context is None else context.sentences


def translate_stream(
    source: Input,
    target: IO[bytes],
    answers: Answers,
    translated: Callable[[int], object] = lambda sentences: None,
    reading: RequestOptions = PLAIN,
) -> Summary:
    """Translate a binary stream into another; lines that have arrived are not kept waiting."""
    invalid, summary = InvalidLines(), Summary()
    cut = arriving if source.arrives else windows
    lines = decode_lines(source.stream, source.name, invalid.note, source.first)
    requests = read_requests(lines, source.name, source.first, reading)
    for answer in answers(_numbered(cut(requests), source.first), translated):
        write_lines(target, answer.written)
        summary += answer.summary
    if invalid.count:
        console.warn(f"{source.name}: {invalid}: not UTF-8; what is not was read as U+FFFD")
    return summary


def in_this_process(answering: Answering) -> Answers:
    """Answers one window after another."""
    return lambda windows, translated: (answering(window, translated) for window in windows)


@contextmanager
def _answers(opener: Opener, processes: int | None) -> Iterator[Answers]:
    """What answers: workers, which begin to load the model at once, or this process."""
    if processes is None:
        from nmt_cli.devices import default_processes

        processes = default_processes()
    if processes == 1:
        yield in_this_process(opener())
    else:
        openers = [WorkerOpener(opener, number, processes) for number in range(processes)]
        with WorkerPool(openers, "lower --nproc or decoding.batch_tokens") as workers:
            yield workers.results


def _numbered(windows: Iterable[list[Request]], first: int) -> Iterator[Window]:
    """Windows that know the numbers of their lines."""
    for requests in windows:
        yield Window(first, requests)
        first += len(requests)


@contextmanager
def _progress(output: Path | None) -> Iterator[Callable[[int], object]]:
    """What to tell of each batch; no bar where the translations themselves go to a terminal."""
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        yield lambda sentences: None
        return
    with console.ProgressBar("translating", "lines") as progress:
        yield progress.advance
