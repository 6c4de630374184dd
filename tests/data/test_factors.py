"""Each token has the factors of its word: after normalisation, in shards, in batches, and in segments of long lines."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.alignments import words_of
from nmt_cli.data.batches import batch_by_size, collate
from nmt_cli.data.factors import FactoredSource, segment_factors, token_factors
from nmt_cli.data.preparation.preparing import PreprocessJob, prepare
from nmt_cli.data.prepared import Prepared, open_prepared
from nmt_cli.data.token_corpus import concatenate_pairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import FactorValues
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.training.batch_size import _longest_batch

Sentences = Callable[[int, int], list[str]]
MANY = {"n": [f"w{number}" for number in range(40)], "parity": ["even", "odd"]}


@pytest.fixture(scope="module")
def tokenizers(sentences: Sentences) -> dict[str, Tokenizer]:
    lines = [*sentences(0, 100), "10 000 it is 0"]
    return {
        name: Tokenizer.train(
            TokenizerSettings(vocabulary_size=310, normalization=name), lines, lines, 1, ["2de", "bt"]
        ).with_factors(FactorValues(MANY))
        for name in ("nfkc", "none", "punctuation")
    }


def values_of(count: int) -> list[list[str]]:
    """Values that tell each word's place."""
    return [[f"w{number}" for number in range(count)], ["odd" if number % 2 else "even" for number in range(count)]]


def assigned(tokenizer: Tokenizer, line: str) -> tuple[list[int], list[list[int]]]:
    normal = tokenizer.normalize(line)
    tokens = tokenizer.source.encode([normal])[0]
    valued = FactoredSource(line, normal, values_of(len(words_of(line))))
    return tokens, token_factors(tokenizer, [valued], np.array(tokens, int), np.array([len(tokens)]))[
        "factors"
    ].tolist()


@given(st.lists(st.text(st.sampled_from("abcdefghijz"), min_size=1, max_size=9), max_size=9), st.data())
@pytest.mark.parametrize("normalization", ["nfkc", "none"])
def test_token_factors_are_those_of_the_word(
    tokenizers: dict[str, Tokenizer], normalization: str, words: list[str], data: st.DataObject
) -> None:
    tokenizer, line = tokenizers[normalization], ""
    for word in words:
        line += data.draw(st.sampled_from([" ", "  "] if normalization == "nfkc" else [" "])) * bool(line) + word
    tokens, found = assigned(tokenizer, line)
    place = 0  # the slow and obvious way: count letters
    ends = np.cumsum([len(word) for word in words])
    for token, numbers in zip(tokens, found, strict=True):
        piece = tokenizer.source.entries[token].replace("▁", "")
        width = 1 if piece.startswith("<0x") else len(piece)
        word = int(np.searchsorted(ends, place, "right"))  # of a lone ▁, the word that follows
        assert numbers == [word + 1, word % 2 + 1]
        place += width
    assert place == sum(map(len, words))


