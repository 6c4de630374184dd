"""`nmt import`: convert a model of another toolkit to a model folder."""

import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from nmt_cli import __version__, console, files
from nmt_cli.commands.loading import open_model, parameter_shapes, vocabulary_spec
from nmt_cli.commands.model_config import ModelConfig
from nmt_cli.commands.translators import source_tags
from nmt_cli.console import Reporter
from nmt_cli.decoding.requests import DEFAULT_OPTIONS, TranslateOptions
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.interop import ctranslate2_import, g2p_en, huggingface, marian, opus_packages
from nmt_cli.interop.foreign import ForeignModel, check_tensors, converted
from nmt_cli.interop.import_verification import VerificationSkipped, program_of, verify_import
from nmt_cli.recipe.decoding import InferenceSettings
from nmt_cli.recipe.loading import override
from nmt_cli.recipe.model import ModelSettings
from nmt_cli.reporting.container import read_manifest_or_empty
from nmt_cli.runs.checkpoints import write_tensor_stream
from nmt_cli.runs.directory import CONFIG, SOURCE_DOCUMENTS, TOKENIZER, WEIGHTS

UNDETERMINED = "und"
"""ISO 639 code of a language that is not known."""

_FORMATS: tuple[tuple[Callable[[Path], bool], Callable[[Path, Path], ForeignModel]], ...] = (
    (huggingface.is_huggingface, huggingface.load),
    (ctranslate2_import.is_ctranslate2, ctranslate2_import.load),
    (g2p_en.is_g2p_en, g2p_en.load),
    (marian.is_marian, marian.load),
)
"""For each format, whether a folder has it, and how to read it."""

_DOCUMENTS = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*", "README*")
"""Files that are kept: the licence and the model card."""
_MAX_DOCUMENT_SIZE = 2**20


def import_model(
    source: Path,
    output: Path,
    languages: tuple[str | None, str | None] = (None, None),
    overrides: Sequence[str] = (),
    verify: bool = False,
    reporter: Reporter = console,
) -> None:
    """Write the model in a folder or zip archive of another toolkit into the folder `output` atomically.

    An older import in `output` is replaced.

    Args:
        languages: Source and target language, instead of those that the folder names.
        overrides: Changes to the settings `model`, `decoding` and `evaluation`, as KEY=VALUE.
        verify: Compare the model with its own program, if that is installed.

    Raises:
        RecipeError: The output folder is neither empty nor an import.
        ModelError: The format is not known, the model is damaged, something in it cannot be represented, or it
            differs from what its own program computes.
    """
    files.require_name(output)
    is_empty = not output.exists() or (output.is_dir() and not any(output.iterdir()))
    if not is_empty and "imported" not in read_manifest_or_empty(output):
        raise RecipeError(f"{output}: exists and is not an imported model; choose another folder with --output")
    with files.new_folder(output) as folder:
        scratch = folder / "scratch"
        (scratch / "archive").mkdir(parents=True)
        if zipfile.is_zipfile(source):
            source = opus_packages.extract(source, scratch / "archive")
        load = next((load for is_format, load in _FORMATS if source.is_dir() and is_format(source)), None)
        if load is None:
            raise ModelError(
                f"{source}: is not a folder or zip archive with a model of Hugging Face (config.json with model_type),"
                " CTranslate2 (model.bin) or Marian (*.npz)"
            )
        foreign = load(source, scratch)
        config = _config(foreign, languages, overrides)
        shapes = parameter_shapes(config.model, config.vocabulary)
        check_tensors(foreign, shapes)
        write_tensor_stream(folder / WEIGHTS, shapes, converted(foreign, shapes))
        foreign.tokenizer.save(folder / TOKENIZER)
        files.write_json(folder / CONFIG, config.model_dump(mode="json"))
        licence = _keep_documents(source, folder / SOURCE_DOCUMENTS)
        facts = {"format": 1, "nmt": __version__, "imported": foreign.format, "licence": licence}
        verification = _verify(foreign, config, source, folder) if verify else "unverified"
        shutil.rmtree(scratch)
        files.write_manifest(folder, {**facts, "verification": verification})
    for warning in foreign.warnings:
        reporter.warn(warning)
    reporter.info(f"{output}: imported from {foreign.format}; {verification}")


def _verify(foreign: ForeignModel, config: ModelConfig, source: Path, folder: Path) -> str:
    """Compare the model in `folder` with what its own program computes from `source`; ModelError if they differ."""
    try:
        if config.model != foreign.settings:
            raise VerificationSkipped("the settings of the model were changed")
        program, languages = program_of(source, foreign.format), config.language_tokens or [""]
        options = TranslateOptions(source_language=languages[0], target_language=languages[-1])
        tags = source_tags(config, foreign.tokenizer, options if config.language_tokens else DEFAULT_OPTIONS)
        read = partial(open_model, config, folder / WEIGHTS)
        return verify_import(program, source, read, foreign.tokenizer, tags, config.source_eos)
    except VerificationSkipped as reason:
        return f"unverified: {reason}"


class _ImportedSettings(InferenceSettings):
    """The settings of an imported model."""

    model: ModelSettings


def _config(foreign: ForeignModel, languages: tuple[str | None, str | None], overrides: Sequence[str]) -> ModelConfig:
    try:
        given = _ImportedSettings.model_validate({"model": foreign.settings, "decoding": dict(foreign.decoding)})
        source, target = (
            given_language or own or UNDETERMINED
            for given_language, own in zip(languages, foreign.languages, strict=True)
        )
        settings = override(given, overrides)
        return ModelConfig(
            format=1,
            source_language=source,
            target_language=target,
            vocabulary=vocabulary_spec(foreign.tokenizer),
            model=settings.model,
            decoding=settings.decoding,
            evaluation=settings.evaluation,
            longest_sentence=foreign.longest_sentence,
            language_tokens=foreign.language_tokens,
            source_eos=foreign.source_eos,
        ).model_copy(update=dict(foreign.token_order))
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(
            f"{foreign.tensors.path.parent}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error


def _keep_documents(source: Path, folder: Path) -> str | None:
    """Copy the licence and the model card; return the licence that the card names."""
    licence = None
    for path in sorted(path for pattern in _DOCUMENTS for path in source.glob(pattern)):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MAX_DOCUMENT_SIZE:
            folder.mkdir(exist_ok=True)
            shutil.copyfile(path, folder / path.name)
            header = path.read_text("utf-8", errors="replace").partition("\n---")[0]
            if header.startswith("---") and (named := re.search(r"^license: *(\S.*?) *$", header, re.MULTILINE)):
                licence = named[1]
    return licence
