"""What a user says of how to translate → a translator, in this process or in another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nmt_cli.console import warn
from nmt_cli.decoding.steering.glossary import Mode, read_glossary, read_phrases
from nmt_cli.errors import RecipeError
from nmt_cli.text.checks import Checker

if TYPE_CHECKING:  # torch, which who only hands options on does not need
    from nmt_cli.commands.loading import LoadedModel
    from nmt_cli.decoding.steering.wishes import SteeringSettings
    from nmt_cli.decoding.translator import Translator
    from nmt_cli.devices import Precision


@dataclass(frozen=True)
class TranslatorOptions:
    """All that makes a translator; plain values, so that a worker process can be told them."""

    models: Sequence[Path]
    overrides: Sequence[str] = ()
    glossary: Path | None = None
    glossary_mode: Mode = "soft"
    forbidden: Path | None = None
    """A file with a word or phrase on each line, which no translation says."""
    alignment: bool = False
    word_scores: bool = False
    markup: bool = False
    """Whether lines hold XML, whose tags each come out once."""
    protect: Sequence[str] = ()
    """Regular expressions; what they match comes out as it is."""


def open_translator(options: TranslatorOptions) -> "Translator":
    """Load what the options name."""
    from nmt_cli.commands.loading import load_model
    from nmt_cli.decoding.forced.annotation import Annotator, Wanted
    from nmt_cli.decoding.shields import Shield, protecting
    from nmt_cli.decoding.steering.wishes import Steering

    if len(options.models) != 1:
        raise RecipeError("ensembles are not supported yet; name one model")
    steering, protect = _steering(options), protecting(options.protect)
    loaded = load_model(options.models[0], options.overrides)
    translator = translator_of(loaded)
    translator.steering = Steering(loaded.tokenizer, replace(steering, bonus=loaded.decoding.glossary_bonus))
    wanted = Wanted(options.alignment, options.word_scores)
    if options.markup or protect:
        translator.shield = Shield(options.markup, protect, shown=wanted)
        wanted = replace(wanted, alignment=True)
    if wanted.alignment or wanted.word_scores:
        translator.annotator = Annotator(translator.searcher, loaded.tokenizer, loaded.decoding.batch_tokens, wanted)
    return translator


def _steering(options: TranslatorOptions) -> "SteeringSettings":
    """What options wish of all translations; their files are read, and mistakes told, before the model is loaded."""
    from nmt_cli.decoding.steering.wishes import SteeringSettings

    glossary = None if options.glossary is None else read_glossary(options.glossary)
    phrases = () if options.forbidden is None else read_phrases(options.forbidden)
    return SteeringSettings(glossary, options.glossary_mode, forbidden=phrases)


def translator_of(loaded: "LoadedModel") -> "Translator":
    """A translator with a loaded model, which on a CPU is of no other use from now on."""
    from nmt_cli.decoding.translator import Translator

    config, settings = loaded.config, loaded.decoding
    precision = _packed(loaded)
    check = Checker(config.source_language, config.target_language) if settings.check else None
    return Translator(
        loaded.model, loaded.tokenizer, settings, loaded.device, precision, longest=config.longest_sentence, check=check
    )


def _packed(loaded: "LoadedModel") -> "Precision":
    """Make the model fast for search, and say what is left for the arithmetic around it."""
    from nmt_cli.devices import keep_freed_memory, multiplies_bf16
    from nmt_cli.models.packed import pack

    precision = loaded.decoding.precision
    if loaded.device.type != "cpu":
        if precision == "int8":
            raise RecipeError("decoding.precision: int8 is for CPUs only; say bf16")
        return precision
    if precision == "bf16" and not multiplies_bf16(loaded.device):
        warn("decoding.precision: this processor has no instructions for bf16; int8 and fp32 are faster on it")
    keep_freed_memory()
    pack(loaded.model, precision)
    return "fp32"
