"""The config.json of a model folder."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from nmt_cli import files
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.decoding import Decoding
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.model import ModelSettings
from nmt_cli.recipe.section import Count, Language, Section
from nmt_cli.runs.directory import CONFIG
from nmt_cli.text.special_tokens import VocabularySpec


def _vocabulary_spec(value: Any) -> VocabularySpec:
    """Read a specification from JSON."""
    return value if isinstance(value, VocabularySpec) else TypeAdapter(VocabularySpec).validate_python(value)


class ModelConfig(Section):
    """All that a model needs besides weights and tokenizer."""

    format: int
    source_language: Language
    target_language: Language
    vocabulary: Annotated[VocabularySpec, BeforeValidator(_vocabulary_spec)]
    model: ModelSettings
    decoding: Decoding
    evaluation: Evaluation
    longest_sentence: Count = 200
    """What `data.max_length` was in training, or its default in a model from before it was kept."""
    context: Context | None = None
    """As in `data.context`."""


def read_config(folder: Path) -> ModelConfig:
    """The configuration of the model in a folder; ModelError says what is wrong with it."""
    content: Any = files.read_json(folder / CONFIG, ModelError)
    if isinstance(content, dict) and content.get("format", 1) != 1:
        raise ModelError(f"{folder / CONFIG}: was written by a newer nmt (format {content['format']}); update nmt")
    try:
        return TypeAdapter(ModelConfig).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{folder / CONFIG}: {key}: {first['msg']}") from error
