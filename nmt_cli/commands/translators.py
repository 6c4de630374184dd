"""What a user says of how to translate → a translator, in this process or in another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt_cli.errors import RecipeError
from nmt_cli.text.checks import Checker

if TYPE_CHECKING:  # torch, which who only hands options on does not need
    from nmt_cli.commands.loading import LoadedModel
    from nmt_cli.decoding.translator import Translator


@dataclass(frozen=True)
class TranslatorOptions:
    """All that makes a translator; plain values, so that a worker process can be told them."""

    models: Sequence[Path]
    overrides: Sequence[str] = ()


def open_translator(options: TranslatorOptions) -> "Translator":
    """Load what the options name."""
    from nmt_cli.commands.loading import load_model

    if len(options.models) != 1:
        raise RecipeError("ensembles are not supported yet; name one model")
    return translator_of(load_model(options.models[0], options.overrides))


def translator_of(loaded: "LoadedModel") -> "Translator":
    """What translates with a model, as its settings say."""
    from nmt_cli.decoding.translator import Translator

    config, settings = loaded.config, loaded.decoding
    check = Checker(config.source_language, config.target_language) if settings.check else None
    return Translator(
        loaded.model, loaded.tokenizer, settings, loaded.device, longest=config.longest_sentence, check=check
    )
