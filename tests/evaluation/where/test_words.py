"""Words of lines and how often training has seen them."""

import pytest

from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.evaluation.where.words import (
    WordBand,
    band,
    frequencies,
    has_words_between_spaces,
    rarest,
    splitter,
    word_bands,
)
from nmt_cli.recipe.evaluation import Evaluation

SPLIT = splitter(Evaluation())


def test_lines_are_split_as_bleu_splits_them() -> None:
    assert SPLIT('Er sagt: "Nein."') == ["Er", "sagt", ":", '"', "Nein", ".", '"']
    assert splitter(Evaluation(bleu_tokenizer="char"))("ab") == ["a", "b"]


def test_frequencies_count_every_occurrence() -> None:
    assert frequencies(["a b a", "", "a, b"], SPLIT) == {"a": 3, "b": 2, ",": 1}


@pytest.mark.parametrize(
    ("times", "name"), [(0, "never"), (1, "1-9"), (9, "1-9"), (10, "10-99"), (999, "100-999"), (1000, "1000+")]
)
def test_bands_meet_without_gaps(times: int, name: str) -> None:
    assert band(times) == name


def test_the_rarest_word_is_no_number_and_no_comma() -> None:
    seen = {"Hund": 50, "läuft": 7}
    assert rarest("Hund läuft 3.141 , …", seen, SPLIT) == 7
    assert rarest("Hund bellt", seen, SPLIT) == 0
    assert rarest("10 %", seen, SPLIT) is None


def test_words_match_line_by_line() -> None:
    texts = Texts(["a a b", "c"], [["a b x", "a"]])
    bands = {found.seen: found for found in word_bands(texts, {"a": 5, "b": 20}, SPLIT)}
    assert bands["1-9"] == WordBand("1-9", expected=2, produced=2, matched=1, f1=50.0)
    assert bands["10-99"] == WordBand("10-99", expected=1, produced=1, matched=1, f1=100.0)
    assert bands["never"] == WordBand("never", expected=1, produced=1, matched=0, f1=0.0)
    assert bands["1000+"].f1 is None


def test_scripts_with_and_without_spaces_are_told_apart() -> None:
    assert has_words_between_spaces(["Ein Hund läuft schnell.", "Ja."])
    assert not has_words_between_spaces(["我们今天去公园散步,然后回家。", "好。"])
