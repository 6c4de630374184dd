"""What a user says of how to translate → a translator, in this process or in another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nmt_cli.console import warn
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.recipe.decoding import MinimumRiskSettings, SearchSettings
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.checks import Checker

if TYPE_CHECKING:  # torch, which who only hands options on does not need
    from nmt_cli.commands.loading import LoadedModel
    from nmt_cli.decoding.minimum_risk import Utility
    from nmt_cli.decoding.translator import Translator
    from nmt_cli.devices import Precision


@dataclass(frozen=True)
class TranslatorOptions:
    """All that makes a translator; plain values, so that a worker process can be told them."""

    models: Sequence[Path]
    """Several translate together, as an ensemble; settings are those of the first."""
    overrides: Sequence[str] = ()
    weights: Sequence[float] = ()
    """How much each model counts; none means all alike."""


def open_translator(options: TranslatorOptions) -> "Translator":
    """Load what the options name."""
    from nmt_cli.commands.loading import load_model

    weights = options.weights
    if weights and (len(weights) != len(options.models) or not all(0 < weight < math.inf for weight in weights)):
        raise RecipeError(f"--weights: {len(options.models)} models need as many weights, all above zero")
    loaded = [load_model(path, options.overrides) for path in options.models]
    return translator_of(_together(loaded, weights) if len(loaded) > 1 else loaded[0])


def translator_of(loaded: "LoadedModel") -> "Translator":
    """A translator with a loaded model, which on a CPU is of no other use from now on."""
    from nmt_cli.decoding.translator import Translator

    config, settings = loaded.config, loaded.decoding
    return Translator(
        loaded.model,
        loaded.tokenizer,
        settings,
        loaded.device,
        _packed(loaded),
        longest=config.longest_sentence,
        check=Checker(config.source_language, config.target_language) if settings.check else None,
        utility=utility_of(settings, loaded.evaluation),
    )


def utility_of(settings: SearchSettings, evaluation: Evaluation) -> "Utility | None":
    """What minimum risk goes by; None if the settings are of another search."""
    if not isinstance(settings, MinimumRiskSettings):
        return None
    from nmt_cli.evaluation.utility import expected_utilities, similarity

    return partial(expected_utilities, similarity=similarity(settings.utility, evaluation))


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
    return replace(
        first,
        model=Ensemble([each.model for each in models], weights),
        config=first.config.model_copy(
            update={"longest_sentence": min(each.config.longest_sentence for each in models)}
        ),
    )


def _packed(loaded: "LoadedModel") -> "Precision":
    """Make the model fast for search, and say what is left for the arithmetic around it."""
    from nmt_cli.devices import keep_freed_memory, multiplies_bf16
    from nmt_cli.models import pack

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
