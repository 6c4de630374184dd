"""A model on disk, without its weights: where its files are, and its configuration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from nmt_cli import files
from nmt_cli.errors import ModelError
from nmt_cli.recipe.adapting.training_defaults import adapt_search
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.decoding import Decoding, InferenceSettings
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import load_recipe, override, recipe_or_none
from nmt_cli.recipe.model import DecoderOnlySettings, ModelSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import Count, Language, Section
from nmt_cli.runs.directory import ADAPTER_CONFIG, CONFIG, TOKENIZER, ModelFiles, RunDirectory, find_model
from nmt_cli.text.special_tokens import VocabularySpec


def _vocabulary_spec(value: Any) -> VocabularySpec:
    """Read a specification from JSON."""
    return value if isinstance(value, VocabularySpec) else TypeAdapter(VocabularySpec).validate_python(value)


class ModelConfig(Section):
    """Contents of the config.json of a model folder: everything besides weights and tokenizer."""

    format: int
    source_language: Language
    target_language: Language
    vocabulary: Annotated[VocabularySpec, BeforeValidator(_vocabulary_spec)]
    model: ModelSettings
    decoding: Decoding
    evaluation: Evaluation
    longest_sentence: Count = 200
    """`data.max_length` in training."""
    context: Context | None = None
    """`data.context` in training."""
    length_tags: bool = False
    """`data.length_tags` in training."""
    language_tokens: list[Language] | None = None
    """Languages with a token: that of the source precedes sources, and that of the target begins translations, after
    decoder_start."""
    source_language_last: bool = False
    """Whether the token of the source language follows eos instead, as in mBART-25 and the first versions of NLLB."""
    target_language_first: bool = False
    """Whether the token of the target language replaces decoder_start, as in mBART-25."""
    bos: bool = False
    """Whether sources begin with bos, and translations with bos after decoder_start, as in BART."""
    source_eos: bool = True
    """Whether sources end with eos, which some imported models do not expect."""

    @property
    def is_language_model(self) -> bool:
        """Whether it continues text instead of translating."""
        return isinstance(self.model, DecoderOnlySettings) and not self.model.reads_source


SETTINGS_OF_DATA = ("length_tags", "context")
"""Settings of a ModelConfig that are named alike in `data` of a recipe, and that data for the model must share."""


class InputSettings(Section):
    """The settings of a ModelConfig that depend on the data of a training, also on that of an adapter."""

    longest_sentence: Count
    context: Context | None
    length_tags: bool

    @classmethod
    def of(cls, config: ModelConfig) -> "InputSettings":
        """Return the settings of a configuration."""
        return cls(**{key: getattr(config, key) for key in cls.model_fields})

    def applied_to(self, config: ModelConfig) -> ModelConfig:
        """Return the configuration with these settings."""
        return config.model_copy(update=dict(self))


def read_adapter_inputs(folder: Path) -> InputSettings | None:
    """Return the input settings of an adapter; None if it has none, like those of earlier versions.

    Raises:
        ModelError: The adapter is damaged.
    """
    content: Any = files.read_json(folder / ADAPTER_CONFIG, ModelError)
    if not isinstance(content, dict) or "inputs" not in content:
        return None
    try:
        return TypeAdapter(InputSettings).validate_python(content["inputs"])
    except ValidationError as error:
        raise ModelError(f"{folder / ADAPTER_CONFIG}: inputs: {error.errors()[0]['msg']}") from error


def read_config(folder: Path) -> ModelConfig:
    """Read the configuration of a model folder. ModelError names an invalid key."""
    content: Any = files.read_json(folder / CONFIG, ModelError)
    if isinstance(content, dict) and content.get("format", 1) != 1:
        raise ModelError(f"{folder / CONFIG}: has format {content['format']} of a newer nmt version; update nmt")
    try:
        return TypeAdapter(ModelConfig).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{folder / CONFIG}: {key}: {first['msg']}") from error


@dataclass(frozen=True)
class NamedModel:
    """A model on disk. If it was named by a recipe, the decoding settings of that recipe apply."""

    files: ModelFiles
    recipe: Recipe | None

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer."""
        found = self.files
        return (found.folder if found.standalone or found.run is None else found.run.path) / TOKENIZER

    @property
    def context(self) -> Context | None:
        """`data.context` in training."""
        if self.files.standalone or self.files.run is None:
            return read_config(self.files.folder).context
        return load_recipe(self.files.run.resolved).data.context

    @property
    def is_language_model(self) -> bool:
        """Whether it continues text instead of translating."""
        if self.files.standalone or self.files.run is None:
            return read_config(self.files.folder).is_language_model
        return load_recipe(self.files.run.resolved).data.is_monolingual


def seed_runs(path: Path) -> list[Path]:
    """Return the runs of `nmt train --seeds` in a folder, or in that of a recipe; the path itself if there are none."""
    recipe = recipe_or_none(path)
    return RunDirectory(path if recipe is None else recipe.run).seeds() or [path]


def settings_after_training(named: NamedModel, overrides: Sequence[str] = ()) -> InferenceSettings:
    """Return the settings of search and evaluation of the recipe that names a model, or else of the model."""
    given: Recipe | ModelConfig
    if named.recipe is not None:
        given = adapt_search(named.recipe)
    elif named.files.standalone or named.files.run is None:
        given = read_config(named.files.folder)
    else:
        given = load_recipe(named.files.run.resolved)
    return override(InferenceSettings(decoding=given.decoding, evaluation=given.evaluation), overrides)


def hashes_of_decoding(decoding: Decoding) -> dict[str, str]:
    """Return the SHA-256 of each model that settings of decoding name, by the name of the setting."""
    found = {}
    if (language_model := getattr(decoding, "language_model", None)) is not None:
        found["language_model"] = files.sha256(named_model(language_model.path).files.folder / files.MANIFEST)
    ngram_model = getattr(decoding, "ngram_model", None)
    if ngram_model is not None and ngram_model.path.is_file():  # others are refused when they are read
        found["ngram_model"] = files.sha256(ngram_model.path)
    return found


def named_model(path: Path) -> NamedModel:
    """Find the model of a recipe, a run, a checkpoint or a model folder."""
    recipe = recipe_or_none(path)
    return NamedModel(find_model(path if recipe is None else recipe.run), recipe)
