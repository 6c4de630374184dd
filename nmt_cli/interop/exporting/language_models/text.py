"""Text of exported language models: documents of several lines, whose tokenizer is tokenizer.json."""

import runpy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.models.decoder_only import DecoderOnly
from nmt_cli.recipe.model import DecoderOnlySettings
from nmt_cli.text import normalization

_NORMALIZATION = "normalization.py"


def settings_of(exported: ExportedModel, program: str) -> DecoderOnlySettings:
    """Return the settings of a language model; ModelError if the model is another one."""
    if not isinstance(exported.model, DecoderOnly):
        raise ModelError(f"model.architecture: is not a language model that {program} supports")
    return exported.model.settings


def write_normalization(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write normalization.py; return the values of the usage templates that all formats share."""
    shutil.copyfile(normalization.__file__, folder / _NORMALIZATION)
    special = exported.tokenizer.special_tokens
    return {
        "is_language_model": True,
        "normalization": exported.tokenizer.normalization,
        "window": exported.longest_sentence,
        "suppressed": [token for token in exported.suppressed if token != special.eos],
    }


class DocumentTokenizer:
    """The files of an export that turn documents into tokens, and back."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.encode_special_tokens = True
        normalizations = runpy.run_path(str(folder / _NORMALIZATION))["NORMALIZATIONS"]
        self._normalize = normalizations[exported.tokenizer.normalization]

    def encode(self, documents: list[str]) -> list[list[int]]:
        """Return the ids of each document, without the first token of all."""
        texts = ["\n".join(map(self._normalize, document.split("\n"))) for document in documents]
        return [self._tokenizer.encode(text).ids[1:] for text in texts]

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Return the text of each row of ids."""
        return [self._tokenizer.decode(row, skip_special_tokens=False) for row in rows]

    def name(self, token: int) -> str:
        """Return the name of an entry."""
        return str(self._tokenizer.id_to_token(token))
