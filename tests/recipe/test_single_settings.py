"""A default never makes another default, or a setting that the user writes, impossible."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from minimal_recipe import MINIMAL_RECIPE
from pydantic import TypeAdapter, ValidationError

from nmt_cli.recipe.loading.errors import error_key
from nmt_cli.recipe.loading.schema_walk import discriminator_key, discriminator_value, sections
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import CrossFieldError, Section

CANDIDATES = [None, True, False, 0, 1, 2, 3, 7, 10, 16, 96, 3000, 50_000, 0.0, 0.05, 0.5, 0.95, 1.0, 4.0, "none", []]
IMPOSSIBLE_ALONE = {
    "data.factors",  # corpora must have them
    "data.context",
    "decoding.n_best",  # more than the beam has, which a default must not change: another beam finds another best
    "decoding.num_beam_groups",
    "training.source_loss",  # of a decoder-only translator
    "model.heads",  # 7 does not divide the width of a preset
    "model.key_value_heads",  # 7 divides no number of heads that divides the width
    "model.input_feeding",
    "model.encoder.document_layers",  # as many as the layers of a preset
    "model.output.heads",  # more than the heads of a preset
    "model.output.layer",
    "model.positions.max_distance",
    "data.sequence.source_language_last",
    "data.sequence.target_language_first",
    "tokenizer.extension",
    "tokenizer.extension.pieces",
    "training.lora",
    "training.glancing",  # for CTC models
    "training.guided_alignment",
    "training.subword_sampling",
}
"""Settings that require something that only the user can add, for some of their values."""


def recipe(model: dict[str, Any]) -> dict[str, Any]:
    return {**MINIMAL_RECIPE, "model": model}


def values_of(section: type[Section], name: str) -> Iterator[Any]:
    """Yield values that the type of a setting allows."""
    field = section.model_fields[name]
    type_ = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    for value in [*CANDIDATES, *get_args(field.annotation)]:
        try:
            adapter.validate_python(value, strict=True)
        except (ValidationError, TypeError):
            continue
        if not isinstance(value, type) and (value is None or isinstance(value, bool | int | float | str | list)):
            yield value


def single_settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each setting outside of named sections and lists, with each of some values."""
    for key, classes in sections(Recipe).items():
        if not key or (key[0] == "data" and len(key) > 2) or any(part.isupper() for part in key):
            continue
        for section in classes:
            tag = {}
            if len(classes) > 1:
                discriminator = discriminator_key(classes)
                tag = {discriminator: discriminator_value(section, discriminator)}
            for name in section.model_fields:
                for value in values_of(section, name):
                    content: dict[str, Any] = {**tag, name: value}
                    for part in reversed(key):
                        content = {part: content}
                    yield ".".join([*key, name]), content


def merged(one: Any, other: Any) -> Any:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {**one, **{key: merged(one.get(key), value) for key, value in other.items()}}


TEXT = {"target_language": "en", "train": {"t": {"format": "text", "file": "a"}}}
TEXT |= {"prepared": "p", "valid": {"v": {"format": "text", "file": "b"}}}


@pytest.mark.parametrize(
    "model",
    [{"architecture": "transformer", "preset": "tiny"}, {"architecture": "rnn"}, {"architecture": "decoder_only"}],
)
def test_single_setting_is_refused_only_at_its_own_key(model: dict[str, Any]) -> None:
    refused, num_tried = set(), 0
    for key, content in single_settings():
        whole, is_monolingual = merged(recipe(model), content), model["architecture"] == "decoder_only"
        if (whole["model"]["architecture"] == "decoder_only") != is_monolingual:
            continue  # other models need other data
        if is_monolingual:
            whole["data"] = TEXT | content.get("data", {})
        try:
            Recipe.model_validate(whole)
        except ValidationError as error:
            (detail, *others) = error.errors()
            if "ctx" not in detail or not isinstance(detail["ctx"].get("error"), CrossFieldError):
                continue  # a setting of the other architecture, or a section that requires other keys
            found = ".".join(map(str, (*error_key(detail, Recipe), *detail["ctx"]["error"].key)))
            assert not others
            if found == "decoding.strategy":
                continue  # a setting of a search that other models need
            assert found == key or key.startswith(f"{found}."), f"{content} is refused at {found}: {detail['msg']}"
            refused.add(found)
        num_tried += 1
    assert num_tried > 400
    assert is_monolingual or refused <= IMPOSSIBLE_ALONE
