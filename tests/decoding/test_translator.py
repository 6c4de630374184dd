"""One translation per line, in order, for any lines, batches and memory."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from fake_models import CharacterTokenizer, EchoModel, GruModel, requests
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.decoding.repair import Check
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.translator import InferenceConfig, Translator
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.models.contract import Capabilities, Model, ModelInputs
from nmt_cli.recipe.decoding import BeamSettings, MbrSettings, SamplingSettings, SearchSettings
from nmt_cli.text.checks import TranslationFinding

CPU = torch.device("cpu")
GREEDY = BeamSettings(beam_size=1)
RNG = random.Random(1)
LINES = ["".join(RNG.choices("abcde", k=RNG.randrange(9))) for _ in range(40)]


def echo(size: int = 200, **changes: Any) -> Translator:
    return Translator(EchoModel(size), CharacterTokenizer(), GREEDY.model_copy(update=changes), CPU)


def gru(decoding: SearchSettings, end_bias: float = 2.0, longest: int = 200, check: Check | None = None) -> Translator:
    tokenizer = CharacterTokenizer()
    tokenizer.encode_source(["abcde"])
    model, config = GruModel(9, seed=4, end_bias=end_bias), InferenceConfig(max_tokens=longest)
    return Translator(model, tokenizer, decoding, CPU, config, check=check)


def texts(translator: Translator, lines: list[str]) -> list[str]:
    return [translation.best.text for translation in translator.translate(requests(lines))]


@settings(max_examples=40)
@given(st.lists(st.text(max_size=8), max_size=80), st.integers(1, 50))
def test_translator_returns_one_translation_per_line_in_order(lines: list[str], batch_tokens: int) -> None:
    translator = echo(2000, batch_tokens=batch_tokens)

    found = list(translator.translate(requests(iter(lines))))

    assert [translation.source for translation in found] == lines
    for line, translation in zip(lines, found, strict=True):
        assert translation.best.text in ("", line)
        assert translation.best.text == line or not any(each.isalnum() for each in line)


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u200b", "\x0c", "\ufeff \t", "\u2028"])
def test_translator_leaves_blank_lines_blank(blank: str) -> None:
    translator = gru(BeamSettings(n_best=3))
    translator.generator.model.encode = None  # type: ignore[assignment]

    (translation,) = translator.translate(requests([blank]))

    assert [(found.text, found.log_probability, found.score) for found in translation.hypotheses] == [("", 0.0, 0.0)]


@pytest.mark.parametrize(
    "decoding",
    [BeamSettings(beam_size=1), BeamSettings(beam_size=3), SamplingSettings(strategy="sampling", n_best=2)],
)
def test_translations_do_not_depend_on_order_and_batch_size(decoding: BeamSettings | SamplingSettings) -> None:
    expected = texts(gru(decoding), LINES)

    for batch_tokens in (1, 50):
        assert texts(gru(decoding.model_copy(update={"batch_tokens": batch_tokens})), LINES) == expected
    if isinstance(decoding, BeamSettings):  # chance depends on a line's number
        assert texts(gru(decoding), LINES[::-1]) == expected[::-1]
    assert len(set(expected)) > 5


def test_translations_do_not_depend_on_windows() -> None:
    translator = gru(SamplingSettings(strategy="sampling"))

    found = translator.translate_window(list(requests(LINES[:15]))) + translator.translate_window(
        list(requests(LINES[15:])), 16
    )

    assert [translation.best.text for translation in found] == texts(translator, LINES)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_batches_have_at_most_batch_tokens(beam_size: int) -> None:
    translator = echo(beam_size=beam_size, batch_tokens=100)

    texts(translator, LINES)

    assert 50 < translator.generator.model.largest_batch * beam_size <= 100


@pytest.mark.parametrize("above", [None, 1])
def test_translator_reports_each_line_once(above: int | None) -> None:
    """Whatever the number of its sentences."""
    progress: list[int] = []
    lines = [*LINES, "A b. C d. E f."]

    list(echo(batch_tokens=30, split_sentences_above=above).translate(requests(lines), progress.append))

    assert sum(progress) == len(lines)
    assert len(progress) > 5


def test_translator_yields_before_the_input_ends() -> None:
    def infinite() -> Any:
        while True:
            yield "abc"

    assert next(echo().translate(requests(infinite()))).best.text == "abc"


def test_model_inputs_have_lengths_only_with_padding() -> None:
    translator, seen = echo(), list[ModelInputs]()
    encode = translator.generator.model.encode
    translator.generator.model.encode = lambda source: seen.append(source) or encode(source)  # type: ignore[assignment]

    texts(translator, ["abc", "b"])
    texts(translator, ["abc", "cba"])

    assert seen[0].lengths is not None and seen[0].lengths.tolist() == [4, 2]
    assert seen[1].lengths is None


def test_translator_sorts_n_best_hypotheses_by_score() -> None:
    (translation,) = gru(BeamSettings(beam_size=5, n_best=4)).translate(requests(["abc"]))

    scores = [found.score for found in translation.hypotheses]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)


def odd(source: str, output: str) -> tuple[TranslationFinding, ...]:
    return (TranslationFinding("length", "odd"),) * (len(output) % 2)


@pytest.mark.parametrize("check", [None, odd])
@pytest.mark.parametrize(
    "decoding",
    [
        BeamSettings(beam_size=6, length_penalty=0.6),
        BeamSettings(beam_size=6, early_stopping="never"),
        BeamSettings(beam_size=6, num_beam_groups=3),
        SamplingSettings(strategy="sampling", temperature=1.2),
        MbrSettings(strategy="mbr", num_candidates=8),
    ],
)
def test_best_translation_does_not_depend_on_n_best(decoding: SearchSettings, check: Check | None) -> None:
    lines = [line for line in LINES if line]
    expected = texts(gru(decoding, check=check), lines)

    for n_best in (2, 5):
        found = list(gru(decoding.model_copy(update={"n_best": n_best}), check=check).translate(requests(lines)))
        assert [each.best.text for each in found] == expected
        for each in found:
            assert each.n_best == n_best
            assert len({hypothesis.text for hypothesis in each.hypotheses}) == len(each.hypotheses) <= n_best


def test_segment_with_fewer_hypotheses_continues_with_its_best() -> None:
    translator = gru(BeamSettings(beam_size=3, n_best=3), longest=5)
    search, calls = translator.generator.search, list[int]()

    def first_only(sentences: Any, strategy: Any, on_progress: Any) -> list[list[Hypothesis]]:
        calls.append(len(sentences))
        found = search(sentences, strategy, on_progress)
        return [hypotheses[:1] if index else hypotheses for index, hypotheses in enumerate(found)]

    translator.generator.search = first_only  # type: ignore[method-assign]
    (whole,) = translator.translate(requests(["abcddcba"]))

    assert calls == [2] and len(whole.hypotheses) > 1
    assert {each.text[-4:] for each in whole.hypotheses} == {whole.best.text[-4:]}


class LimitedMemory(EchoModel):
    """Raises an error for batches of more tokens than `memory`."""

    def __init__(self, memory: int, error: Exception) -> None:
        super().__init__(200)
        self.memory, self.error = memory, error

    def encode(self, source: ModelInputs) -> torch.Tensor:
        if source.ids.numel() > self.memory:
            raise self.error
        return super().encode(source)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_translator_halves_batches_when_out_of_memory(error: Exception) -> None:
    model = LimitedMemory(30, error)

    assert texts(Translator(model, CharacterTokenizer(), GREEDY, CPU), LINES) == LINES
    assert model.largest_batch <= 30


def test_translator_names_the_line_that_does_not_fit_into_memory() -> None:
    translator = Translator(LimitedMemory(3, OUT_OF_MEMORY[0]), CharacterTokenizer(), GREEDY, CPU)

    with pytest.raises(ResourceError, match="line 2: "):
        texts(translator, ["a", "abcdef"])


def test_translator_raises_other_runtime_errors() -> None:
    translator = Translator(LimitedMemory(3, RuntimeError("shape mismatch")), CharacterTokenizer(), GREEDY, CPU)

    with pytest.raises(RuntimeError, match="shape"):
        texts(translator, ["abcdef", "abcdef"])


def test_translator_splits_long_lines_and_keeps_their_spacing() -> None:
    long = "one two three.  four five six, seven eight nine."
    translator = Translator(EchoModel(200), CharacterTokenizer(), GREEDY, CPU, InferenceConfig(max_tokens=20))

    found = list(translator.translate(requests(["abc", long, "def. ghi."])))

    assert [each.best.text for each in found] == ["abc", long, "def. ghi."]
    assert [each.is_split for each in found] == [False, True, False]


def test_log_probabilities_of_segments_are_summed() -> None:
    decoding = BeamSettings(beam_size=2, n_best=2, length_penalty=0.5)
    translator = gru(decoding, end_bias=5.0, longest=5)
    parts = [each.hypotheses[1] for each in translator.translate(requests(["abc", "cba"]))]

    (whole,) = translator.translate(requests(["abccba"]))

    assert whole.hypotheses[1].text == "".join(part.text for part in parts)
    assert whole.hypotheses[1].log_probability == pytest.approx(sum(part.log_probability for part in parts))


def test_translator_rejects_a_model_with_nan_weights() -> None:
    translator = gru(GREEDY)
    torch.nn.init.constant_(next(translator.generator.model.parameters()), math.nan)

    with pytest.raises(ModelError, match="line 2"):
        texts(translator, ["", "abc"])


def test_translator_disables_dropout() -> None:
    translator = gru(GREEDY)
    model: Model = translator.generator.model.train()

    texts(translator, ["abc"])

    assert not model.training


def test_translator_rejects_a_model_that_cannot_search_by_steps() -> None:
    model = EchoModel(9)
    model.capabilities = Capabilities(search=frozenset(["ctc"]))
    with pytest.raises(ModelError, match="strategy"):
        Translator(model, CharacterTokenizer(), GREEDY, CPU)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (TranslateOptions(markup=True), "--markup"),
        (TranslateOptions(protect=("x",)), "--protect"),
        (TranslateOptions(alignment=True), "--alignment"),
    ],
)
def test_options_that_need_attention_are_named_for_a_model_without(options: TranslateOptions, name: str) -> None:
    model = EchoModel(200)
    model.capabilities = replace(model.capabilities, attention=False)
    with pytest.raises(ModelError, match=f"^{name}: "):
        Translator(model, CharacterTokenizer(), GREEDY, CPU, options=options)
