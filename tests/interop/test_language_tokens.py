"""Models with a token for each language: before sources, and as the first token of translations."""

from pathlib import Path

import pytest
import torch
from foreign_models import LINES, write_json, write_nllb

from nmt_cli.commands.attention import attention_maps
from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import create_translator, source_tags
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.search.strategies import build_strategy
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import DecoderInput, ModelInputs
from nmt_cli.reporting.inspection import describe_path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nllb")
    write_nllb(folder / "source")
    import_model(folder / "source", folder / "model")
    return folder / "model"


def test_ids_are_those_of_sentencepiece_plus_one(model: Path) -> None:
    tokenizer = load_model(model).tokenizer
    assert tokenizer.source.entries[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert tokenizer.source.tags == {"deu_Latn": 61, "eng_Latn": 62, "fra_Latn": 63}
    assert tokenizer.special_tokens.unk not in tokenizer.encode_source(LINES[:1])[0]
    assert tokenizer.decode_target([[63, *tokenizer.encode_target(LINES[:1])[0]]]) == LINES[:1]


@pytest.mark.parametrize("settings", [["decoding.beam_size=4"], ["decoding={strategy: sampling, seed: 3}"]])
def test_search_follows_from_the_tokens_of_both_languages(model: Path, settings: list[str]) -> None:
    """The reference decodes the translations at once, without a cache."""
    loaded = load_model(model, [*settings, "decoding.max_length=12"])
    tags = source_tags(loaded.config, loaded.tokenizer, TranslateOptions(target_language="fra_Latn"))
    rows = loaded.tokenizer.encode_source(LINES[:2])
    prompts = [tags.prompt(), tags.prompt("deu_Latn")]
    sentences = [
        SentenceInput(1, row, tags=tags.ids(), prompt=prompt) for row, prompt in zip(rows, prompts, strict=True)
    ]
    generator = Generator(loaded.model, [0, 1, 3], torch.device("cpu"))

    found = generator.search(sentences, build_strategy(loaded.decoding, None))

    for row, (best, *_), prompt in zip(rows, found, prompts, strict=True):
        target = [*best.tokens, *([2] if best.has_eos else [])]
        with torch.inference_mode():
            encoded = loaded.model.encode(ModelInputs.from_ids(torch.tensor([[62, *row, 2]])))
            output = loaded.model.decode(encoded, DecoderInput(torch.tensor([[*prompt, *target]])))
            log_probs = loaded.model.logits(output).log_softmax(-1)[1:]
        assert best.log_probability == pytest.approx(
            sum(float(log_probs[i, t]) for i, t in enumerate(target)), abs=1e-3
        )


def test_lines_of_several_languages_are_translated_together(model: Path) -> None:
    options = TranslateOptions(source_language="deu_Latn", target_language="fra_Latn")
    translator = create_translator(load_model(model, ["decoding.max_length=12", "decoding.check=false"]), options)
    found = [*translator.translate([Request(LINES[0]), Request(LINES[0], target_language="eng_Latn")])]
    assert found[0].best.log_probability != found[1].best.log_probability


def test_scores_are_those_of_translations_after_the_language(model: Path) -> None:
    translator = create_translator(load_model(model), TranslateOptions(target_language="fra_Latn"))
    loaded, (row,) = load_model(model), translator.tokenizer.encode_target(LINES[:1])
    sentence = SentenceInput(1, row, tags=translator.tags.ids(), prompt=translator.tags.prompt())
    (scores,) = translator.generator.score([sentence], [row], 1000, attention=True)
    with torch.inference_mode():
        encoded = loaded.model.encode(ModelInputs.from_ids(torch.tensor([[62, *row, 2]])))
        logits = loaded.model.logits(loaded.model.decode(encoded, DecoderInput(torch.tensor([[2, 63, *row]]))))
    expected = logits.log_softmax(-1)[1:][range(len(row) + 1), [*row, 2]]
    assert scores.token_log_probs == pytest.approx(expected.tolist(), abs=1e-4)
    assert scores.cross_attention is not None
    assert scores.cross_attention.shape == (len(row) + 1, len(row) + 1)


def test_languages_are_listed_and_unknown_ones_refused(model: Path) -> None:
    assert describe_path(model).facts["languages"] == "deu_Latn, eng_Latn, fra_Latn"
    with pytest.raises(RecipeError, match="deu_Latn, eng_Latn, fra_Latn"):
        create_translator(load_model(model))  # the folder names no target language
    translator = create_translator(load_model(model), TranslateOptions(target_language="fra_Latn"))
    with pytest.raises(RecipeError, match="xyz"):
        [*translator.translate([Request(LINES[0], target_language="xyz")])]


def test_attention_maps_have_the_rows_of_the_translation(model: Path) -> None:
    (found,) = attention_maps(load_model(model), [(1, "bal dems", "bal")], "deu_Latn")
    assert len(found.weights) == len(found.target)


def test_source_language_can_follow_eos(tmp_path: Path) -> None:
    write_nllb(tmp_path / "source")
    write_json(tmp_path / "source" / "tokenizer_config.json", {"src_lang": "eng_Latn", "legacy_behaviour": True})
    import_model(tmp_path / "source", tmp_path / "model")
    translator = create_translator(load_model(tmp_path / "model"), TranslateOptions(target_language="fra_Latn"))
    short, long = (translator.tokenizer.encode_source(LINES[:1])[0][:length] for length in (2, 4))
    sentences = [
        SentenceInput(1, row, tags=translator.tags.ids(), suffix=translator.tags.suffix) for row in (short, long)
    ]
    inputs = translator.generator.model_inputs(sentences)
    assert inputs.ids is not None and inputs.lengths is not None
    assert [row[:length].tolist() for row, length in zip(inputs.ids, inputs.lengths, strict=True)] == [
        [*short, 2, 62],
        [*long, 2, 62],
    ]
    assert translator.tags.prompt() == (2, 63)
