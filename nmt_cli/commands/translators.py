"""What a user says of how to translate → a translator, in this process or in another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt_cli.errors import RecipeError

if TYPE_CHECKING:
    from nmt_cli.decoding.translator import Translator


@dataclass(frozen=True)
class TranslatorOptions:
    """All that makes a translator; plain values, so that a worker process can be told them."""

    models: Sequence[Path]
    overrides: Sequence[str] = ()


def open_translator(options: TranslatorOptions) -> "Translator":
    """Load what the options name."""
    from nmt_cli.commands.loading import load_model  # torch, which who only hands options on does not need
    from nmt_cli.decoding.translator import Translator

    if len(options.models) != 1:
        raise RecipeError("ensembles are not supported yet; name one model")
    loaded = load_model(options.models[0], options.overrides)
    return Translator(loaded.model, loaded.tokenizer, loaded.decoding, loaded.device)
