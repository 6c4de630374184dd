"""Loading of translators."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nmt_cli import console
from nmt_cli.decoding.requests import DEFAULT_OPTIONS, TranslateOptions
from nmt_cli.errors import ModelError, NmtError, RecipeError
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.decoding import CtcSearchSettings, StepwiseSettings
from nmt_cli.recipe.model import CtcSettings
from nmt_cli.recipe.section import LengthClass
from nmt_cli.text.checks.checker import Checker
from nmt_cli.text.checks.toxicity import ToxicityCheck

if TYPE_CHECKING:  # a process that only passes options on needs no torch
    from nmt_cli.commands.loading import LoadedModel
    from nmt_cli.commands.model_config import ModelConfig
    from nmt_cli.data.tokenizer import Tokenizer
    from nmt_cli.data.tokenizing.tags import SourceTags
    from nmt_cli.decoding.logits_processors.processor import LogitsProcessor
    from nmt_cli.decoding.scoring.ngram import NgramModel
    from nmt_cli.decoding.translator import Translator
    from nmt_cli.devices import Precision


def open_translator(options: TranslateOptions) -> "Translator":
    """Load the models of the options. Raises the errors of `load_models` and `build_translator`."""
    return create_translator(load_models(options), options)


def load_models(options: TranslateOptions) -> "LoadedModel":
    """Load the model of the options, or its ensemble of models.

    Raises:
        RecipeError: The options do not fit together, or do not fit the model.
        ModelError: A model is missing or damaged, or the models do not fit together.
    """
    from nmt_cli.commands.loading import load_model

    weights = options.weights
    if weights and (len(weights) != len(options.models) or not all(0 < weight < math.inf for weight in weights)):
        raise RecipeError(f"--weights: give one positive weight for each of the {len(options.models)} models")
    if options.protect:
        from nmt_cli.decoding.markup.transfer import find_protected

        find_protected(options.protect)  # so that errors are raised before the model is loaded
    if options.adapter is not None and len(options.models) > 1:
        raise RecipeError("--adapter: requires a single model; to combine several, use the merged models of their runs")
    models = [load_model(path, options.overrides, options.adapter) for path in options.models]
    return _ensemble(models, weights) if len(models) > 1 else models[0]


def create_translator(loaded: "LoadedModel", options: TranslateOptions = DEFAULT_OPTIONS) -> "Translator":
    """Create a translator. On a CPU this changes the model, which must not be used for anything else afterwards."""
    return build_translator(loaded, options, prepare_for_inference(loaded))


def build_translator(loaded: "LoadedModel", options: TranslateOptions, precision: "Precision") -> "Translator":
    """Create one of several translators with a model that `prepare_for_inference` has prepared.

    Raises:
        RecipeError: The options do not fit the model.
        ModelError: It is a language model.
    """
    from nmt_cli.commands.loading import open_shortlist
    from nmt_cli.decoding.translator import InferenceConfig, Translator

    if loaded.model.capabilities.source == "none":
        raise ModelError(f"{loaded.files.folder}: is a language model, which does not translate; use nmt generate")
    config, settings, tags = (
        loaded.config,
        loaded.decoding,
        source_tags(loaded.config, loaded.tokenizer, options, loaded.decoding.length),
    )
    _check_context_options(options, config.context)
    if options.toxic_words and not settings.check:
        raise RecipeError("--toxic-words: is a part of the checker; remove --no-check, or decoding.check: false")
    if options.source_toxic_words and not options.toxic_words:
        raise RecipeError("--source-toxic-words: has no effect without words in --toxic-words; remove it")
    if options.has_masking and (names := ", ".join(loaded.tokenizer.factors.names)):
        option = "--markup" if options.markup else "--protect"
        raise RecipeError(f"{option}: masks parts of words, but this model needs the {names} of whole words")
    return Translator(
        loaded.model,
        loaded.tokenizer,
        settings,
        loaded.device,
        InferenceConfig(
            precision=precision,
            max_tokens=config.longest_sentence,
            context=config.context,
            tags=tags,
            source_eos=config.source_eos,
            processors=_fusion(loaded),
            ngram_model=_ngram_model(loaded),
            shortlist=open_shortlist(loaded) if uses_shortlist(loaded) else None,
        ),
        options,
        check=_checker(options, config.source_language, tags.language) if settings.check else None,
        evaluation=for_language(loaded.evaluation, tags.language),
    )


def _checker(options: TranslateOptions, source_language: str, target_language: str) -> Checker:
    toxicity = ToxicityCheck(options.toxic_words, options.source_toxic_words) if options.toxic_words else None
    return Checker(source_language, target_language, toxicity)


def uses_shortlist(loaded: "LoadedModel") -> bool:
    """Return whether the search of a model is restricted to its shortlist."""
    return isinstance(loaded.decoding, StepwiseSettings) and loaded.decoding.shortlist


def _fusion(loaded: "LoadedModel") -> "Sequence[LogitsProcessor]":
    """Return the processor of `decoding.language_model`, if it is given; ModelError if the vocabularies differ."""
    settings = loaded.decoding.language_model if isinstance(loaded.decoding, StepwiseSettings) else None
    if settings is None:
        return ()
    from nmt_cli.commands.loading import load_language_model
    from nmt_cli.decoding.logits_processors.fusion import LanguageModelFusion

    own, found = loaded.tokenizer, load_language_model(settings.path)
    if (found.tokenizer.target.entries, found.tokenizer.special_tokens) != (own.target.entries, own.special_tokens):
        raise ModelError(
            f"decoding.language_model.path: {settings.path}: has another vocabulary than {loaded.files.folder};"
            " prepare its text with tokenizer.path set to the run of the translation model"
        )
    prepare_for_inference(replace(found, decoding=loaded.decoding))
    return (LanguageModelFusion(found.model.to(loaded.device).eval(), settings.weight),)


def _ngram_model(loaded: "LoadedModel") -> "NgramModel | None":
    """Return the model of `decoding.ngram_model`, if it is given; ModelError if it is damaged, or of other tokens."""
    settings = loaded.decoding
    if not isinstance(settings, CtcSearchSettings) or settings.ngram_model is None:
        return None
    from nmt_cli.data.tokenizing.segmenter import WORD_START
    from nmt_cli.decoding.scoring.arpa import read_arpa
    from nmt_cli.decoding.scoring.ngram import NgramModel, known_ids

    path = settings.ngram_model.path
    if path.exists() and not path.is_file():
        raise ModelError(f"decoding.ngram_model: {path}: is not a regular file")
    target = loaded.tokenizer.target
    prefix = WORD_START if target.segmenter.name == "word" else ""
    ids = {entry.removeprefix(prefix): index for index, entry in enumerate(target.entries)}
    try:
        return NgramModel(read_arpa(path, known_ids(ids, len(target.entries))), len(target.entries))
    except NmtError as error:
        raise ModelError(f"decoding.ngram_model: {error}") from error


def source_tags(
    config: "ModelConfig",
    tokenizer: "Tokenizer",
    options: TranslateOptions = DEFAULT_OPTIONS,
    length: LengthClass | None = None,
) -> "SourceTags":
    """Return the tags before each source.

    Args:
        length: decoding.length.

    Raises:
        RecipeError: The model was not trained with the tags of the options, or that of the length.
    """
    from nmt_cli.data.tokenizing.tags import SourceTags

    known, special = tokenizer.source.tags, tokenizer.special_tokens
    if length is not None and not config.length_tags:
        raise RecipeError(f"decoding.length: {length}: this model was trained without data.length_tags; remove it")
    source, target = options.source_language or config.source_language, options.target_language
    if config.language_tokens is not None:
        start = () if config.target_language_first else (special.decoder_start,)
        tags = SourceTags(known, is_language_last=config.source_language_last, prompt_start=start)
        return tags.with_languages(config.language_tokens, source, target or config.target_language)
    if source != config.source_language:
        raise RecipeError(f"--source-language {source}: this model translates from {config.source_language}")
    tags = SourceTags.from_options(known, config.target_language, target, options.corpus_tag)
    tags = replace(tags, length=length or "normal") if config.length_tags else tags
    if config.bos:
        tags = replace(tags, source_start=(special.bos,), prompt_start=(special.decoder_start, special.bos))
    return tags


def _check_context_options(options: TranslateOptions, context: Context | None) -> None:
    """Raise RecipeError for options that do not work well with a model that reads lines in context."""
    if context is None:
        return
    unsupported = {"--markup": options.markup, "--protect": bool(options.protect)}
    reason = "reads lines in context (data.context)"
    if context.target:
        unsupported |= {
            "--glossary": bool(options.glossary),
            "--alignment": options.alignment,
            "--word-scores": options.word_scores,
        }
        reason = "also translates its context (data.context.target)"
    for option, is_used in unsupported.items():
        if is_used:
            raise RecipeError(f"{option}: is not supported by this model, which {reason}")


def _ensemble(models: Sequence["LoadedModel"], weights: Sequence[float]) -> "LoadedModel":
    """Combine models; ModelError if one is a language model, or they differ in their vocabulary or context."""
    from nmt_cli.models.ensemble import Ensemble

    first = models[0]
    for each in models:
        if each.model.capabilities.source == "none":
            raise ModelError(f"{each.files.folder}: is a language model; an ensemble needs models that translate")
    for other in models[1:]:
        if other.tokenizer.fingerprint != first.tokenizer.fingerprint:
            raise ModelError(
                f"{other.files.folder}: its vocabulary differs from that of {first.files.folder};"
                " an ensemble needs models trained with the same tokenizer"
            )
        if _positions_per_token(other.config) != _positions_per_token(first.config):
            reason = "an ensemble needs CTC models of one model.upsampling, or none"
            raise ModelError(f"{other.files.folder}: its positions differ from those of {first.files.folder}; {reason}")
        for key in ("context", "length_tags"):
            if getattr(other.config, key) != getattr(first.config, key):
                raise ModelError(f"{other.files.folder}: its data.{key} differs from that of {first.files.folder}")
    return replace(
        first,
        model=Ensemble([each.model for each in models], weights),
        config=first.config.model_copy(
            update={"longest_sentence": min(each.config.longest_sentence for each in models)}
        ),
    )


def _positions_per_token(config: "ModelConfig") -> int | None:
    """Return the output positions of each source token; None if the model generates token by token."""
    return config.model.upsampling if isinstance(config.model, CtcSettings) else None


def prepare_for_inference(loaded: "LoadedModel") -> "Precision":
    """Make the model fast for search. Return the precision of the remaining arithmetic."""
    from nmt_cli.devices import has_fast_bf16, keep_freed_memory, limit_memory_growth
    from nmt_cli.models.kernels import Backend

    precision = loaded.decoding.precision
    if loaded.device.type != "cpu":
        if precision == "int8":
            raise RecipeError("decoding.precision: int8 is for CPUs only; use bf16")
        return precision
    if precision == "bf16" and not has_fast_bf16(loaded.device):
        console.warn("decoding.precision: this CPU has no bf16 instructions; using fp32, but int8 is faster")
        precision = "fp32"
    limit_memory_growth()
    keep_freed_memory()
    backend = Backend(precision, keeps_rows=uses_shortlist(loaded))
    if backend.is_useful:
        loaded.model.prepare_for_inference(backend)
    return "fp32"
