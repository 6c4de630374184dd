"""`nmt export`: convert a model to the format of another program."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from nmt_cli import __version__, files
from nmt_cli.commands.evaluation_inputs import read_parallel
from nmt_cli.commands.language_models import create_text_generator
from nmt_cli.commands.loading import LoadedModel, load_model, open_shortlist
from nmt_cli.commands.translators import create_translator, source_tags
from nmt_cli.data.context import DocumentContext
from nmt_cli.data.reading.corpora import read_pairs
from nmt_cli.data.reading.documents import LINE_BREAK
from nmt_cli.data.shortlist import Shortlist
from nmt_cli.decoding.constraints.spelling import suppressed_tokens
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.interop import exporting
from nmt_cli.interop.exporting import language_models
from nmt_cli.interop.exporting.language_models import NUM_NEW_TOKENS
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.recipe.decoding import BeamSettings, StepwiseSettings
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.model import LearnedPositions
from nmt_cli.reporting.container import read_manifest_or_empty
from nmt_cli.runs.directory import SHORTLIST, SOURCE_DOCUMENTS

_MAX_HELD_OUT = 1000
"""Lines that are read to verify an export; fewer are used."""

_MIN_MAX_LENGTH = 200
"""Subwords that a translation may have, at least."""
_MAX_RATIO = 100.0

_WITH_SHORTLIST = {"bergamot"}
"""Formats that hold a shortlist."""

HeldOut = tuple[list[str], list[str]]


def export(
    model: Path,
    to: str,
    output: Path,
    held_out: Sequence[Path] = (),
    languages: tuple[str | None, str | None] = (None, None),
) -> str:
    """Write `model` in format `to` into the folder `output` atomically, replacing an older export.

    Args:
        held_out: Two parallel files by which the export is verified; a language model, by the second. Default: the
            validation data of the run, else random tokens.
        languages: Source and target language, of a model with several.

    Returns:
        How the export was verified.

    Raises:
        RecipeError: The folder is neither empty nor an export.
        ModelError: The format cannot hold the model, or the export does not agree with it.
    """
    files.require_name(output)
    is_empty = not output.exists() or (output.is_dir() and not any(output.iterdir()))
    if not is_empty and "exported" not in read_manifest_or_empty(output):
        raise RecipeError(f"{output}: exists and is not an nmt export; choose another folder with --output")
    loaded = load_model(model)
    if "step" not in loaded.model.capabilities.search:
        raise ModelError(f"model.architecture: {loaded.config.model.architecture} cannot be exported to any format")
    options = TranslateOptions(source_language=languages[0], target_language=languages[1])
    pairs = _read_pairs(held_out) if held_out else _validation_pairs(loaded)
    with files.new_folder(files.target_of(output)) as folder:
        if loaded.model.capabilities.source == "none":
            exported = _exported_language_model(loaded)
            documents = None if pairs is None else [text.replace(LINE_BREAK, "\n") for text in pairs[1]]
            result = language_models.export(exported, to, folder, documents, partial(_continue, loaded))
            _write_manifest(folder, to, exported, result)
            return result
        exported = replace(_exported(loaded, options), held_out=pairs)

        def translate(lines: list[str]) -> list[str]:
            """Translate without nmt's limit that depends on the source."""
            has_shortlist = to in _WITH_SHORTLIST and exported.shortlist is not None
            changes = {"max_length_ratio": _MAX_RATIO, "shortlist": has_shortlist}
            decoding = exported.decoding.model_copy(update=changes)
            translator = create_translator(replace(loaded, decoding=decoding), options)
            return [each.best.text for each in translator.translate(map(Request, lines))]

        result = exporting.export(exported, to, folder, pairs, translate)
        _write_manifest(folder, to, exported, result)
    return result


def _write_manifest(folder: Path, to: str, exported: ExportedModel, result: str) -> None:
    facts = {"normalization": exported.tokenizer.normalization, "verification": result}
    files.write_manifest(folder, {"format": 1, "nmt": __version__, "exported": to, **facts})


