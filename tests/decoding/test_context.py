"""Translation and scoring in document context."""

import math
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch
from fake_models import END, START, EchoModel, GruModel, ToyEncoderOutput
from torch import nn

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SourceTags
from nmt_cli.decoding.requests import Request, TranslateOptions, in_documents
from nmt_cli.decoding.results import Translation
from nmt_cli.decoding.scoring import score_targets
from nmt_cli.decoding.scoring.scorer import Scorer, ScoringPair, with_context
from nmt_cli.decoding.search.hypotheses import max_target_lengths
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.decoding.translator import InferenceConfig, Translator
from nmt_cli.errors import RecipeError
from nmt_cli.evaluation import mbr_utility
from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model, ModelInputs
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.decoding import BeamSettings, MbrSettings
from nmt_cli.text.checks import TranslationFinding

inputs = ModelInputs.from_ids

CPU = torch.device("cpu")
SETTINGS = BeamSettings(beam_size=2, split_sentences_above=None, max_length_ratio=3.0)
DOCUMENTS = [
    ["Neat tea", "no tea", "so on", "Gathered", "here again"],
    ["one"],
    ["a", "b c", "d e f"],
    ["No. Tea. So."],
]
LINES = [line for document in DOCUMENTS for line in (*document, " \u200b")]


