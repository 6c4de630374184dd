"""Translations with problems are retried together, and replaced only by better ones."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fake_models import CharacterTokenizer, GruModel, requests

from nmt_cli.decoding.repair import (
    MAX_LOSS,
    DecodedHypothesis,
    MaskedHypothesis,
    Repair,
    SentenceResult,
    decode_hypotheses,
)
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.search.strategies import BeamStrategy, Strategy
from nmt_cli.decoding.sentences import Constraints, SentenceInput
from nmt_cli.decoding.translator import Translator
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings
from nmt_cli.text.checks import TranslationFinding

BEAM = BeamSettings(beam_size=2)


def blame(source: str, output: str) -> tuple[TranslationFinding, ...]:
    """One problem for each x."""
    return tuple(TranslationFinding("loop", "x") for letter in output if letter == "x")


def decode(rows: list[list[int]]) -> list[str]:
    return ["".join(map(chr, row)) for row in rows]


def search_masked(
    sentences: Sequence[SentenceInput], sources: Sequence[str], lost: Sequence[Sequence[str]]
) -> list[MaskedHypothesis | None]:
    """Says only what was lost, which is unlikely; the sentence without it is likely."""
    return [MaskedHypothesis(hypothesis("", -1.0), hypothesis("".join(each), -90.0)) for each in lost]


def hypothesis(text: str, log_probability: float) -> Hypothesis:
    return Hypothesis(tuple(map(ord, text)), log_probability, log_probability / (len(text) + 1))


def result(*found: tuple[str, float]) -> SentenceResult:
    return SentenceResult([DecodedHypothesis(text, hypothesis(text, value)) for text, value in found])


class Searches:
    """Finds what is told for each link of the chain, for any sentence."""

    def __init__(self, *answers: list[tuple[str, float]]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[list[int], Strategy[Any]]] = []

    def __call__(self, sentences: Sequence[SentenceInput], strategy: Strategy[Any]) -> list[list[Hypothesis]]:
        self.asked.append(([sentence.line for sentence in sentences], strategy))
        answer = self.answers.pop(0) if self.answers else [("xxxxx", -1.0)]
        return [[hypothesis(*found) for found in answer] for _ in sentences]


def repair(search: Searches, *results: SentenceResult) -> list[SentenceResult]:
    sentences = [SentenceInput(line, [line]) for line in range(len(results))]
    repairing = Repair(blame, search, search_masked, decode, BeamStrategy(BEAM))
    return repairing(sentences, [""] * len(results), list(results))


def test_repair_does_not_search_without_problems() -> None:
    search = Searches()

    found = repair(search, result(("a", -1.0), ("x", -2.0)))

    assert found == [result(("a", -1.0), ("x", -2.0))]
    assert not search.asked


def test_repair_retries_all_failing_sentences_together() -> None:
    search = Searches([("x", -1.0)], [("b", -1.0)])

    found = repair(search, result(("x", -1.0)), result(("a", -1.0)), result(("xx", -1.0)))

    assert [lines for lines, _ in search.asked] == [[0, 2], [0, 2]]
    expected = [strategy.settings for strategy in BeamStrategy(BEAM).retries()[:2]]
    assert [strategy.settings for _, strategy in search.asked] == expected
    assert [(each.hypotheses[0].text, each.is_repaired) for each in found] == [("b", True), ("a", False), ("b", True)]


def test_repair_does_not_sample_sentences_with_required_phrases() -> None:
    search = Searches()
    sentences = [SentenceInput(1, [1], Constraints(forced_phrases=((5,),))), SentenceInput(2, [2])]

    Repair(blame, search, search_masked, decode, BeamStrategy(BEAM))(sentences, ["", ""], [result(("x", -1.0))] * 2)

    assert [lines for lines, _ in search.asked] == [[1, 2], [1, 2], [2]]
    assert isinstance(search.asked[-1][1].settings, SamplingSettings)


def test_repair_keeps_results_without_better_ones() -> None:
    found = repair(Searches([("x", -0.1)], [("xx", -0.1)]), result(("x", -5.0)))

    assert [(each.hypotheses[0].text, each.is_repaired, len(each.problems)) for each in found] == [("x", False, 1)]


def test_repair_takes_no_hypothesis_that_is_not_allowed() -> None:
    sentences = [SentenceInput(0, [0])]
    repairing = Repair(blame, Searches([("d", -0.1), ("e", -0.2)]), search_masked, decode, BeamStrategy(BEAM))
    (found,) = repairing(sentences, [""], [result(("x", -1.0))], lambda sentence, text: text != "d")

    assert found.hypotheses[0].text == "e"


def test_repair_prefers_fewer_problems_then_higher_scores() -> None:
    (found,) = repair(Searches([("xb", -0.1), ("c", -3.5), ("d", -2.0), ("e", -3.0)]), result(("xxx", -5.0)))
    (half,) = repair(Searches([("xb", -0.1), ("xb", -0.2)]), result(("xxx", -5.0)))

    assert found.hypotheses[0].text == "d"
    assert (half.hypotheses[0].text, half.is_repaired, len(half.problems)) == ("xb", True, 1)


def test_repair_takes_less_likely_hypotheses_only_without_problems() -> None:
    (half,) = repair(Searches([("xb", -4.2)]), result(("xxx", -4.0)))
    (right,) = repair(Searches([("bc", -4.2)]), result(("xxx", -4.0)))

    assert (half.hypotheses[0].text, right.hypotheses[0].text) == ("xxx", "bc")


@pytest.mark.parametrize(("difference", "is_taken"), [(-0.01, True), (0.01, False)])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_repair_takes_only_hypotheses_that_are_nearly_as_likely(
    difference: float, is_taken: bool, length_penalty: float
) -> None:
    loss = 3 * (MAX_LOSS + difference)  # of three tokens, eos included
    strategy = BeamStrategy(BEAM.model_copy(update={"length_penalty": length_penalty}))
    search = Searches([("bc", -0.3 - loss)])

    (found,) = Repair(blame, search, search_masked, decode, strategy)(
        [SentenceInput(1, [1])], [""], [result(("xx", -0.3))]
    )

    assert (found.hypotheses[0].text, found.is_repaired) == (("bc", True) if is_taken else ("xx", False))


def test_repair_first_searches_with_lost_text_masked() -> None:
    def lost(source: str, output: str) -> tuple[TranslationFinding, ...]:
        return () if "12" in output else (TranslationFinding("number", "12 is lost", "12"),)

    search = Searches()
    sentences = [SentenceInput(1, [1]), SentenceInput(2, [2])]

    found = Repair(lost, search, search_masked, decode, BeamStrategy(BEAM))(
        sentences, ["", ""], [result(("a", -1)), result(("12", -1))]
    )

    assert [(each.hypotheses[0].text, each.is_repaired) for each in found] == [("12", True), ("12", False)]
    assert not search.asked


def test_repair_does_not_depend_on_the_other_hypotheses() -> None:
    (found,) = repair(Searches([("c", -1.2)]), result(("x", -1.0), ("a", -1.1), ("b", -1.3)))

    assert [each.text for each in found.hypotheses] == ["c", "x", "a"]


def test_repair_keeps_the_number_of_hypotheses() -> None:
    (found,) = repair(Searches([("b", -1.0)]), result(("x", -1.0), ("xx", -2.0)))

    assert [each.text for each in found.hypotheses] == ["b", "x"]


def test_repair_rescores_by_the_length_penalty_of_the_first_search() -> None:
    (found,) = repair(Searches([], [("bcd", -4.0)]), result(("x", -1.0)))

    assert found.hypotheses[0].hypothesis.score == -1.0


@pytest.mark.parametrize("settings", [BeamSettings(beam_size=1), BeamSettings(beam_size=80, max_length=7, n_best=3)])
def test_retries_differ_from_the_settings_and_keep_their_limits(settings: BeamSettings) -> None:
    chain = [strategy.settings for strategy in BeamStrategy(settings).retries()]

    assert len({type(each) for each in chain}) == 2 and settings not in chain
    assert all(each.max_length == settings.max_length for each in chain)
    for each in chain:
        type(each).model_validate(each.model_dump())


def test_decode_hypotheses_groups_by_sentence() -> None:
    found = decode_hypotheses([[hypothesis("a", -1), hypothesis("b", -1)], [], [hypothesis("c", -1)]], decode)

    assert [[each.text for each in group] for group in found] == [["a", "b"], [], ["c"]]


def test_decode_hypotheses_keeps_the_first_of_equal_texts() -> None:
    (found,) = decode_hypotheses([[hypothesis("a", -1), hypothesis("b", -2), hypothesis("a", -3)]], decode)

    assert [(each.text, each.hypothesis.log_probability) for each in found] == [("a", -1), ("b", -2)]


@pytest.mark.parametrize("decoding", [BEAM, SamplingSettings(strategy="sampling", n_best=2)])
def test_translator_repairs_lines(decoding: BeamSettings | SamplingSettings) -> None:
    def odd(source: str, output: str) -> tuple[TranslationFinding, ...]:
        return (TranslationFinding("length", "odd"),) * (len(output) % 2)

    tokenizer = CharacterTokenizer()
    tokenizer.encode_source(["abcde"])
    model = GruModel(9, seed=4, end_bias=2.0)
    plain, checked = (
        list(
            Translator(model, tokenizer, decoding, torch.device("cpu"), check=check).translate(
                requests(["ab", "c", "ed", "bc"])
            )
        )
        for check in (None, odd)
    )

    assert any(each.is_repaired for each in checked)
    for before, after in zip(plain, checked, strict=True):
        assert bool(after.problems) == bool(len(after.best.text) % 2)
        assert after == before or after.is_repaired or after.problems
        assert len(after.hypotheses) == len(before.hypotheses)
