"""Translations with problems are retried together, and replaced only by better ones."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fake_models import CharacterTokenizer, GruModel, requests

from nmt_cli.decoding.repair import DecodedHypothesis, Repair, SentenceResult, decode_hypotheses
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
) -> list[list[Hypothesis]]:
    """Says only what was lost."""
    return [[hypothesis("".join(each), -3.0)] for each in lost]


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
    assert [(each.hypotheses[0].text, each.is_retried) for each in found] == [("b", True), ("a", False), ("b", True)]


def test_repair_does_not_sample_sentences_with_required_phrases() -> None:
    search = Searches()
    sentences = [SentenceInput(1, [1], Constraints(forced_phrases=((5,),))), SentenceInput(2, [2])]

    Repair(blame, search, search_masked, decode, BeamStrategy(BEAM))(sentences, ["", ""], [result(("x", -1.0))] * 2)

    assert [lines for lines, _ in search.asked] == [[1, 2], [1, 2], [2]]
    assert isinstance(search.asked[-1][1].settings, SamplingSettings)


def test_repair_keeps_results_without_better_ones() -> None:
    found = repair(Searches([("x", -0.1)], [("xx", -0.1)]), result(("x", -5.0)))

    assert [(each.hypotheses[0].text, each.is_retried, len(each.problems)) for each in found] == [("x", False, 1)]


def test_repair_prefers_fewer_problems_then_higher_scores() -> None:
    (found,) = repair(Searches([("xb", -0.1), ("c", -9.0), ("d", -2.0), ("e", -3.0)]), result(("xxx", -5.0)))
    (half,) = repair(Searches([("xb", -0.1), ("xb", -0.2)]), result(("xxx", -5.0)))

    assert found.hypotheses[0].text == "d"
    assert (half.hypotheses[0].text, half.is_retried, len(half.problems)) == ("xb", True, 1)


def test_repair_takes_less_likely_hypotheses_only_without_problems() -> None:
    (half,) = repair(Searches([("xb", -9.0)]), result(("xxx", -5.0)))
    (right,) = repair(Searches([("bc", -9.0)]), result(("xxx", -5.0)))

    assert (half.hypotheses[0].text, right.hypotheses[0].text) == ("xxx", "bc")


def test_repair_first_searches_with_lost_text_masked() -> None:
    def lost(source: str, output: str) -> tuple[TranslationFinding, ...]:
        return () if "12" in output else (TranslationFinding("number", "12 is lost", "12"),)

    search = Searches()
    sentences = [SentenceInput(1, [1]), SentenceInput(2, [2])]

    found = Repair(lost, search, search_masked, decode, BeamStrategy(BEAM))(
        sentences, ["", ""], [result(("a", -1)), result(("12", -1))]
    )

    assert [(each.hypotheses[0].text, each.is_retried) for each in found] == [("12", True), ("12", False)]
    assert not search.asked


def test_repair_first_considers_the_other_hypotheses() -> None:
    search = Searches()

    (found,) = repair(search, result(("x", -1.0), ("a", -2.0), ("b", -3.0)))

    assert [each.text for each in found.hypotheses] == ["a", "x", "b"]
    assert not search.asked


def test_repair_keeps_the_number_of_hypotheses() -> None:
    (found,) = repair(Searches([("b", -1.0)]), result(("x", -1.0), ("xx", -2.0)))

    assert [each.text for each in found.hypotheses] == ["b", "x"]


def test_repair_rescores_by_the_length_penalty_of_the_first_search() -> None:
    (found,) = repair(Searches([], [("bcd", -8.0)]), result(("x", -1.0)))

    assert found.hypotheses[0].hypothesis.score == -2.0


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

    assert any(each.is_retried for each in checked)
    for before, after in zip(plain, checked, strict=True):
        assert bool(after.problems) == bool(len(after.best.text) % 2)
        assert after == before or after.is_retried or after.problems
        assert len(after.hypotheses) == len(before.hypotheses)
