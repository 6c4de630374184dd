"""Models to export, and what the verification of an export needs."""

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from foreign_models import LINES

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SourceTags
from nmt_cli.decoding.constraints.spelling import suppressed_tokens
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.translator import InferenceConfig, Translator
from nmt_cli.interop import exporting
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.models.contract import Model
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.decoding import BeamSettings


def new_tokenizer() -> Tokenizer:
    """A joint tokenizer without bytes."""
    return Tokenizer.train(TokenizerSettings(vocabulary_size=80, byte_fallback=False), LINES, LINES, seed=1)


def exported(
    model: Model, tokenizer: Tokenizer, max_length: int = 10, beam_size: int = 2, **changes: Any
) -> ExportedModel:
    """A model as `nmt export` hands it to a format."""
    beam = BeamSettings(
        beam_size=beam_size, max_length=max_length, check=False, split_sentences_above=None, max_length_ratio=99
    )
    tags = SourceTags(tokenizer.source.tags, "de").ids()
    each = ExportedModel(model, tokenizer, ("en", "de"), beam, 200, tags, suppressed=suppressed_tokens(tokenizer))
    return replace(each, **changes)


def translations(each: ExportedModel, lines: list[str]) -> list[str]:
    """What nmt itself translates; the model is not changed."""
    tags = SourceTags(each.tokenizer.source.tags, each.languages[1])
    if each.language_tokens is not None:
        tags = SourceTags(each.tokenizer.source.tags, each.languages[1], source_language=each.languages[0])
    config = InferenceConfig(max_tokens=each.longest_sentence, tags=tags, source_eos=each.source_eos)
    translator = Translator(each.model, each.tokenizer, each.decoding, torch.device("cpu"), config)
    return [found.best.text for found in translator.translate(map(Request, lines))]


def export(each: ExportedModel, to: str, folder: Path, lines: tuple[list[str], list[str]] | None = None) -> str:
    """Export and verify, as `nmt export` does."""
    return exporting.export(each, to, folder, lines, lambda sources: translations(each, sources))


def run_example_here(folder: Path, lines: Sequence[str], call: str = "translate({})") -> list[str]:
    """`run_example` in this process, where transformers, which takes seconds to load, is already loaded."""
    namespace: dict[str, Any] = {}
    example = (folder / "README.md").read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    sys.path.append(str(folder))  # for the export's own normalization.py
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            exec(example, namespace)
            found: list[str] = eval(call.format("lines"), namespace | {"lines": list(lines)})
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("normalization", None)
    return found
