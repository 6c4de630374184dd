"""What looks wrong is searched for again, all that fails together, and only what is better takes its place."""

from collections.abc import Sequence

import pytest
import torch
from toys import CharacterTokenizer, GruModel, requests

from nmt_cli.decoding.checking import Candidate, Mender, Outcome, candidates, fallbacks
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Sentence, Wishes
from nmt_cli.decoding.translator import Demands, Translator
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings
from nmt_cli.text.checks import TranslationFinding

BEAM = BeamSettings(beam_size=2)


def blame(source: str, output: str) -> tuple[TranslationFinding, ...]:
    """One problem for each x."""
    return tuple(TranslationFinding("loop", "x") for letter in output if letter == "x")


def decode(rows: list[list[int]]) -> list[str]:
    return ["".join(map(chr, row)) for row in rows]


def spare(
    sentences: Sequence[Sentence], sources: Sequence[str], lost: Sequence[Sequence[str]]
) -> list[list[Hypothesis]]:
    """Says only what was lost."""
    return [[hypothesis("".join(each), -3.0)] for each in lost]


def hypothesis(text: str, log_probability: float) -> Hypothesis:
    return Hypothesis(tuple(map(ord, text)), log_probability, log_probability / (len(text) + 1))


def outcome(*found: tuple[str, float]) -> Outcome:
    return Outcome([Candidate(text, hypothesis(text, value)) for text, value in found])


class Searches:
    """Finds what is told for each link of the chain, for any sentence."""

    def __init__(self, *answers: list[tuple[str, float]]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[list[int], SearchSettings]] = []

    def __call__(self, sentences: Sequence[Sentence], settings: SearchSettings) -> list[list[Hypothesis]]:
        self.asked.append(([sentence.line for sentence in sentences], settings))
        answer = self.answers.pop(0) if self.answers else [("xxxxx", -1.0)]
        return [[hypothesis(*found) for found in answer] for _ in sentences]


def mend(search: Searches, *outcomes: Outcome) -> list[Outcome]:
    sentences = [Sentence(line, [line]) for line in range(len(outcomes))]
    return Mender(blame, search, spare, decode, BEAM).mend(sentences, [""] * len(outcomes), list(outcomes))


def test_what_is_right_is_not_searched_for() -> None:
    search = Searches()

    found = mend(search, outcome(("a", -1.0), ("x", -2.0)))

    assert found == [outcome(("a", -1.0), ("x", -2.0))]
    assert not search.asked


def test_all_that_fails_goes_through_each_link_together() -> None:
    search = Searches([("x", -1.0)], [("b", -1.0)])

    found = mend(search, outcome(("x", -1.0)), outcome(("a", -1.0)), outcome(("xx", -1.0)))

    assert [lines for lines, _ in search.asked] == [[0, 2], [0, 2]]
    assert [settings for _, settings in search.asked] == list(fallbacks(BEAM))[:2]
    assert [(each.candidates[0].text, each.mended) for each in found] == [("b", True), ("a", False), ("b", True)]


def test_what_requires_words_is_not_left_to_chance() -> None:
    search = Searches()
    sentences = [Sentence(1, [1], Wishes(required=((5,),))), Sentence(2, [2])]

    Mender(blame, search, spare, decode, BEAM).mend(sentences, ["", ""], [outcome(("x", -1.0))] * 2)

    assert [lines for lines, _ in search.asked] == [[1, 2], [1, 2], [2]]
    assert isinstance(search.asked[-1][1], SamplingSettings)


def test_what_is_not_better_changes_nothing() -> None:
    found = mend(Searches([("x", -0.1)], [("xx", -0.1)]), outcome(("x", -5.0)))

    assert [(each.candidates[0].text, each.mended, len(each.problems)) for each in found] == [("x", False, 1)]


