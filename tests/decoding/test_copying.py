"""Unknown words: replaced by attention in plain models, copied by pointer-generators, with the probabilities of it."""

import json
from typing import Any

import pytest
import torch

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.results import format_jsonl
from nmt_cli.decoding.scoring import score_targets
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.decoding.translator import Translator
from nmt_cli.errors import RecipeError
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.model import RnnSettings
from nmt_cli.text.checks import TranslationFinding

LINES = ["the cat sees a dog", "a dog sees the cat"]
SOURCES = ["the zebra sees a lion", "yaks", "a dog sees gnus and emus"]
SETTINGS = TokenizerSettings.model_validate({"algorithm": "word", "byte_fallback": False, "vocabulary_size": 20})
RNN = {"architecture": "rnn", "width": 16, "embedding_width": 16, "encoder_layers": 1, "decoder_layers": 1}


def tokenizer(copies: bool) -> Tokenizer:
    return Tokenizer.train(SETTINGS, LINES, LINES, 1).with_copies(copies)


def model(each: Tokenizer, **changes: Any) -> Model:
    torch.manual_seed(1)
    settings = RnnSettings.model_validate({**RNN, "tied_embeddings": "none", **changes})
    return build(settings, VocabularySpec(each.source_size, each.target_size)).eval()


def translator(each: Tokenizer, built: Model, options: TranslateOptions, **decoding: Any) -> Translator:
    settings = BeamSettings.model_validate({"strategy": "beam", "check": False, "max_length": 6, **decoding})
    return Translator(built, each, settings, torch.device("cpu"), options=options)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_unknown_words_are_replaced_by_the_source_word_with_the_most_attention(beam_size: int) -> None:
    each = tokenizer(copies=False)
    built, unk = saying_unk(each), each.special_tokens.unk
    translate = translator(each, built, TranslateOptions(), replace_unknown=True, beam_size=beam_size)
    for source, found in zip(SOURCES, translate.translate(map(Request, SOURCES)), strict=True):
        words = found.best.text.split()
        inputs = ModelInputs.from_ids(torch.tensor([[*each.encode_source([source])[0], each.special_tokens.eos]]))
        known = [f"▁{word}" in each.target.entries for word in words]
        (tokens,) = each.encode_target([found.best.text])
        generated = [unk if word in source.split() else token for word, token in zip(words, tokens, strict=True)]
        (scores,) = score_targets(built, inputs, [generated], attention=True)
        assert scores.cross_attention is not None
        best = scores.cross_attention[: len(words), :-1].argmax(1).tolist()
        for word, token, is_known, position in zip(words, generated, known, best, strict=True):
            assert word == source.split()[position] if token == unk else is_known
        assert unk in generated
        num_scored = len(words) + (not found.is_truncated)
        assert found.best.log_probability == pytest.approx(sum(scores.token_log_probs[:num_scored]), abs=1e-4)


def saying_unk(each: Tokenizer) -> Model:
    """A plain model that hardly generates anything but unk."""
    built = model(each)
    with torch.no_grad():
        built.get_parameter("output.projection.bias")[each.special_tokens.unk] += 6
    return built


def test_translations_with_replaced_words_are_aligned_and_scored() -> None:
    each = tokenizer(copies=False)
    options = TranslateOptions(alignment=True, word_scores=True)
    translate = translator(each, saying_unk(each), options, replace_unknown=True)
    translations = list(translate.translate(map(Request, SOURCES)))
    assert any("yaks" in found.best.text for found in translations)
    for found in translations:
        words, annotation = found.best.text.split(), found.best.annotation
        assert annotation is not None and annotation.alignment is not None and annotation.word_scores is not None
        assert len(annotation.word_scores) == len(words) + 1
        if not found.is_truncated:
            assert sum(annotation.word_scores) == pytest.approx(found.best.log_probability, abs=1e-4)


