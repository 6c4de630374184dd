"""What scores decoding says of a translation is what search says, in any company."""

from typing import Any

import pytest
import torch
from fake_models import GruModel, numbered, one

from nmt_cli.decoding.generator import Generator
from nmt_cli.decoding.scoring import targets as module
from nmt_cli.decoding.search.strategies import build_strategy
from nmt_cli.errors import ResourceError
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.model import RnnSettings, TransformerSettings

CPU = torch.device("cpu")
SENTENCES = numbered([[4, 5, 6], [7], [6, 4, 8, 5, 7, 9], [5, 5], [4]], 1)
TARGETS = [[5, 6], [4, 7, 8, 9, 6], [9], [], [8, 8, 8]]
TINY: dict[str, Any] = {"preset": "tiny", "width": 16, "tied_embeddings": "none"}
MODELS = {
    "transformer": TransformerSettings(architecture="transformer", feed_forward=16, heads=2, **TINY),
    "rnn": RnnSettings(architecture="rnn", **TINY),
    "rnn with input feeding": RnnSettings(architecture="rnn", input_feeding=True, **TINY),
    "rnn without attention": RnnSettings(architecture="rnn", attention="none", **TINY),
}


def generator(name: str) -> Generator:
    torch.manual_seed(3)
    model: Model = build(MODELS[name], VocabularySpec(12, 12))
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.4)
    model.output.projection.bias.data[model.vocabulary.special_tokens.eos] += 4
    return Generator(model, [0, 1, 2], CPU)


@pytest.mark.parametrize("name", MODELS)
def test_score_agrees_with_search(name: str) -> None:
    settings = BeamSettings(beam_size=4, n_best=4, length_penalty=0.6)
    found = generator(name).search(SENTENCES, build_strategy(settings))
    pairs = [(sentence, hypothesis) for sentence, all in zip(SENTENCES, found, strict=True) for hypothesis in all]

    scores = generator(name).score([each for each, _ in pairs], [list(other.tokens) for _, other in pairs], 50)

    ended = 0
    for (sentence, hypothesis), again in zip(pairs, scores, strict=True):
        log_probs = list(again.token_log_probs)
        if len(hypothesis.tokens) == 2 * len(sentence.tokens) + 10:  # it was truncated, without eos
            log_probs.pop()
        else:
            ended += 1
        assert sum(log_probs) == pytest.approx(hypothesis.log_probability, abs=1e-4)
        assert sum(log_probs) / len(log_probs) ** 0.6 == pytest.approx(hypothesis.score, abs=1e-4)
    assert ended > 10


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch_tokens", [1, 12, 1000])
def test_score_does_not_depend_on_the_batch(name: str, batch_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POSITIONS_PER_CHUNK", 3)
    model = generator(name)
    alone = [model.score([one], [other], 100, attention=True)[0] for one, other in zip(SENTENCES, TARGETS, strict=True)]

    together = model.score(SENTENCES, TARGETS, batch_tokens, attention=True)

    for single, other, target in zip(alone, together, TARGETS, strict=True):
        assert len(other.token_log_probs) == len(target) + 1
        assert other.token_log_probs == pytest.approx(single.token_log_probs, abs=1e-5)
        if single.cross_attention is None or other.cross_attention is None:
            assert name == "rnn without attention" and single.cross_attention is other.cross_attention
        else:
            torch.testing.assert_close(other.cross_attention, single.cross_attention)


@pytest.mark.parametrize("name", ["transformer", "rnn"])
def test_cross_attention_has_rows_for_target_tokens_and_columns_for_source_tokens(name: str) -> None:
    scores = generator(name).score(SENTENCES, TARGETS, 100, attention=True)

    for each, sentence, target in zip(scores, SENTENCES, TARGETS, strict=True):
        assert each.cross_attention is not None and each.cross_attention.shape == (
            len(target) + 1,
            len(sentence.tokens) + 1,
        )
        torch.testing.assert_close(each.cross_attention.sum(1), torch.ones(len(target) + 1))


def test_score_returns_the_log_probability_of_each_token() -> None:
    model = GruModel(12, seed=2)

    (scores,) = Generator(model, [], CPU).score(numbered([[4, 5]], 1), [[6, 7]], 100)

    with torch.no_grad():
        decoded = model.decode(model.encode(one(4, 5)), DecoderInput(torch.tensor([[2, 6, 7]])))
    expected = model.logits(decoded).log_softmax(-1)[[0, 1, 2], [6, 7, 3]]
    assert scores.token_log_probs == pytest.approx(expected.tolist(), abs=1e-6)


class LimitedMemory(GruModel):
    """Fails for batches of more tokens than `memory`."""

    memory = 8

    def encode(self, source: ModelInputs) -> torch.Tensor:
        if source.ids.numel() > self.memory:
            raise MemoryError
        return super().encode(source)


def test_score_halves_batches_when_out_of_memory() -> None:
    plain = Generator(GruModel(12), [], CPU).score(SENTENCES, TARGETS, 1000)

    halved = Generator(LimitedMemory(12), [], CPU).score(SENTENCES, TARGETS, 1000)

    for expected, found in zip(plain, halved, strict=True):
        assert found.token_log_probs == pytest.approx(expected.token_log_probs, abs=1e-5)


def test_score_names_the_line_that_does_not_fit_into_memory() -> None:
    with pytest.raises(ResourceError, match="line 1: "):
        Generator(LimitedMemory(12), [], CPU).score(numbered([[4] * 9], 1), [[5]], 1000)
