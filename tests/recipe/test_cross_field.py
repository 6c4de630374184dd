"""Settings that contradict each other are refused at the key that is wrong. The wording is that of the schema."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.recipe.loading import load_recipe

ErrorsOf = Callable[..., list[str]]
Write = Callable[[str | bytes], Path]


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("training.mixing.stages.2.weights={clean: 1, cleen: 2}", "training.mixing.stages.2.weights.cleen"),
        ("training.mixing.stages.1.epochs={web: 1}", "training.mixing.stages.1.epochs.web"),
        ("training.mixing.stages.1.epochs={}", "training.mixing.stages.1.epochs"),
        ("training.mixing.stages.1.epochs={back: 1, clean: 1}", "training.mixing.stages.1.epochs"),
        ("training.mixing.stages.2.epochs={clean: 1}", "training.mixing.stages.2.epochs"),
        ("training.mixing.temperature=5", "training.mixing.temperature"),
        ("data.context={sentences: 1}", "data.context"),
        ("training.augmentation={typos: 0.1}", "training.augmentation"),
        ("training.subword_sampling={alpha: 0.1}", "training.subword_sampling"),
        ("data.factors=[pos, pos]", "data.factors.2"),
        ("data.sequence={bos: true, language_tokens: true}", "data.sequence.bos"),
        (
            "data.sequence={language_tokens: true, source_language_last: true, source_eos: false}",
            "data.sequence.source_language_last",
        ),
        ("data.test.blind.factors={}", "data.test.blind.factors"),
        ("data.valid.dev.factors={pos: x, case: y}", "data.valid.dev.factors.case"),
        ("data.train.back={format: tmx, file: x}", "data.train.back.format"),
        ("data.filters.1={type: score, min: 0.5}", "data.filters.1.command"),
        ("data.train.back.tag=2fr", "data.train.back.tag"),
        ("data.train.back.tag=2nd", "data.train.back.tag"),
        ("data.train.back.tag=2de", "data.train.back.tag"),
        ("data.train.back.tag=unk", "data.train.back.tag"),
        ("data.train.back.tag=0x0A", "data.train.back.tag"),
        ("data.filters.1.min=600", "data.filters.1.min"),
        ("data.filters.1={type: score, command: x, min: 1, max: 0.5}", "data.filters.1.min"),
        ("data.filters.1={type: script, min: 0}", "data.filters.1.min"),
        ("data.filters.4.source=en", "data.filters.4.source"),
        ("tokenizer={algorithm: byte, byte_fallback: false}", "tokenizer.byte_fallback"),
        ("tokenizer.extension.pieces=100", "tokenizer.extension"),
        ("tokenizer.symbols=[<p>, <bt>]", "tokenizer.symbols.2"),
        ("tokenizer.symbols=[<2fr>]", "tokenizer.symbols.1"),
        ("tokenizer.symbols=[<p>, <p>]", "tokenizer.symbols.2"),
        ("tokenizer.symbols=[</s>]", "tokenizer.symbols.1"),
        ("tokenizer.symbols=[a b]", "tokenizer.symbols.1"),
    ],
)
def test_conflict_in_an_option_is_reported_at_its_key(option: str, key: str, messy: str, errors_of: ErrorsOf) -> None:
    (error,) = errors_of(messy, option)
    assert error.startswith(f"--set {option}: {key}: ")


@pytest.mark.parametrize(
    ("option", "location"),
    [
        ("data.factors=[pos, case]", "7:47: data.train.clean.factors: case "),
        ("data.factors=[]", "7:57: data.train.clean.factors.pos: "),
        ("data.language_tags=false", "10:41: data.train.french.target_language: "),
    ],
)
def test_conflict_of_an_option_with_the_file_is_reported_in_the_file(
    option: str, location: str, messy: str, errors_of: ErrorsOf
) -> None:
    (error,) = errors_of(messy, option)
    assert error.startswith(f"r.yaml:{location}")


@pytest.mark.parametrize("algorithm", ["character", "byte", "word"])
def test_subword_sampling_needs_an_algorithm_with_several_segmentations(
    algorithm: str, messy: str, errors_of: ErrorsOf
) -> None:
    option = "training.subword_sampling={alpha: 0.1}"
    (error,) = errors_of(messy, f"tokenizer.algorithm={algorithm}", option)
    assert error.startswith(f"--set {option}: training.subword_sampling: ")
    assert algorithm in error


@pytest.mark.parametrize(
    "options",
    [
        ["tokenizer.algorithm=byte"],
        ["tokenizer={path: x, algorithm: byte, byte_fallback: false}"],
        ["data.train.back.tag=sep"],
        ["data.train.web.tag=bt"],
        ["data.language_tags=false", "data.train.french.target_language=de"],
        ["data.train.french.source_language=nl"],
        ["data.filters.1={type: score, command: ./score, min: 0.5}"],
        ["data.filters.4={type: language, command: x, source: en, target: de}"],
        ["training.mixing={temperature: 5}"],
    ],
)
def test_consistent_options_are_accepted(options: list[str], messy: str, write: Write) -> None:
    load_recipe(write(messy), options)


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("data.train.news.tag=sep", "data.train.news.tag"),
        ("tokenizer.symbols=[<sep>]", "tokenizer.symbols.1"),
    ],
)
def test_context_reserves_the_separator_tag(option: str, key: str, good: str, errors_of: ErrorsOf) -> None:
    (error,) = errors_of(good, "data.context={sentences: 2}", option)
    assert error.startswith(f"--set {option}: {key}: ")


def test_context_excludes_word_alignments(good: str, errors_of: ErrorsOf) -> None:
    option = "data.train.news.alignment=news.align"
    (error,) = errors_of(good, "data.context={}", option)
    assert error.startswith(f"--set {option}: data.train.news.alignment: ")


def test_imported_tokenizer_may_be_sampled(good: str, write: Write) -> None:
    load_recipe(write(good), ["tokenizer={path: x, algorithm: word}", "training.subword_sampling={alpha: 0.1}"])


def test_score_filter_may_use_scores_of_a_corpus(good: str, write: Write) -> None:
    option = "data.train.news.score=news.score"
    load_recipe(write(good), [option, "data.filters=[{type: score, min: 0.5}]"])


def test_corpus_names_may_contain_dots(good: str, errors_of: ErrorsOf) -> None:
    text = good.replace("news:", "news.2016:").replace("target: news.de}", "target: news.de, tag: pad}")
    (error,) = errors_of(text)
    assert error.startswith("r.yaml:7:51: data.train.news.2016.tag: pad ")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["training.parallel.type=fsdp", "model.layer_drop=0.1"], "model.layer_drop"),
        (["training.parallel.type=fsdp", "training.optimizer={type: adafactor}"], "training.optimizer.type"),
        (["model.key_value_heads=3"], "model.key_value_heads"),
        (["model.width=132", "model.heads=4", "model.positions.type=rotary"], "model.heads"),
        (["model.head_width=33", "model.positions.type=rotary"], "model.head_width"),
        (["model.positions={type: relative, buckets: 64, max_distance: 32}"], "model.positions.max_distance"),
        (["tokenizer.joint=false", "model.tied_embeddings=input"], "model.tied_embeddings"),
        (["model.output={type: pointer_generator, layer: 3}", "model.decoder_layers=2"], "model.output.layer"),
        (["model.output={type: pointer_generator, heads: 5}", "model.heads=4"], "model.output.heads"),
        (["model={architecture: rnn, output: {type: pointer_generator, heads: 1}}"], "model.output.heads"),
        (["model={architecture: rnn, output: {type: pointer_generator}, attention: none}"], "model.output.type"),
        (["model={architecture: rnn, attention: none}", "training.coverage_loss={}"], "training.coverage_loss"),
        (["tokenizer.joint=false", "model.output.type=pointer_generator"], "model.output.type"),
    ],
)
def test_conflict_of_model_and_training_is_reported_at_its_key(
    options: list[str], key: str, good: str, errors_of: ErrorsOf
) -> None:
    (error,) = errors_of(good, *options)
    assert f": {key}: " in error
