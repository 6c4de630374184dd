"""Settings of data, tokenizer and mixing that do not go together are refused at the key that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.recipe.loading import load_recipe

MistakesIn = Callable[..., list[str]]
Write = Callable[[str | bytes], Path]


@pytest.mark.parametrize(
    ("option", "key", "message"),
    [
        (
            "training.mixing.stages.2.shares={clean: 1, cleen: 2}",
            "training.mixing.stages.2.shares.cleen",
            "is no corpus of data.train, which has clean, web, back, french",
        ),
        ("training.mixing.stages.1.passes={web: 1}", "training.mixing.stages.1.passes.web", "is not among the shares"),
        (
            "training.mixing.stages.1.passes={}",
            "training.mixing.stages.1.passes",
            "is missing; every stage but the last ends",
        ),
        (
            "training.mixing.stages.1.passes={back: 1, clean: 1}",
            "training.mixing.stages.1.passes",
            "must name one corpus",
        ),
        ("training.mixing.stages.2.passes={clean: 1}", "training.mixing.stages.2.passes", "the last stage never ends"),
        (
            "training.mixing.temperature=5",
            "training.mixing.temperature",
            "does not go with stages, which say the shares themselves",
        ),
        ("data.context={sentences: 1}", "data.context", "does not go with data.factors"),
        (
            "training.augmentation={typos: 0.1}",
            "training.augmentation",
            "does not go with data.factors, which come with the words as they are in the prepared data",
        ),
        (
            "training.subword_sampling={alpha: 0.1}",
            "training.subword_sampling",
            "does not go with data.factors, which come with the words as they are in the prepared data",
        ),
        ("data.factors=[pos, pos]", "data.factors.2", "pos is in the list twice"),
        (
            "data.test.blind.factors={}",
            "data.test.blind.factors",
            "pos is missing, which data.factors wants of every corpus",
        ),
        (
            "data.valid.dev.factors={pos: x, case: y}",
            "data.valid.dev.factors.case",
            "is not in the list data.factors; add it there",
        ),
        (
            "data.train.back={format: tmx, file: x}",
            "data.train.back.format",
            "tmx has no factors, but data.factors wants pos",
        ),
        (
            "data.filters.1={type: score, fewest: 0.5}",
            "data.filters.1.command",
            "is missing, as no corpus of data.train says a score",
        ),
        ("data.train.back.tag=2fr", "data.train.back.tag", "2fr is the tag of a language; use another name"),
        ("data.train.back.tag=2de", "data.train.back.tag", "2de is the tag of a language; use another name"),
        ("data.train.back.tag=unk", "data.train.back.tag", "unk is reserved by the tokenizer; use another name"),
        (
            "data.train.back.tag=0x0A",
            "data.train.back.tag",
            "0x0A is reserved by the tokenizer; use another name",
        ),
        ("data.filters.1.fewest=600", "data.filters.1.fewest", "600 is more than most, 500, so that no pair is left"),
        (
            "data.filters.1={type: score, command: x, fewest: 1, most: 0.5}",
            "data.filters.1.fewest",
            "1 is more than most, 0.5, so that no pair is left",
        ),
        ("data.filters.1={type: script, fewest: 0}", "data.filters.1.fewest", "must be more than 0, not 0"),
        (
            "data.filters.4.source=en",
            "data.filters.4.source",
            "says nothing, as sides is target; leave it out, or sides",
        ),
        (
            "tokenizer={algorithm: byte, byte_fallback: false}",
            "tokenizer.byte_fallback",
            "must be true, as algorithm is byte: there are no other subwords",
        ),
        ("tokenizer.extension.pieces=100", "tokenizer.extension", "needs take_from, the tokenizer that it extends"),
        (
            "tokenizer.symbols=[<p>, <bt>]",
            "tokenizer.symbols.2",
            "<bt> is a reserved tag; use another name",
        ),
        (
            "tokenizer.symbols=[<2fr>]",
            "tokenizer.symbols.1",
            "<2fr> is a reserved tag; use another name",
        ),
        ("tokenizer.symbols=[<p>, <p>]", "tokenizer.symbols.2", "<p> is in the list twice"),
        (
            "tokenizer.symbols=[</s>]",
            "tokenizer.symbols.1",
            "</s> is reserved by the tokenizer; use another name",
        ),
        ("tokenizer.symbols=[a b]", "tokenizer.symbols.1", 'must be text without spaces, not "a b"'),
    ],
)
def test_what_does_not_go_together_is_told_at_its_key(
    option: str, key: str, message: str, messy: str, mistakes_in: MistakesIn
) -> None:
    assert mistakes_in(messy, option) == [f"--set {option}: {key}: {message}"]


@pytest.mark.parametrize(
    ("option", "place", "message"),
    [
        (
            "data.factors=[pos, case]",
            "7:47",
            "data.train.clean.factors: case is missing, which data.factors wants of every corpus",
        ),
        ("data.factors=[]", "7:57", "data.train.clean.factors.pos: is not in the list data.factors; add it there"),
        (
            "data.language_tags=false",
            "10:41",
            (
                "data.train.french.target_language: fr is not data.target_language, de; a model of several needs"
                " data.language_tags: true"
            ),
        ),
    ],
)
def test_what_an_option_makes_wrong_elsewhere_is_told_there(
    option: str, place: str, message: str, messy: str, mistakes_in: MistakesIn
) -> None:
    assert mistakes_in(messy, option) == [f"r.yaml:{place}: {message}"]


@pytest.mark.parametrize("algorithm", ["character", "byte", "word"])
def test_what_cuts_in_one_way_cannot_be_sampled(algorithm: str, messy: str, mistakes_in: MistakesIn) -> None:
    option = "training.subword_sampling={alpha: 0.1}"
    (mistake,) = mistakes_in(messy, f"tokenizer.algorithm={algorithm}", option)
    assert mistake == (
        f"--set {option}: training.subword_sampling: needs tokenizer.algorithm unigram or bpe;"
        f" {algorithm} cuts text in one way only"
    )


@pytest.mark.parametrize(
    "options",
    [
        ["tokenizer.algorithm=byte"],
        ["tokenizer={take_from: x, algorithm: byte, byte_fallback: false}"],
        ["data.train.back.tag=sep"],
        ["data.train.back.tag=2nd"],
        ["data.train.web.tag=bt"],
        ["data.language_tags=false", "data.train.french.target_language=de", "data.train.back.tag=2de"],
        ["data.train.french.source_language=nl"],
        ["data.filters.1={type: score, command: ./score, fewest: 0.5}"],
        ["data.filters.4={type: language, command: x, source: en, target: de}"],
        ["training.mixing={temperature: 5}"],
    ],
)
def test_what_goes_together_is_accepted(options: list[str], messy: str, write: Write) -> None:
    load_recipe(write(messy), options)


@pytest.mark.parametrize(
    ("option", "key", "message"),
    [
        (
            "data.train.news.tag=sep",
            "data.train.news.tag",
            "sep is the tag between the sentences of a context; use another name",
        ),
        (
            "tokenizer.symbols=[<sep>]",
            "tokenizer.symbols.1",
            "<sep> is a reserved tag; use another name",
        ),
    ],
)
def test_a_context_takes_a_name_for_itself(
    option: str, key: str, message: str, good: str, mistakes_in: MistakesIn
) -> None:
    assert mistakes_in(good, "data.context={sentences: 2}", option) == [f"--set {option}: {key}: {message}"]


def test_joined_sentences_have_no_word_alignments(good: str, mistakes_in: MistakesIn) -> None:
    option = "data.train.news.alignment=news.align"
    assert mistakes_in(good, "data.context={}", option) == [
        f"--set {option}: data.train.news.alignment: does not go with data.context"
    ]


def test_a_tokenizer_taken_over_may_be_sampled(good: str, write: Write) -> None:
    load_recipe(write(good), ["tokenizer={take_from: x, algorithm: word}", "training.subword_sampling={alpha: 0.1}"])


def test_a_score_may_come_from_a_corpus(good: str, write: Write) -> None:
    option = "data.train.news.score=news.score"
    load_recipe(write(good), [option, "data.filters=[{type: score, fewest: 0.5}]"])


def test_names_with_dots_are_names_in_mistakes(good: str, mistakes_in: MistakesIn) -> None:
    text = good.replace("news:", "news.2016:").replace("target: news.de}", "target: news.de, tag: pad}")
    assert mistakes_in(text) == [
        "r.yaml:7:51: data.train.news.2016.tag: pad is reserved by the tokenizer; use another name"
    ]
