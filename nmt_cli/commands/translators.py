"""What a user says of how to translate → a translator, in this process or in another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nmt_cli.console import warn
from nmt_cli.decoding.steering.glossary import Mode, read_glossary, read_phrases
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.decoding import MinimumRiskSettings, SearchSettings
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.checks import Checker

if TYPE_CHECKING:  # torch, which who only hands options on does not need
    from nmt_cli.commands.loading import LoadedModel
    from nmt_cli.data.tokenizing.tags import SourceTags
    from nmt_cli.decoding.minimum_risk import Utility
    from nmt_cli.decoding.steering.wishes import SteeringSettings
    from nmt_cli.decoding.translator import Demands, Translator
    from nmt_cli.devices import Precision


@dataclass(frozen=True)
class TranslatorOptions:
    """All that makes a translator; plain values, so that a worker process can be told them."""

    models: Sequence[Path]
    """Several translate together, as an ensemble; settings are those of the first."""
    overrides: Sequence[str] = ()
    weights: Sequence[float] = ()
    """How much each model counts; none means all alike."""
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
    target_language: str | None = None
    """One of several that a model translates into; None: its own, that of `data.target_language`."""
    tag: str | None = None
    """Of a training corpus, like which it translates."""


def open_translator(options: TranslatorOptions) -> "Translator":
    """Load what the options name."""
    from nmt_cli.commands.loading import load_model
    from nmt_cli.decoding.forced.annotation import Wanted
    from nmt_cli.decoding.shields import Shield, protecting
    from nmt_cli.decoding.translator import Demands

    weights = options.weights
    if weights and (len(weights) != len(options.models) or not all(0 < weight < math.inf for weight in weights)):
        raise RecipeError(f"--weights: {len(options.models)} models need as many weights, all above zero")
    steering, protect = _steering(options), protecting(options.protect)
    models = [load_model(path, options.overrides) for path in options.models]
    loaded = _together(models, weights) if len(models) > 1 else models[0]
    _refuse_beside_context(options, loaded.config.context)
    steering = replace(steering, bonus=loaded.decoding.glossary_bonus)
    wanted = Wanted(options.alignment, options.word_scores)
    demands = Demands(steering=steering, wanted=wanted, tags=source_tags(loaded, options.target_language, options.tag))
    if options.markup or protect:
        if names := ", ".join(loaded.tokenizer.factors.names):
            option = "--markup" if options.markup else "--protect"
            raise RecipeError(f"{option}: hides parts of words, but this model needs the {names} of each, as it stands")
        shield = Shield(options.markup, protect, wanted)
        demands = replace(demands, wanted=replace(wanted, alignment=True), shield=shield)
    return translator_of(loaded, demands)


def source_tags(loaded: "LoadedModel", target_language: str | None = None, tag: str | None = None) -> "SourceTags":
    """What stands before each source, as the model was taught; RecipeError if it was not taught that."""
    from nmt_cli.data.tokenizing.tags import SourceTags

    return SourceTags.chosen(loaded.tokenizer.source.tags, loaded.config.target_language, target_language, tag)


def _refuse_beside_context(options: TranslatorOptions, context: Context | None) -> None:
    """RecipeError for what cannot be done well by a model that joins lines to those before them."""
    if context is None:
        return
    asked = {"--markup": options.markup, "--protect": bool(options.protect)}
    reason = "reads each line with those before it (data.context)"
    if context.target:
        asked |= {
            "--glossary": options.glossary is not None,
            "--alignment": options.alignment,
            "--word-scores": options.word_scores,
        }
        reason = "translates the lines before each anew (data.context.target)"
    for option, is_asked in asked.items():
        if is_asked:
            raise RecipeError(f"{option}: does not go with this model, which {reason}")


def _steering(options: TranslatorOptions) -> "SteeringSettings":
    """What options wish of all translations; their files are read, and mistakes told, before the model is loaded."""
    from nmt_cli.decoding.steering.wishes import SteeringSettings

    glossary = None if options.glossary is None else read_glossary(options.glossary)
    phrases = () if options.forbidden is None else read_phrases(options.forbidden)
    return SteeringSettings(glossary, options.glossary_mode, forbidden=phrases)


def translator_of(loaded: "LoadedModel", demands: "Demands | None" = None) -> "Translator":
    """A translator with a loaded model, which on a CPU is of no other use from now on; its settings may add a check."""
    from nmt_cli.decoding.translator import Demands, Translator

    config, settings = loaded.config, loaded.decoding
    demands = demands or Demands(tags=source_tags(loaded))
    check = Checker(config.source_language, demands.tags.language or config.target_language) if settings.check else None
    return Translator(
        loaded.model,
        loaded.tokenizer,
        settings,
        loaded.device,
        _packed(loaded),
        longest=config.longest_sentence,
        utility=utility_of(settings, loaded.evaluation),
        demands=replace(demands, check=check, context=config.context),
    )


def utility_of(settings: SearchSettings, evaluation: Evaluation) -> "Utility | None":
    """What minimum risk goes by; None if the settings are of another search."""
    if not isinstance(settings, MinimumRiskSettings):
        return None
    from nmt_cli.evaluation.mbr_utility import expected_utilities, utility_function

    return partial(expected_utilities, utility=utility_function(settings.utility, evaluation))


def _together(models: Sequence["LoadedModel"], weights: Sequence[float]) -> "LoadedModel":
    """Models as one; ModelError if they do not share their vocabulary."""
    from nmt_cli.models.ensemble import Ensemble

    first = models[0]
    for other in models[1:]:
        if other.tokenizer.fingerprint != first.tokenizer.fingerprint:
            raise ModelError(
                f"{other.files.folder}: has another vocabulary than {first.files.folder};"
                " models translate together only if they were trained with the same tokenizer"
            )
        if other.config.context != first.config.context:
            raise ModelError(f"{other.files.folder}: has another data.context than {first.files.folder}")
    return replace(
        first,
        model=Ensemble([each.model for each in models], weights),
        config=first.config.model_copy(
            update={"longest_sentence": min(each.config.longest_sentence for each in models)}
        ),
    )


def _packed(loaded: "LoadedModel") -> "Precision":
    """Make the model fast for search, and say what is left for the arithmetic around it."""
    from nmt_cli.devices import has_fast_bf16, keep_freed_memory, limit_memory_growth
    from nmt_cli.models.kernels import Backend

    precision = loaded.decoding.precision
    if loaded.device.type != "cpu":
        if precision == "int8":
            raise RecipeError("decoding.precision: int8 is for CPUs only; say bf16")
        return precision
    if precision == "bf16" and not has_fast_bf16(loaded.device):
        warn("decoding.precision: this processor has no instructions for bf16; taking fp32, though int8 is faster")
        precision = "fp32"
    limit_memory_growth()
    keep_freed_memory()
    backend = Backend(precision)
    if backend.is_useful:
        loaded.model.prepare_for_inference(backend)
    return "fp32"
