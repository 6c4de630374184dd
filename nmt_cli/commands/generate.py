"""`nmt generate`: continuations of prompts by a language model."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from nmt_cli import console
from nmt_cli.commands.language_models import create_text_generator
from nmt_cli.commands.loading import load_language_model
from nmt_cli.commands.stdout import open_stdout
from nmt_cli.commands.translating.inputs import InvalidLines, open_input
from nmt_cli.console import Reporter
from nmt_cli.text.lines import argument_text

if TYPE_CHECKING:
    from nmt_cli.decoding.text_generator import Continuation

GenerateFormat = Literal["text", "jsonl"]


@dataclass
class GenerateResult:
    """What was generated."""

    prompts: int = 0
    tokens: int = 0
    """Of all continuations."""
    warnings: list[str] = field(default_factory=list)


def generate(
    model: Path,
    prompt: str | None = None,
    input: Path | None = None,
    overrides: Sequence[str] = (),
    format: GenerateFormat = "text",
    adapter: Path | None = None,
    reporter: Reporter = console,
) -> GenerateResult:
    """Write continuations of a prompt, or of each line of a file, to stdout while they are made.

    Args:
        model: A run, recipe, checkpoint or model folder of a language model.
        prompt: One prompt, which may have several lines; None: each line of the input is a prompt.
        input: A file; None: stdin.
        overrides: Changes to the settings of `decoding`, as KEY=VALUE.
        format: `text` streams a single continuation; several are separated by blank lines.
        adapter: A run with an adapter, or the folder of one.

    Raises:
        DataError: The prompt is not UTF-8.
        ModelError: It is not a language model.
    """
    argument_text(prompt or "", "--prompt")
    generator = create_text_generator(load_language_model(model, overrides, adapter))
    result, is_single = GenerateResult(), generator.settings.n_best == 1
    with open_stdout() as stream:
        for index, text in enumerate(_prompts(prompt, input, result, reporter), 1):
            if format == "text" and is_single:
                found = generator.generate(text, index, lambda part: _write(stream, part))
                _write(stream, "\n")
            else:
                found = generator.generate(text, index)
                _write(stream, _format(index - 1, text, found, format))
            result.prompts += 1
            result.tokens += sum(each.tokens for each in found)
    return result


def _prompts(prompt: str | None, path: Path | None, result: GenerateResult, reporter: Reporter) -> Iterator[str]:
    if prompt is not None:
        yield prompt
        return
    invalid = InvalidLines()
    with open_input(path, reporter=reporter) as opened:
        yield from opened.lines(invalid)
        result.warnings += invalid.warnings(opened.name)


def _format(index: int, prompt: str, found: "Sequence[Continuation]", format: GenerateFormat) -> str:
    if format == "text":
        return "".join(f"{each.text}\n\n" for each in found)
    records = (
        {
            "id": index,
            "prompt": prompt,
            "text": each.text,
            "log_probability": round(each.log_probability, 4),
            "score": round(each.score, 4),
            "length": each.tokens,
            "is_complete": each.has_eos,
        }
        for each in found
    )
    return "".join(f"{json.dumps(each, ensure_ascii=False, allow_nan=False)}\n" for each in records)


def _write(stream: IO[bytes], text: str) -> None:
    stream.write(text.encode())
    stream.flush()