@pytest.fixture(scope="module")
def words(plain_tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer with the separator tag."""
    return plain_tokenizer.with_tags(["2de", "sep"])


class Watched(EchoModel):
    """Echoes its source, or what follows the last separator, and records its inputs."""

    def __init__(self, size: int, separator: int | None = None) -> None:
        super().__init__(size)
        self.separator, self.given = separator, set[tuple[int, ...]]()

    def encode(self, source: ModelInputs) -> ToyEncoderOutput:
        found, self.begins = [], list[int]()
        for row in source.ids.tolist():
            line = row[: row.index(END)]
            self.given.add(tuple(line))
            self.begins.append(
                max((place + 1 for place, token in enumerate(line) if token == self.separator), default=0)
            )
            said = line[self.begins[-1] :]
            found.append([*said, *[END] * (len(row) - len(said))])
        return super().encode(inputs(torch.tensor(found), source.lengths))

    def decode(self, encoder_output: ToyEncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        positions = torch.arange(target.ids.size(1)) + torch.tensor(self.begins)[:, None]
        length = encoder_output.states.size(1)
        weights = nn.functional.one_hot(positions.clamp(max=length - 1), length).float()
        output = super().decode(encoder_output, target)
        return replace(output, cross_attention=weights if attention else None)


def translator(model: Model, words: Tokenizer, target: bool, count: int = 2, **changes: Any) -> Translator:
    config = InferenceConfig(context=Context(sentences=count, target=target))
    settings = changes.pop("settings", SETTINGS)
    own = {key: changes.pop(key) for key in ("max_tokens", "tags") if key in changes}
    return Translator(model, words, settings, CPU, replace(config, **own), **changes)


def watched(words: Tokenizer, target: bool) -> Watched:
    return Watched(words.target_size, None if target else words.tag_id("sep"))


def in_windows(translator: Translator, size: int, lines: list[str] = LINES) -> list[Translation]:
    requests = list(in_documents(map(Request, lines), translator.context.size))
    windows = range(0, len(requests), size)
    return list(
        chain.from_iterable(translator.translate_window(requests[first : first + size], first + 1) for first in windows)
    )


def joined(words: Tokenizer, lines: list[str]) -> tuple[int, ...]:
    rows = words.encode_source(lines)
    return (*chain.from_iterable((*row, words.tag_id("sep")) for row in rows[:-1]), *rows[-1])


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("target", [True, False])
@pytest.mark.parametrize("count", [1, 2])
def test_translator_adds_context_and_returns_only_the_translation_of_each_line(
    words: Tokenizer, count: int, target: bool, size: int
) -> None:
    model = watched(words, target)
    found = in_windows(translator(model, words, target, count), size)

    assert [each.source for each in found] == LINES
    assert [each.best.text for each in found] == [line if line.strip("\u200b ") else "" for line in LINES]
    assert model.given == {
        joined(words, document[max(0, place - count) : place + 1])
        for document in DOCUMENTS
        for place in range(len(document))
    }


@pytest.mark.parametrize("target", [True, False])
def test_context_does_not_depend_on_windows(words: Tokenizer, target: bool) -> None:
    translating = translator(GruModel(words.target_size, seed=4, end_bias=3.0), words, target)
    whole = in_windows(translating, 100)
    for size in (1, 2, 5):
        for one, other in zip(in_windows(translating, size), whole, strict=True):
            assert one.best.text == other.best.text
            assert one.best.log_probability == pytest.approx(other.best.log_probability, abs=1e-4)
    alone = list(translator(translating.generator.model, words, target).translate(map(Request, LINES)))
    assert alone[1].best.log_probability != pytest.approx(whole[1].best.log_probability)


def test_context_that_does_not_fit_drops_the_most_distant_lines(words: Tokenizer) -> None:
    lines = ["gathered here", "tea", "so"]
    for longest in range(len(words.encode_source(["so"])[0]), len(joined(words, lines)) + 1):
        model = watched(words, True)
        in_windows(translator(model, words, True, max_tokens=longest), 3, lines)
        (last,) = (given for given in model.given if given[-1:] == joined(words, ["so"])[-1:])
        fitting = [joined(words, lines[start:]) for start in range(3) if len(joined(words, lines[start:])) <= longest]
        assert last == fitting[0]


def test_split_lines_have_no_context(words: Tokenizer) -> None:
    model = watched(words, True)
    settings = SETTINGS.model_copy(update={"split_sentences_above": 2})
    found = in_windows(translator(model, words, True, settings=settings), 9, ["so", "No tea here. So on. ", "so"])

    assert [each.best.text for each in found] == ["so", "No tea here. So on.", "so"]
    assert joined(words, ["No tea here."]) in model.given
    assert joined(words, ["so", "No tea here. So on. ", "so"]) in model.given


def test_tags_precede_the_context(words: Tokenizer) -> None:
    model = watched(words, True)
    (_, found) = in_windows(
        translator(model, words, True, 1, tags=SourceTags(words.source.tags, "de")), 2, ["so", "tea"]
    )

    assert (words.tag_id("2de"), *joined(words, ["so", "tea"])) in model.given
    assert found.best.text.endswith("tea")


@pytest.mark.parametrize("settings", [SETTINGS, MbrSettings(strategy="mbr", split_sentences_above=None)])
def test_check_and_utility_exclude_the_context(
    monkeypatch: pytest.MonkeyPatch, words: Tokenizer, settings: Any
) -> None:
    seen, compared = set[tuple[str, str]](), set[str]()

    def check(source: str, text: str) -> tuple[TranslationFinding, ...]:
        seen.add((source, text))
        return ()

    def compare(texts: Any, weights: Any, utility: Any) -> list[float]:
        compared.update(texts)
        return [0.0] * len(texts)

    monkeypatch.setattr(mbr_utility, "expected_utilities", compare)
    in_windows(translator(watched(words, True), words, True, settings=settings, check=check), 9)

    lines = {line for line in LINES if line.strip("\u200b ")}
    assert seen == {(line, line) for line in lines}
    assert compared == (lines if isinstance(settings, MbrSettings) else set())


def test_alignment_excludes_the_context(words: Tokenizer) -> None:
    options = TranslateOptions(alignment=True, word_scores=True)
    for line, each in zip(
        LINES, in_windows(translator(watched(words, False), words, False, options=options), 4), strict=True
    ):
        known = each.best.annotation
        count = len(line.strip(" \u200b").split())
        assert (known.alignment if known else ()) == tuple((word, word) for word in range(count))
        assert math.fsum(known.word_scores or () if known else ()) == pytest.approx(each.best.log_probability, abs=1e-3)


@pytest.mark.parametrize("request_", [Request("a", prefix="b"), Request("a", required=("b",))])
def test_target_context_rejects_prefix_and_required_words(words: Tokenizer, request_: Request) -> None:
    with pytest.raises(RecipeError, match=r"line 7: .*data\.context\.target"):
        translator(watched(words, True), words, True).translate_window([request_], 7)
    (found,) = translator(watched(words, False), words, False).translate_window([request_])
    assert "b" in found.best.text


def test_lines_that_are_not_translated_leave_the_greatest_length_alone() -> None:
    source = inputs(torch.full((2, 11), START))
    first = SentenceInput(1, [5] * 4, tags=(5,) * 6, num_context_tokens=6)
    sentences = [first, SentenceInput(2, [5] * 4, tags=(5,) * 6)]
    assert max_target_lengths(source, SETTINGS, sentences).tolist() == [22, 40]


@pytest.mark.parametrize("target", [True, False])
def test_scorer_scores_only_the_pair_given_its_context(words: Tokenizer, target: bool) -> None:
    model = GruModel(words.target_size, seed=4)
    translating = translator(model, words, target)
    scorer = Scorer(translating.generator, words, SETTINGS, context=translating.context)
    pairs = list(with_context([ScoringPair(line, line.upper()) for line in LINES], 2))
    found = [each for place in range(0, len(pairs), 3) for each in scorer.score_window(pairs[place : place + 3])]

    expected = []
    for document in DOCUMENTS:
        for place in range(len(document)):
            near = document[max(0, place - 2) : place + 1]
            said = list(joined(words, [line.upper() for line in near[0 if target else -1 :]]))
            own = len(words.encode_target([near[-1].upper()])[0]) + 1
            (scores,) = score_targets(model, inputs(torch.tensor([[*joined(words, near), END]])), [said])
            expected.append(math.fsum(scores.token_log_probs[-own:]))
        expected.append(0)
    assert [each.log_probability for each in found] == pytest.approx(expected, abs=1e-3)
    for each in found:
        assert math.fsum(each.word_scores) == pytest.approx(each.log_probability, abs=1e-6)
