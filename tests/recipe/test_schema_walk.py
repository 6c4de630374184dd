"""The sections of the schema and their keys."""

from nmt_cli.recipe import corpora
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings
from nmt_cli.recipe.filters import LengthFilter, RatioFilter
from nmt_cli.recipe.loading.schema_walk import (
    discriminator_key,
    discriminator_value,
    section_classes,
    sections,
    selected_class,
)
from nmt_cli.recipe.model import CtcSettings, DecoderOnlySettings, NormSettings, RnnSettings, TransformerSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.training import Stage


def test_sections_are_in_the_order_of_the_schema() -> None:
    found = list(sections(Recipe))
    assert found[:5] == [(), ("data",), ("data", "train", "NAME"), ("data", "valid", "NAME"), ("data", "test", "NAME")]
    assert found[-3:] == [("evaluation",), ("evaluation", "comet"), ("evaluation", "external", "NAME")]


def test_section_classes_accepts_names_chosen_by_users() -> None:
    assert section_classes(Recipe, ("data", "train", "news")) == (
        corpora.LearnedLines,
        corpora.LearnedTsv,
        corpora.LearnedJsonl,
        corpora.LearnedTmx,
        corpora.LearnedText,
    )
    assert section_classes(Recipe, ("data", "test", "x")) == (corpora.TestSet,)
    assert section_classes(Recipe, ("model", "norm")) == (NormSettings,)
    assert section_classes(Recipe, ("data", "train")) == ()
    assert section_classes(Recipe, ("seed",)) == ()


def test_section_classes_accepts_list_indices() -> None:
    assert section_classes(Recipe, ("training", "mixing", "stages", 1)) == (Stage,)
    assert section_classes(Recipe, ("data", "filters", 0))[:2] == (LengthFilter, RatioFilter)
    assert section_classes(Recipe, ("data", "filters")) == ()
    assert section_classes(Recipe, ("data", "filters", "0")) == ()
    assert section_classes(Recipe, ("data", "train", 0)) == ()


def test_discriminator_key_of_several_classes() -> None:
    assert section_classes(Recipe, ("model",)) == (TransformerSettings, RnnSettings, CtcSettings, DecoderOnlySettings)
    assert discriminator_key((TransformerSettings, RnnSettings)) == "architecture"
    assert discriminator_key((BeamSettings, SamplingSettings)) == "strategy"
    assert discriminator_value(SamplingSettings, "strategy") == "sampling"
    assert discriminator_key((LengthFilter, RatioFilter)) == "type"
    assert selected_class((LengthFilter, RatioFilter), {"type": "ratio"}) is RatioFilter
    assert selected_class((LengthFilter, RatioFilter), {"max": 3}) is None
