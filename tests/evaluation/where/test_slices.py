"""Kinds of sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nmt_cli.evaluation.metrics import build_metrics, measure, score
from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.evaluation.where.slices import Slice, slice_scores, slices
from nmt_cli.evaluation.where.words import splitter
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation()
SPLIT = splitter(SETTINGS)
SOURCES = [
    "In Berlin it rains.",
    "Radio plays.",
    "Three dogs.",
    "It costs 10 euros today in the shop.",
    "Then Anna runs",
]
REFERENCES = ["In Berlin regnet es.", "Radio läuft.", "Drei Hunde.", "Es kostet heute 10 Euro.", "Dann läuft Anna"]


def by_kind(found: list[Slice], kind: str) -> dict[str, tuple[int, ...]]:
    return {part.name: part.lines for part in found if part.kind == kind}


def test_numbers_and_names_are_found() -> None:
    found = slices(Texts(REFERENCES, [REFERENCES], SOURCES), SPLIT)
    assert by_kind(found, "numbers") == {"with": (3,), "without": (0, 1, 2, 4)}
    assert by_kind(found, "names") == {"with": (0, 4), "without": (1, 2, 3)}


def test_a_kind_that_all_lines_are_of_says_nothing() -> None:
    assert by_kind(slices(Texts(["a"], [["a"]], ["a"]), SPLIT), "numbers") == {}


@given(some.lists(some.integers(0, 30), min_size=1, max_size=40))
def test_every_line_has_one_length(lengths: list[int]) -> None:
    sources = [" ".join(["words"] * length) for length in lengths]
    found = by_kind(slices(Texts(sources, [sources], sources), SPLIT), "source length")
    assert sorted(line for lines in found.values() for line in lines) == list(range(len(lengths)))
    assert 1 <= len(found) <= 4


def test_lengths_are_in_characters_where_no_spaces_part_words() -> None:
    sources = ["我们今天去公园散步,然后回家。", "好的。"]
    found = by_kind(slices(Texts(sources, [sources], sources), SPLIT), "source length")
    assert found == {"3 characters": (1,), "4-15 characters": (0,)}


def test_lines_are_parted_by_their_rarest_word() -> None:
    seen = {"Radio": 50, "läuft": 700, "Drei": 3, "Hunde": 20}
    found = by_kind(slices(Texts(REFERENCES, [REFERENCES], SOURCES), SPLIT, seen), "rarest target word")
    assert found == {"never": (0, 3, 4), "1-9": (2,), "10-99": (1,)}


def test_tags_are_kinds() -> None:
    found = slices(Texts(REFERENCES, [REFERENCES]), SPLIT, tags=["news", "chat", "chat", "news", "chat"])
    assert found == [Slice("tag", "chat", (1, 2, 4)), Slice("tag", "news", (0, 3))]


def test_a_slice_scores_as_a_corpus_of_its_own() -> None:
    hypotheses = [line.replace("läuft", "rennt") for line in REFERENCES]
    texts = Texts(hypotheses, [REFERENCES], SOURCES)
    [found] = slice_scores([Slice("tag", "x", (1, 3, 4))], measure(texts, build_metrics(SETTINGS)))
    alone = score([hypotheses[i] for i in (1, 3, 4)], [[REFERENCES[i] for i in (1, 3, 4)]], SETTINGS)
    assert found.sentences == 3
    assert found.scores == pytest.approx({each.key: each.value for each in alone})
