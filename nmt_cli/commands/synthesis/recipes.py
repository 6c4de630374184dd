"""Recipes that commands write: a given recipe with other data. And whether a model translates as a recipe needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from nmt_cli import files
from nmt_cli.commands.loading import config_of_model
from nmt_cli.commands.model_config import named_model
from nmt_cli.commands.translators import source_tags
from nmt_cli.data.preparation.corpora import corpus_tasks
from nmt_cli.data.preparation.tokenizer_training import measure_corpora
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.corpora import TrainingCorpus
from nmt_cli.recipe.loading import recipe_from_settings
from nmt_cli.recipe.model import Preset
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import Name
from nmt_cli.text.checks.scripts import base_language


def check_extensible(recipe: Recipe, name: str | None = None, tag: str | None = None) -> None:
    """Raise RecipeError if a corpus made by a model cannot be added to a recipe.

    Args:
        name: Of the corpus; None if it replaces all others.
        tag: Of the corpus; None if it has none.
    """
    for option, value in (("--name", name), ("--tag", tag)):
        if value is not None and not _is_name(value):
            raise RecipeError(f"{option} {value}: must be a name of letters, digits, ., - and _, such as news-2016")
    if name in recipe.data.train:
        raise RecipeError(f"--name {name}: data.train already has a corpus {name}; choose another name")
    for key, is_set in (("data.factors", recipe.data.factors), ("data.context", recipe.data.context)):
        if is_set:
            raise RecipeError(f"{key}: is not supported; text that a model makes from single lines has none")
    if recipe.training.mixing.stages:
        raise RecipeError("training.mixing.stages: is not supported; remove it here, and add it to the new recipe")


def _is_name(text: str) -> bool:
    try:
        TypeAdapter(Name).validate_python(text)
    except ValidationError:
        return False
    return True


def with_corpus(recipe: Recipe, name: str, corpus: TrainingCorpus, weights: dict[str, float], suffix: str) -> Recipe:
    """Return a recipe with another training corpus, and with its own run and prepared data.

    Args:
        weights: New weights of other corpora.
        suffix: Added to the names of run and prepared data.

    Raises:
        RecipeError: The name or the tag of the corpus is not possible.
    """
    data, run = recipe.data, recipe.run
    train = {
        key: each.model_copy(update={"weight": weights[key]}) if key in weights else each
        for key, each in data.train.items()
    }
    changed = recipe.with_value("run", files.beside(run, f"-{suffix}"))
    changed = changed.with_value("data.prepared", files.beside(data.prepared, f"-{suffix}"))
    changed = changed.with_value("data.train", {**train, name: corpus})
    try:
        return Recipe.model_validate(changed.model_dump(mode="json", exclude_unset=True))
    except ValidationError as error:
        raise RecipeError(f"corpus {name} with tag {corpus.tag}: {error.errors()[0]['msg']}") from error


_NOT_OF_STUDENTS = {
    *("start_from", "freeze", "lora", "learning_rate_factors", "mixing", "guided_alignment"),
    *("optimizer", "schedule", "consistency", "scheduled_sampling", "word_dropout"),
}
"""Keys of `training` that belong to the teacher's parameters, size or corpora, or only regularise a large model."""
_STUDENT_SECTIONS = {"model", "training", "decoding"}
_MARIAN = {
    "norm": {"position": "post", "epsilon": 1e-9},
    "positions": {"spacing": "t2t"},
    "decoder_start": "zeros",
}
"""What Marian can compute; of the positions of the norms, its fork in Firefox has only this one."""


def student_recipe(
    recipe: Recipe,
    corpus: TrainingCorpus,
    preset: Preset,
    decoder: Literal["ssru", "softmax"],
    overrides: Sequence[str] = (),
) -> Recipe:
    """Return the recipe of a student that is trained on the translations of a teacher.

    Args:
        decoder: Self-attention of the decoder. With an SSRU, Marian and Bergamot can compute the model.
        overrides: Changes of the student's recipe.

    Raises:
        RecipeError: The tokenizer of the recipe is one that an SSRU student cannot be exported with, or an override is
            not valid.
    """
    if decoder == "ssru" and recipe.gives("tokenizer.joint") and not recipe.tokenizer.joint:
        raise RecipeError("tokenizer.joint: must be true for a student with --decoder ssru, as Bergamot needs it")
    given = recipe.model_dump(mode="json", exclude_unset=True)
    given["run"] = str(files.beside(recipe.run, "-student"))
    data = recipe.data
    given["data"] |= {
        "prepared": str(files.beside(data.prepared, "-student")),
        "train": {"distilled": corpus.model_dump(mode="json", exclude_unset=True)},
    }
    shape = {"decoder_self_attention": "ssru", **_MARIAN} if decoder == "ssru" else {}
    given["model"] = {"architecture": "transformer", "preset": preset, **shape}
    training = {key: value for key, value in given.pop("training", {}).items() if key not in _NOT_OF_STUDENTS}
    given["training"] = training
    given["decoding"] = {"beam_size": 1}
    return recipe_from_settings(given, "the student's recipe", overrides)


def split_student_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the overrides of the given recipe, and those of the sections that a student has of its own."""
    of_student = [each for each in overrides if each.partition(".")[0].partition("=")[0] in _STUDENT_SECTIONS]
    return [each for each in overrides if each not in of_student], of_student


def count_training_pairs(recipe: Recipe) -> int:
    """Return the number of records of all training corpora, which are read."""
    sizes = measure_corpora([task for task in corpus_tasks(recipe) if task.is_training])
    return sum(size.num_records for size in sizes.values())


def translate_options(
    models: Sequence[Path], languages: tuple[str, str], option: str, overrides: Sequence[str]
) -> TranslateOptions:
    """Return options with which models translate from one language into the other.

    Args:
        option: The option that names the models, for messages.

    Raises:
        RecipeError: A model translates from or into another language, or needs context.
    """
    options = TranslateOptions(tuple(models), tuple(overrides))
    for path in models:
        named = named_model(path)
        config = config_of_model(named.files)
        if config.context is not None:
            raise RecipeError(f"{option} {path}: translates lines in context (data.context), which is not supported")
        own = (config.source_language, config.target_language)
        if tuple(map(base_language, own)) == tuple(map(base_language, languages)):
            continue
        tokenizer, source, target = Tokenizer.load(named.tokenizer), *languages
        options = TranslateOptions(
            options.models,
            options.overrides,
            source_language=source if config.language_tokens is not None else None,
            target_language=target,
        )
        try:
            source_tags(config, tokenizer, options)
        except RecipeError as error:
            wanted = f"from {source} into {target}"
            raise RecipeError(
                f"{option} {path}: must translate {wanted}, but is from {own[0]} into {own[1]}"
            ) from error
    return options
