"""What a user says of how to translate → a translator, in this process or in another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt_cli.commands.loading import LoadedModel, load_model
from nmt_cli.console import warn
from nmt_cli.decoding.translator import Translator
from nmt_cli.devices import keep_freed_memory, multiplies_bf16
from nmt_cli.errors import RecipeError
from nmt_cli.models import pack
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings


@dataclass(frozen=True)
class TranslatorOptions:
    """All that makes a translator; plain values, so that a worker process can be told them."""

    models: Sequence[Path]
    overrides: Sequence[str] = ()


def open_translator(options: TranslatorOptions) -> Translator:
    """Load what the options name."""
    if len(options.models) != 1:
        raise RecipeError("ensembles are not supported yet; name one model")
    loaded = load_model(options.models[0], options.overrides)
    return translator_of(loaded, loaded.decoding)


def translator_of(loaded: LoadedModel, settings: BeamSettings | SamplingSettings) -> Translator:
    """A translator with a loaded model, which on a CPU is of no other use from now on."""
    if loaded.device.type != "cpu":
        if settings.precision == "int8":
            raise RecipeError("decoding.precision: int8 is for CPUs only; say bf16")
        return Translator(loaded.model, loaded.tokenizer, settings, loaded.device, settings.precision)
    if settings.precision == "bf16" and not multiplies_bf16(loaded.device):
        warn("decoding.precision: this processor has no instructions for bf16; int8 and fp32 are faster on it")
    keep_freed_memory()
    pack(loaded.model, settings.precision)
    return Translator(loaded.model, loaded.tokenizer, settings, loaded.device)