def test_token_factors_of_split_word_are_copied_to_parts(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = tokenizers["nfkc"]
    tokens, found = assigned(tokenizer, "10\xa0000 is")
    begins = tokenizer.source.begins_word[tokens]
    assert begins.sum() == 3
    third = np.flatnonzero(begins)[2]
    assert found == [[1, 1]] * third + [[2, 2]] * (len(tokens) - third)


def test_token_factors_of_vanished_word_are_dropped(tokenizers: dict[str, Tokenizer]) -> None:
    _, found = assigned(tokenizers["nfkc"], "it \u200b is")
    assert {first for first, _ in found} == {1, 3}


def test_token_factors_of_joined_words_are_those_of_the_first(tokenizers: dict[str, Tokenizer]) -> None:
    _, found = assigned(tokenizers["none"], "it\tis 0")
    assert {first for first, _ in found} == {1, 3}


@given(st.text(st.sampled_from("ab \t\xa0\u0301\u00b4\u200b\ufeff\u3000\x85\u2581\ufb01\u1100—`'()?%"), max_size=12))
@pytest.mark.parametrize("normalization", ["nfkc", "none", "punctuation"])
def test_token_factors_of_any_line_cover_each_token(
    tokenizers: dict[str, Tokenizer], normalization: str, line: str
) -> None:
    tokens, found = assigned(tokenizers[normalization], line)
    assert len(found) == len(tokens)
    numbers = [first for first, _ in found if first]  # an empty word has none
    assert numbers == sorted(numbers)


def test_token_factors_of_tags_and_unknown_values_are_0(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = tokenizers["nfkc"]
    tags, tokens = [tokenizer.tag_id("2de"), tokenizer.tag_id("bt")], tokenizer.source.encode(["it is"])[0]
    valued = FactoredSource("it is", "it is", [["w0", "w99"], ["?", "odd"]])
    lengths = np.array([2 + len(tokens)] * 2)
    found = token_factors(tokenizer, [valued, valued], np.array(2 * [*tags, *tokens]), lengths)["factors"].tolist()
    assert found[:2] == [[0, 0], [0, 0]]
    assert {tuple(numbers) for numbers in found[2 : lengths[0]]} == {(1, 0), (0, 2)}
    assert found[lengths[0] :] == found[: lengths[0]]


def test_segment_factors_are_those_of_the_segment(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer, line = tokenizers["nfkc"], "  abc def\t ghij. bad  cab"
    given = dict(zip(MANY, (" ".join(row) for row in values_of(5)), strict=True))
    spans = [(2, 5), (5, 11), (13, 16), (17, 25)]  # "abc", " def" and white space, a part of a word, the rest
    cut = [(start, end, tokenizer.encode_source([line[start:end]])[0]) for start, end in spans]
    found = segment_factors(tokenizer, 1, line, given, cut)
    assert [sorted({*columns["factors"][:, 0].tolist()}) for columns in found] == [[1], [2], [3], [4, 5]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": "w1 w2"}, "line 7: .*--factors parity=FILE"),
        ({"n": "w1", "parity": "odd odd"}, r"line 7: .*\b1 .* n .*\b2 "),
        ({"n": "w1 w2", "parity": "odd odd", "x": "y y"}, "line 7: .* x, .*n, parity"),
    ],
)
def test_segment_factors_rejects_wrong_factors(
    tokenizers: dict[str, Tokenizer], given: dict[str, str], message: str
) -> None:
    tokenizer = tokenizers["nfkc"]
    tokens = tokenizer.encode_source(["it is"])[0]
    with pytest.raises(DataError, match=message):
        segment_factors(tokenizer, 7, "it is", given, [(0, 5, tokens)])
    assert segment_factors(tokenizer, 7, " ", {}, []) == []
    with pytest.raises(DataError, match=r"line 7: .* n\b"):
        segment_factors(tokenizer.with_factors(FactorValues()), 7, "it is", {"n": "w1 w2"}, [(0, 5, tokens)])


MakeFactored = Callable[..., Recipe]


@pytest.fixture
def make(make_recipe: Callable[..., Recipe], sentences: Sentences, tmp_path: Path) -> MakeFactored:
    """A recipe with a factor of each source word: its first letter. Every sixth pair comes twice."""

    def make(wrong: int | None = None, format: str = "lines", **data: Any) -> Recipe:
        sources, targets = sentences(0, 60), sentences(1, 60)
        twice = [number for number in range(60) for _ in range(1 + (number % 6 == 0))]
        sources, targets = ([side[number] for number in twice] for side in (sources, targets))
        recipe = make_recipe(sources, targets)
        factors = [" ".join(word[0].upper() for word in line.split()) for line in sources]
        if wrong is not None:
            factors[wrong] += " X"
        content = recipe.model_dump(mode="json", exclude_unset=True)
        content["data"] |= {"factors": ["letter"], "filters": [{"type": "duplicates"}], **data}
        lines = (tmp_path / "valid.source").read_text().split("\n")[:-1]
        small = "".join(" ".join(word[0] for word in line.split()) + "\n" for line in lines)
        (tmp_path / "valid.letter").write_text(small)
        content["data"]["valid"]["corpus"]["factors"] = {"letter": str(tmp_path / "valid.letter")}
        path = tmp_path / f"train.{format}"
        if format == "lines":
            path.write_text("".join(f"{line}\n" for line in factors))
            content["data"]["train"]["corpus"]["factors"] = {"letter": str(path)}
        elif format == "tsv":
            rows = zip(sources, targets, factors, strict=True)
            path.write_text("a\tb\tc\n" + "".join("\t".join(row) + "\n" for row in rows))
            corpus = {"format": "tsv", "file": str(path), "source": "a", "target": "b", "factors": {"letter": "c"}}
            content["data"]["train"]["corpus"] = corpus
        else:
            rows = zip(sources, targets, factors, strict=True)
            records = [{"source": s, "target": t, "tags": {"first": f}} for s, t, f in rows]
            path.write_text("".join(json.dumps(record) + "\n" for record in records))
            corpus = {"format": "jsonl", "file": str(path), "factors": {"letter": "tags.first"}}
            content["data"]["train"]["corpus"] = corpus
        return Recipe.model_validate(content)

    return make


def prepared_of(recipe: Recipe, processes: int = 1) -> Prepared:
    prepare(recipe, None, PreprocessJob(), processes)
    return open_prepared(recipe)


@pytest.mark.parametrize("format", ["lines", "tsv", "jsonl"])
def test_prepared_tokens_have_factors_of_their_words(make: MakeFactored, format: str) -> None:
    prepared = prepared_of(make(format=format))
    corpus, known = prepared.train[0], prepared.tokenizer.factors
    assert prepared.manifest["corpora"]["train/corpus"]["dropped"] == {"duplicates": 10}  # so that files are compacted
    pairs = corpus.read_all()
    counts = Counter(word[0].upper() for line in corpus.read_text()[0] for word in line.split())
    assert {*known.values["letter"]} == {*counts}
    factors = pairs.source_columns["factors"]
    assert factors.shape == (pairs.sources.values.size, 1)
    for pair, line in enumerate(corpus.read_text()[0]):
        begins = prepared.tokenizer.source.begins_word[pairs.sources[pair]]
        numbers = factors[pairs.sources.offsets[pair] : pairs.sources.offsets[pair + 1], 0]
        letters = [known.values["letter"][number - 1] for number in numbers]
        expected = [line.split()[word][0].upper() for word in np.cumsum(begins) - 1]
        assert letters == expected
    valid = prepared.valid["corpus"].read_all()
    assert not valid.source_columns["factors"].any()  # small letters were not seen in training


def test_prepared_factors_do_not_depend_on_processes(make: MakeFactored) -> None:
    recipe = make()
    first = {path.name: path.read_bytes() for path in _files(prepared_of(recipe, 1), recipe)}
    again = {path.name: path.read_bytes() for path in _files(prepared_of(recipe, 2), recipe)}
    assert first == again
    assert "source.factors.bin" in first


def _files(prepared: Prepared, recipe: Recipe) -> list[Path]:
    assert prepared.tokenizer.factors.names
    return [path for path in (recipe.data.prepared / "train").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("format", "line"), [("lines", 8), ("tsv", 9), ("jsonl", 8)])
def test_wrong_number_of_values_is_an_error_or_skipped(
    make: MakeFactored, tmp_path: Path, format: str, line: int
) -> None:
    with pytest.raises(DataError, match=rf"train\.{format}: line {line}: .*letter"):
        prepared_of(make(wrong=7, format=format))
    prepared = prepared_of(make(wrong=7, format=format, on_error="skip"))
    entry = prepared.manifest["corpora"]["train/corpus"]
    assert entry["dropped"]["factors"] == 1
    assert [each["record"] for each in entry["examples"]["factors"]] == [8]


def test_prepared_tag_has_no_factors(make: MakeFactored) -> None:
    prepared = prepared_of(make(language_tags=True))
    pairs, tag = prepared.train[0].read_all(), prepared.tokenizer.tag_id("2bb")
    factors = pairs.source_columns["factors"]
    assert np.array_equal(factors[:, 0] == 0, pairs.sources.values == tag)
    assert (factors == 0).sum() == len(pairs)


def test_longest_batch_has_source_columns(make: MakeFactored) -> None:
    batch = _longest_batch(prepared_of(make()), 1000)
    assert batch.source_columns["factors"].shape == (*batch.source.shape, 1)


def test_collate_aligns_source_columns_with_sources(make: MakeFactored) -> None:
    prepared = prepared_of(make())
    pairs, words = prepared.train[0].read_all(), prepared.tokenizer
    both = concatenate_pairs([pairs, pairs], [0, 1000])
    own = pairs.source_columns["factors"]
    assert len(both.source_columns["factors"]) == 2 * len(own)
    for rows in batch_by_size(both, 60, [1]):
        batch = collate(both, rows, words.special_tokens)
        column = batch.source_columns["factors"]
        assert column.shape == (*batch.source.shape, 1)
        for row, number in zip(column[..., 0].tolist(), batch.pair_ids % 1000, strict=True):
            begins, ends = pairs.sources.offsets[number : number + 2]
            assert row == [*own[begins:ends, 0].tolist(), 0]
        parts = batch.split(20)
        assert torch.equal(torch.cat([part.source_columns["factors"] for part in parts]), column)
