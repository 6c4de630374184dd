"""Exports of language models: tokens, log-probabilities and continuations are compared with those of the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import torch

from nmt_cli import console
from nmt_cli.console import Reporter
from nmt_cli.data.context import decode_document, encode_documents, normalize_documents
from nmt_cli.data.reading.documents import LINE_BREAK
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.language_models import ctranslate2, huggingface
from nmt_cli.interop.exporting.language_models.generation import ProgramSettings
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.exporting.model_card import write_model_card
from nmt_cli.interop.exporting.verification import ODD_LINES, check_scores, log_probs, random_pairs, run_example

NUM_NEW_TOKENS = 32
"""Tokens of the continuations that are compared."""
_NUM_PROMPTS = 20
_NUM_DOCUMENTS, _NUM_LINES = 50, 8
"""Texts that are compared, and their lines."""

Continue = Callable[[list[str]], list[str]]
"""Returns the greedy continuation of each prompt, of up to NUM_NEW_TOKENS tokens."""


class LanguageProgram(Protocol):
    """The program that an export is for, with the language model loaded."""

    def encode(self, documents: list[str]) -> list[list[int]]:
        """Return the ids of each document, without special tokens."""

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row of ids."""

    def score(self, rows: list[list[int]]) -> list[list[float]]:
        """Return the natural-log probability of each token of each document, eos included."""


@dataclass(frozen=True)
class LanguageModelFormat:
    """See ExportFormat."""

    title: str
    package: str
    write: Callable[[ExportedModel, Path], Mapping[str, Any]]
    open: Callable[[ExportedModel, Path], LanguageProgram]
    settings: ProgramSettings


FORMATS = {
    "ctranslate2": LanguageModelFormat(
        "CTranslate2", "ctranslate2", ctranslate2.write, ctranslate2.CTranslate2Generator, ctranslate2.SETTINGS
    ),
    "huggingface": LanguageModelFormat(
        "Hugging Face transformers",
        "transformers",
        huggingface.write,
        huggingface.HuggingFaceGenerator,
        huggingface.SETTINGS,
    ),
}
"""By value of `--to`."""


def export(
    exported: ExportedModel,
    to: str,
    folder: Path,
    documents: Sequence[str] | None,
    continue_prompts: Continue,
    reporter: Reporter = console,
) -> str:
    """Write an export with its model card, and verify it if its program is installed; return the result.

    A warning names the settings of `decoding` that the program does not have.

    Args:
        to: Value of `--to`.
        folder: An empty folder.
        documents: Text by which the export is verified. Default: random tokens.
        continue_prompts: May change the model, which is not used afterwards.

    Raises:
        ModelError: The format cannot hold the model, or the program does not agree with nmt.
        ResourceError: A package that writes the format is not installed.
    """
    if to not in FORMATS:
        raise ModelError(f"language models cannot be exported to {to}; they can to {' and '.join(FORMATS)}")
    row, name = FORMATS[to], f"language_models/{to}"
    unsupported = row.settings.unsupported(exported)
    usage = {**row.write(exported, folder), "unsupported": unsupported}
    write_model_card(exported, name, row.title, usage, "unverified", folder)  # verification runs its example
    try:
        program, version = row.open(exported, folder), metadata.version(row.package)
    except (ImportError, metadata.PackageNotFoundError) as error:
        result = f"unverified: {getattr(error, 'name', None) or row.package} is not installed"
    else:
        found = _verify(exported, program, folder, documents, continue_prompts)
        result = f"verified with {row.package} {version}: {found}"
    write_model_card(exported, name, row.title, usage, result, folder)
    if unsupported:
        reporter.warn(f"{row.title} does not have {', '.join(unsupported)}; the export generates text without")
    return result


@torch.inference_mode()
def _verify(
    exported: ExportedModel,
    program: LanguageProgram,
    folder: Path,
    documents: Sequence[str] | None,
    continue_prompts: Continue,
) -> str:
    """Compare an export with its model; ModelError if tokens or log-probabilities differ."""
    special, side = exported.tokenizer.special_tokens, exported.tokenizer.target
    limit = exported.longest_sentence - 1  # with decoder_start
    rows = [row[:limit] for _, row in random_pairs(exported.tokenizer)]
    texts = [decode_document(side, row) for row in rows] if documents is None else _samples(documents)
    checked = [*ODD_LINES, *texts]
    if side.segmenter.reads_line_breaks or side.line_break is not None:
        checked.append("\n".join(["", "a b", "", " a  b ", *ODD_LINES[:3], ""]))
    _check_tokens(exported, program, checked)
    encoded = [_encode(exported, text)[:limit] for text in texts]
    rows += [row for row in encoded if row]
    found = program.score(rows)
    expected = [log_probs(exported.model, (), (special.decoder_start,), row) for row in rows]
    difference = check_scores(expected, found)
    prompts = [decode_document(side, row[: max(1, min(len(row) // 2, limit - NUM_NEW_TOKENS))]) for row in encoded]
    prompts = [prompt for prompt in prompts if prompt.strip()][:_NUM_PROMPTS]
    theirs = run_example(folder, prompts, f"generate({{}}, greedy=True, max_new_tokens={NUM_NEW_TOKENS})")
    ours = continue_prompts(prompts)
    num_equal = sum(own == other for own, other in zip(ours, theirs, strict=True))
    return (
        f"tokens of {len(checked)} documents are equal, log-probabilities of {len(rows)} differ by at most"
        f" {difference:.1e}, {num_equal} of {len(prompts)} greedy continuations are equal"
    )


def _samples(documents: Sequence[str]) -> list[str]:
    """Return the first parts of documents, of a few lines each."""
    found = list[str]()
    for document in documents:
        lines = document.split("\n")
        found += ["\n".join(lines[first : first + _NUM_LINES]) for first in range(0, len(lines), _NUM_LINES)]
        if len(found) >= _NUM_DOCUMENTS:
            break
    return found[:_NUM_DOCUMENTS]


def _encode(exported: ExportedModel, text: str) -> list[int]:
    escaped = normalize_documents(exported.tokenizer.normalization, [text.replace("\n", LINE_BREAK)])
    return [int(token) for token in encode_documents(exported.tokenizer.target, escaped)[0]]


def _check_tokens(exported: ExportedModel, program: LanguageProgram, texts: list[str]) -> None:
    side, unk = exported.tokenizer.target, exported.tokenizer.special_tokens.unk
    for text, found in zip(texts, program.encode(texts), strict=True):
        if found != (expected := _encode(exported, text)):
            raise ModelError(f"the tokenizer cannot be exported: {text!r} is split otherwise by the export")
        if unk not in expected and program.decode([expected]) != [decode_document(side, expected)]:
            raise ModelError(f"the tokenizer cannot be exported: {text!r} is decoded otherwise by the export")