@pytest.mark.parametrize("replaces", [True, False])
def test_lost_words_outside_the_vocabulary_of_a_plain_model_are_reinserted(replaces: bool) -> None:
    each = tokenizer(copies=False)

    def lost(source: str, output: str) -> tuple[TranslationFinding, ...]:
        return () if "4711" in output else (TranslationFinding("number", "4711 is lost", "4711"),)

    settings = BeamSettings.model_validate({"max_length": 4, "replace_unknown": replaces})
    translate = Translator(saying_unk(each), each, settings, torch.device("cpu"), check=lost)
    (found,) = translate.translate([Request("4711 4711 gnus")])
    assert found.best.text.split().count("4711") == 2
    assert ("gnus" in found.best.text) == replaces


@pytest.mark.parametrize(
    ("changes", "copies", "reason"),
    [
        ({"output": {"type": "pointer_generator"}}, True, "copies unknown words itself"),
        ({"attention": "none"}, False, "has no attention to a source"),
    ],
)
def test_what_cannot_replace_unknown_words_is_refused(changes: dict[str, Any], copies: bool, reason: str) -> None:
    each = tokenizer(copies)
    with pytest.raises(RecipeError, match=rf"^decoding\.replace_unknown: .*{reason}"):
        translator(each, model(each, **changes), TranslateOptions(), replace_unknown=True)


def test_models_that_know_every_word_replace_none() -> None:
    settings = TokenizerSettings.model_validate({"vocabulary_size": 270})
    each = Tokenizer.train(settings, LINES, LINES, 1)
    with pytest.raises(RecipeError, match=r"^decoding\.replace_unknown: no word is unknown"):
        translator(each, model(each), TranslateOptions(), replace_unknown=True)


def test_json_has_the_copy_probability_of_each_token() -> None:
    each = tokenizer(copies=True)
    built = model(each, output={"type": "pointer_generator"})
    translate = translator(each, built, TranslateOptions(word_scores=True), beam_size=2)
    for source, found in zip(SOURCES, translate.translate(map(Request, SOURCES)), strict=True):
        record = json.loads(format_jsonl(0, found))
        assert set(record["hypothesis"].split()) <= {*source.split(), *LINES[0].split()}
        pieces, probabilities = zip(*record["copy_probabilities"], strict=True)
        assert "".join(pieces).replace("▁", " ").strip() == record["hypothesis"]
        inputs = ModelInputs.from_ids(torch.tensor([[*each.encode_source([source])[0], each.special_tokens.eos]]))
        known = [i if i < each.target_size else each.special_tokens.unk for i in each.target.ids_of_texts(pieces)]
        decoder_input = DecoderInput(torch.tensor([[each.special_tokens.decoder_start, *known[:-1]]]))
        gates = built.copy_probability(built.decode(built.encode(inputs), decoder_input))
        assert gates is not None
        assert gates[0].tolist() == pytest.approx(list(probabilities), abs=1e-4)


def test_tags_are_not_copied_as_words_of_the_target_vocabulary() -> None:
    """With separate vocabularies, a tag's id is that of another target token, or beyond the vocabulary."""
    settings = SETTINGS.model_copy(update={"joint": False})
    each = Tokenizer.train(settings, [*LINES, "cows eat"], ["ein Hund"], 1).with_copies(True).with_tags(["2de"])
    tag, special = each.tag_id("2de"), each.special_tokens
    assert tag >= each.target_size
    generator = Generator(model(each, output={"type": "pointer_generator"}), (), torch.device("cpu"))
    tokens = each.encode_source(["a Hund"])[0]
    copied = each.encode_copies(["a Hund"])[0]
    sentence = SentenceInput(1, tokens, tags=(special.bos, tag), copies=tuple(copied), suffix=(tag,))
    inputs = generator.model_inputs([sentence])
    expected = [special.bos, special.unk, each.target_size, copied[1], special.eos, special.unk]
    assert inputs.columns["copy_ids"].tolist() == [expected]
    assert inputs.extra_ids == 1
