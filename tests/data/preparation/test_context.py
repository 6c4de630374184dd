"""Document context and tags in prepared data."""

import random
from itertools import chain

import pytest
from preparing import MakeRecipe, Sentences, changed, prepared

from nmt_cli.data.context import TEXT_SEPARATOR
from nmt_cli.data.preparation import shards
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.schema import Recipe


def documents(sentences: Sentences) -> list[tuple[str, str]]:
    """Documents of one to eight pairs; some pairs lack a side, which ends none, and some come again."""
    chance, pairs = random.Random(1), iter(zip(sentences(0, 90), sentences(1, 90), strict=True))
    found = list[tuple[str, str]]()
    for pair in pairs:
        found.append(pair)
        what = chance.random()
        if what < 0.15:
            found.append((" ", "\u200b"))
        elif what < 0.25:
            found.append(("", "a"))
        elif what < 0.35:
            found.append(found[0])
    return found


@pytest.mark.parametrize("chunk_records", [8192, 10, 1])
@pytest.mark.parametrize("target", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_context_is_the_previous_sentences_of_the_document(
    make_recipe: MakeRecipe,
    sentences: Sentences,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    target: bool,
    chunk_records: int,
) -> None:
    monkeypatch.setattr(shards, "CHUNK_RECORDS", chunk_records)
    pairs = documents(sentences)
    recipe = make_recipe([source for source, _ in pairs], [text for _, text in pairs])
    made = prepared(
        changed(
            recipe,
            context={"sentences": count, "target": target},
            max_length=400,
            filters=[{"type": "duplicates"}],
        )
    )
    sources, targets = [], []
    for place, (source, text) in enumerate(pairs):
        if not source.strip() or not text.strip("\u200b") or (source, text) in pairs[:place]:
            continue
        before = list[int]()
        for other in range(place - 1, place - count - 1, -1):
            if other < 0 or pairs[other] == (" ", "\u200b"):
                break
            before.insert(0, other)
        sources.append([*(pairs[other][0] for other in before), source])
        targets.append([*(pairs[other][1] for other in before if target), text])
    corpus = made.train[0]
    assert [line.split(TEXT_SEPARATOR) for line in corpus.read_text()[0]] == sources
    assert [line.split(TEXT_SEPARATOR) for line in corpus.read_text()[1]] == targets
    tokens, separator = corpus.read_all(), made.tokenizer.tag_id("sep")
    for number, (one, other) in enumerate(zip(sources, targets, strict=True)):
        assert tokens.sources[number].tolist() == joined(made.tokenizer.encode_source(one), separator)
        assert tokens.targets[number].tolist() == joined(made.tokenizer.encode_target(other), separator)


def joined(sentences: list[list[int]], separator: int) -> list[int]:
    return list(chain.from_iterable([*([separator] if number else []), *one] for number, one in enumerate(sentences)))


@pytest.mark.parametrize("chunk_records", [8192, 31, 1])
def test_held_out_pair_is_not_used_as_context(
    make_recipe: MakeRecipe, sentences: Sentences, monkeypatch: pytest.MonkeyPatch, chunk_records: int
) -> None:
    monkeypatch.setattr(shards, "CHUNK_RECORDS", chunk_records)
    sources, targets = sentences(0, 60), sentences(1, 60)
    sources[30], targets[30] = sentences(10, 1)[0], sentences(11, 1)[0]  # as for validation
    recipe = changed(make_recipe(sources, targets), context={"sentences": 2}, filters=[{"type": "overlap"}])
    corpus = prepared(changed(recipe, max_length=400)).train[0]
    assert len(corpus) == 59
    assert not any(sources[30] in line.split(TEXT_SEPARATOR) for line in corpus.read_text()[0])
    assert corpus.read_text()[0][30:32] == [sources[31], TEXT_SEPARATOR.join(sources[31:33])]


@pytest.mark.parametrize("languages", [True, False])
@pytest.mark.parametrize("tag", ["bt", None])
def test_tags_precede_source_tokens_but_not_the_text(make_recipe: MakeRecipe, languages: bool, tag: str | None) -> None:
    recipe = make_recipe()
    one = recipe.data.train["corpus"].model_dump()
    train = {"corpus": one | {"tag": tag}, "other": one | ({"target_language": "cc"} if languages else {})}
    made = prepared(changed(recipe, train=train, language_tags=languages))
    word = made.tokenizer.tag_id
    tagged, other = made.train
    assert prefix_of(made, "corpus") == [*([word("2bb")] if languages else []), *([word("bt")] if tag else [])]
    assert prefix_of(made, "other") == ([word("2cc")] if languages else [])
    assert made.valid["corpus"].prefix == ([word("2bb")] if languages else [])
    assert tagged.read_text()[0] == other.read_text()[0]
    for corpus in (tagged, other, made.valid["corpus"]):
        tokens = corpus.read_all()
        for number, (source, target) in enumerate(zip(corpus.read_text()[0], corpus.read_text()[1], strict=True)):
            assert tokens.sources[number].tolist() == [*corpus.prefix, *made.tokenizer.encode_source([source])[0]]
            assert tokens.targets[number].tolist() == made.tokenizer.encode_target([target])[0]


def test_tags_are_not_copied_as_words_of_the_target_vocabulary(make_recipe: MakeRecipe) -> None:
    recipe = changed(make_recipe(), language_tags=True)
    model = {"architecture": "rnn", "preset": "tiny", "output": {"type": "pointer_generator"}}
    recipe = Recipe.model_validate(recipe.model_dump() | {"tokenizer": {"path": "other"}, "model": model})
    settings = TokenizerSettings.model_validate({"algorithm": "word", "byte_fallback": False, "joint": False})
    tokenizer = Tokenizer.train(settings, ["a b c"], ["d"], seed=1).with_tags(["2bb"]).with_copies(True)
    pairs = prepared(recipe, tokenizer).valid["corpus"].read_all()
    for pair, first in enumerate(pairs.sources.offsets[:-1].tolist()):
        assert pairs.sources[pair][0] == tokenizer.tag_id("2bb")
        assert pairs.source_columns["copy_ids"][first] == tokenizer.special_tokens.unk


def prefix_of(made: Prepared, name: str) -> list[int]:
    [corpus] = [corpus for corpus in made.train if corpus.name == name]
    return corpus.prefix


def test_text_cannot_contain_a_tag(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    lines = [f"{line} <2bb> <bt> <sep> \x1e" for line in sentences(0, 60)]
    recipe = make_recipe(lines, lines)
    train = {"corpus": recipe.data.train["corpus"].model_dump() | {"tag": "bt"}}
    made = prepared(changed(recipe, train=train, language_tags=True, context={"sentences": 1}, max_length=400))
    tags = {made.tokenizer.tag_id(name) for name in ("2bb", "bt", "sep")}
    tokens = made.train[0].read_all()
    for number in range(60):
        assert [token for token in tokens.sources[number].tolist() if token in tags] == [
            *made.train[0].prefix,
            *([made.tokenizer.tag_id("sep")] if number else []),
        ]
