"""Tags before sources: target languages and corpus tags."""

from pathlib import Path

import pytest
from toy_model import save_toy_model

from nmt_cli.commands.attention import attention_maps
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import open_translator
from nmt_cli.data.tokenizing.tags import LENGTH_CLASSES, SourceTags
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.scoring import score_targets
from nmt_cli.decoding.scoring.scorer import Scorer, ScoringPair
from nmt_cli.decoding.translator import Translator
from nmt_cli.errors import ModelError, RecipeError

TAGS = ["2de", "2fr", "bt"]
LINES = ["one two", "five", "", "ten three one"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("toy") / "model", TAGS, check=False)


def opened(model: Path, **chosen: str | tuple[str, ...]) -> Translator:
    return open_translator(TranslateOptions((model,), alignment=True, **chosen))  # type: ignore[arg-type]


def texts(translator: Translator, language: str | None = None) -> list[tuple[str, float]]:
    found = translator.translate(Request(line, target_language=language) for line in LINES)
    return [(each.best.text, each.best.log_probability) for each in found]


def by_hand(translator: Translator, line: str, tags: list[str]) -> float:
    """Return the log-probability of the translation, with tags encoded as tokens."""
    sources = [*map(translator.tokenizer.tag_id, tags), *translator.tokenizer.encode_source([line])[0]]
    (found,) = translator.translate([Request(line)])
    target = translator.tokenizer.encode_target([found.best.text])[0]
    from nmt_cli.decoding.sentences import SentenceInput

    source = translator.generator.model_inputs([SentenceInput(1, sources)])
    return score_targets(translator.generator.model, source, [target])[0].log_probability


@pytest.mark.parametrize(
    ("chosen", "tags"),
    [
        ({}, ["2de"]),
        ({"target_language": "fr"}, ["2fr"]),
        ({"target_language": "de", "corpus_tag": "bt"}, ["2de", "bt"]),
        ({"corpus_tag": "bt"}, ["2de", "bt"]),
    ],
)
def test_tags_precede_the_source(model: Path, chosen: dict[str, str], tags: list[str]) -> None:
    translator = opened(model, **chosen)
    assert translator.tags.ids() == tuple(map(translator.tokenizer.tag_id, tags))
    scorer = Scorer(translator.generator, translator.tokenizer, translator.settings, translator.tags)
    for line in filter(None, LINES):
        (found,) = translator.translate([Request(line)])
        (scored,) = scorer.score_window([ScoringPair(line, found.best.text)])
        assert scored.log_probability == pytest.approx(by_hand(translator, line, tags), abs=1e-4)


def test_requests_can_have_a_target_language(model: Path) -> None:
    assert texts(opened(model), "fr") == texts(opened(model, target_language="fr"))
    assert texts(opened(model)) != texts(opened(model, target_language="fr"))
    assert texts(opened(model), "de") == texts(opened(model))


def test_alignment_excludes_tags(model: Path) -> None:
    translator = opened(model, target_language="fr", corpus_tag="bt")
    for translation in translator.translate(map(Request, LINES)):
        links = translation.best.annotation and translation.best.annotation.alignment
        assert {source for source, _ in links or ()} <= {*range(len(translation.source.split()))}


def test_attention_maps_show_tags(model: Path) -> None:
    loaded = load_model(model)
    (drawn,) = attention_maps(loaded, [(1, "one", "two")])
    assert drawn.source[0] == "<2de>"
    (drawn,) = attention_maps(loaded, [(1, "one", "two")], "fr")
    assert drawn.source[0] == "<2fr>"


def test_tags_are_never_generated(model: Path) -> None:
    translator = opened(model)
    assert {*translator.tokenizer.target.tags.values()} <= {*translator.generator._suppress_tokens}


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"target_language": "it"}, "^--target-language it: .* de, fr$"),
        ({"corpus_tag": "web"}, "^--corpus-tag web: .* bt$"),
        ({"corpus_tag": "2fr"}, "^--corpus-tag 2fr: "),
    ],
)
def test_unknown_tags_are_rejected(model: Path, chosen: dict[str, str], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        opened(model, **chosen)


LENGTH_TAGS = [f"length:{each}" for each in LENGTH_CLASSES]


def test_tag_of_a_length_precedes_the_source(tmp_path: Path) -> None:
    model = save_toy_model(tmp_path / "model", ["bt", *LENGTH_TAGS], length_tags=True, check=False)
    default = opened(model, corpus_tag="bt")
    assert default.tags.ids() == tuple(map(default.tokenizer.tag_id, ["bt", "length:normal"]))
    short = opened(model, overrides=("decoding.length=short",))
    assert short.tags.ids() == (short.tokenizer.tag_id("length:short"),)
    assert texts(short) != texts(opened(model))
    with pytest.raises(RecipeError, match=r"^--corpus-tag length:short: this model has the tags bt$"):
        opened(model, corpus_tag="length:short")


@pytest.mark.parametrize("length", LENGTH_CLASSES)
@pytest.mark.parametrize("tags", [[], LENGTH_TAGS])
def test_model_without_length_tags_refuses_a_length(tmp_path: Path, tags: list[str], length: str) -> None:
    plain = save_toy_model(tmp_path / "model", tags, check=False)
    assert opened(plain).tags.ids() == ()
    with pytest.raises(RecipeError, match=rf"^decoding\.length: {length}: .*data\.length_tags"):
        opened(plain, overrides=(f"decoding.length={length}",))


def test_ensemble_needs_length_tags_in_all_models(tmp_path: Path) -> None:
    tagged, plain = (
        save_toy_model(tmp_path / f"model{int(has)}", LENGTH_TAGS, length_tags=has, check=False)
        for has in (True, False)
    )
    with pytest.raises(ModelError, match=r"model0: its data\.length_tags differs"):
        open_translator(TranslateOptions((tagged, plain)))


def test_model_without_tags_accepts_only_its_language(tmp_path: Path) -> None:
    plain = save_toy_model(tmp_path / "model")
    assert opened(plain, target_language="de").tags.ids() == ()
    with pytest.raises(RecipeError, match=r"^--target-language fr: .* de$"):
        opened(plain, target_language="fr")
    with pytest.raises(RecipeError, match=r"^--corpus-tag bt: "):
        opened(plain, corpus_tag="bt")


def test_model_without_tags_ignores_the_language_of_a_set() -> None:
    assert SourceTags({}, "de").ids("de-AT") == ()