def _exported(loaded: LoadedModel, options: TranslateOptions) -> ExportedModel:
    config, tokenizer = loaded.config, loaded.tokenizer
    tags, context = (
        source_tags(config, tokenizer, options, loaded.decoding.length),
        DocumentContext(tokenizer, config.context, config.longest_sentence),
    )
    prompt = tags.prompt()
    return replace(
        _described(loaded, None, _decoding(loaded)),
        languages=(tags.source_language or config.source_language, tags.language),
        source_prefix=tags.ids(),
        target_prefix=prompt[1:],
        language_tokens=config.language_tokens,
        suppressed=suppressed_tokens(tokenizer, context.separators),
        source_eos=config.source_eos,
        source_suffix=tags.suffix,
        decoder_start=prompt[0] if config.target_language_first else None,
        shortlist=_shortlist(loaded),
    )


def _described(loaded: LoadedModel, max_length: int | None, decoding: BeamSettings) -> ExportedModel:
    """Return a model with its licence and documents."""
    config, documents = loaded.config, loaded.files.folder / SOURCE_DOCUMENTS
    licence = read_manifest_or_empty(loaded.files.folder).get("licence")
    return ExportedModel(
        loaded.model,
        loaded.tokenizer,
        (config.source_language, config.target_language),
        decoding if max_length is None else decoding.model_copy(update={"max_length": max_length}),
        config.longest_sentence,
        licence=licence if isinstance(licence, str) else None,
        documents=documents if documents.is_dir() else None,
    )


def _shortlist(loaded: LoadedModel) -> Shortlist | None:
    return open_shortlist(loaded) if (loaded.files.folder / SHORTLIST).exists() else None


def _exported_language_model(loaded: LoadedModel) -> ExportedModel:
    window, given, line_break = loaded.config.longest_sentence, loaded.decoding, loaded.tokenizer.target.line_break
    assert isinstance(given, StepwiseSettings)
    decoding = given.beam(1, 1)
    return replace(
        _described(loaded, given.max_length or window, decoding),
        suppressed=suppressed_tokens(loaded.tokenizer, () if line_break is None else (line_break,)),
        generation=given,
    )


def _continue(loaded: LoadedModel, prompts: list[str]) -> list[str]:
    """Continue prompts by greedy search."""
    decoding = BeamSettings(beam_size=1, max_length=NUM_NEW_TOKENS)
    generator = create_text_generator(replace(loaded, decoding=decoding))
    return [generator.generate(prompt)[0].text for prompt in prompts]


def _decoding(loaded: LoadedModel) -> BeamSettings:
    """Return a beam search without what other programs do not have: checks, and splitting of lines."""
    given = loaded.decoding
    assert isinstance(given, StepwiseSettings)
    size = given.beam_size if isinstance(given, BeamSettings) else BeamSettings().beam_size
    early_stopping = given.early_stopping if isinstance(given, BeamSettings) else False
    longest = given.max_length or max(_MIN_MAX_LENGTH, 2 * loaded.config.longest_sentence)
    settings = loaded.model.export_settings()
    if settings is not None and isinstance(settings.positions, LearnedPositions):
        longest = min(longest, settings.positions.length - 2)
    changes = {
        "early_stopping": early_stopping,
        "max_length": longest,
        "check": False,
        "split_sentences_above": None,
        "precision": "fp32",
    }
    return given.beam(size, 1).model_copy(update=changes)


def _read_pairs(paths: Sequence[Path]) -> HeldOut:
    sources, targets = read_parallel(paths)
    return sources[:_MAX_HELD_OUT], targets[:_MAX_HELD_OUT]


def _validation_pairs(loaded: LoadedModel) -> HeldOut | None:
    """Return pairs of the first validation set of the model's run, if its files are still there."""
    if loaded.files.run is None or loaded.config.context is not None:
        return None
    data = load_recipe(loaded.files.run.resolved).data
    corpus = next(iter(data.valid.values()))
    try:
        pairs = list(itertools.islice(read_pairs(corpus, data.languages_of(corpus), "skip"), _MAX_HELD_OUT))
    except DataError:
        return None
    return ([source for source, _ in pairs], [target for _, target in pairs]) if pairs else None