def test_fewer_problems_are_better_and_then_the_likelier() -> None:
    (found,) = mend(Searches([("xb", -0.1), ("c", -9.0), ("d", -2.0), ("e", -3.0)]), outcome(("xxx", -5.0)))
    (half,) = mend(Searches([("xb", -0.1), ("xb", -0.2)]), outcome(("xxx", -5.0)))

    assert found.candidates[0].text == "d"
    assert (half.candidates[0].text, half.mended, len(half.problems)) == ("xb", True, 1)


def test_what_the_model_finds_less_likely_must_be_wholly_right() -> None:
    (half,) = mend(Searches([("xb", -9.0)]), outcome(("xxx", -5.0)))
    (right,) = mend(Searches([("bc", -9.0)]), outcome(("xxx", -5.0)))

    assert (half.candidates[0].text, right.candidates[0].text) == ("xxx", "bc")


def test_what_was_lost_is_put_in_before_anything_else() -> None:
    def lost(source: str, output: str) -> tuple[TranslationFinding, ...]:
        return () if "12" in output else (TranslationFinding("number", "12 is lost", "12"),)

    search = Searches()
    sentences = [Sentence(1, [1]), Sentence(2, [2])]

    found = Mender(lost, search, spare, decode, BEAM).mend(
        sentences, ["", ""], [outcome(("a", -1)), outcome(("12", -1))]
    )

    assert [(each.candidates[0].text, each.mended) for each in found] == [("12", True), ("12", False)]
    assert not search.asked


def test_the_first_search_is_asked_first() -> None:
    search = Searches()

    (found,) = mend(search, outcome(("x", -1.0), ("a", -2.0), ("b", -3.0)))

    assert [candidate.text for candidate in found.candidates] == ["a", "x", "b"]
    assert not search.asked


def test_as_many_translations_stay_as_there_were() -> None:
    (found,) = mend(Searches([("b", -1.0)]), outcome(("x", -1.0), ("xx", -2.0)))

    assert [candidate.text for candidate in found.candidates] == ["b", "x"]


def test_scores_can_be_compared() -> None:
    (found,) = mend(Searches([], [("bcd", -8.0)]), outcome(("x", -1.0)))

    assert found.candidates[0].hypothesis.score == -2.0


@pytest.mark.parametrize("settings", [BeamSettings(beam_size=1), BeamSettings(beam_size=80, max_length=7, n_best=3)])
def test_the_chain_is_other_ways_within_the_same_limits(settings: BeamSettings) -> None:
    chain = fallbacks(settings)

    assert len({type(each) for each in chain}) == 2 and settings not in chain
    assert all(each.max_length == settings.max_length for each in chain)
    for each in chain:
        type(each).model_validate(each.model_dump())


def test_hypotheses_keep_to_their_sentences() -> None:
    found = candidates([[hypothesis("a", -1), hypothesis("b", -1)], [], [hypothesis("c", -1)]], decode)

    assert [[candidate.text for candidate in group] for group in found] == [["a", "b"], [], ["c"]]


@pytest.mark.parametrize("decoding", [BEAM, SamplingSettings(strategy="sampling", n_best=2)])
def test_lines_are_mended_by_a_real_search(decoding: BeamSettings | SamplingSettings) -> None:
    def odd(source: str, output: str) -> tuple[TranslationFinding, ...]:
        return (TranslationFinding("length", "odd"),) * (len(output) % 2)

    tokenizer = CharacterTokenizer()
    tokenizer.encode_source(["abcde"])
    model = GruModel(9, seed=4, end_bias=2.0)
    plain, checked = (
        list(
            Translator(model, tokenizer, decoding, torch.device("cpu"), demands=Demands(check=check)).translate(
                requests(["ab", "c", "ed", "bc"])
            )
        )
        for check in (None, odd)
    )

    assert any(each.mended for each in checked)
    for before, after in zip(plain, checked, strict=True):
        assert bool(after.problems) == bool(len(after.best.text) % 2)
        assert after == before or after.mended or after.problems
        assert len(after.hypotheses) == len(before.hypotheses)
