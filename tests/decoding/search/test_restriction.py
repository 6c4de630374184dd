"""Search with a shortlist equals search with a model to which all other tokens are impossible."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.shortlist import Shortlist
from nmt_cli.decoding.generator import Generator, GeneratorConfig
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.search.strategies import build_strategy
from nmt_cli.decoding.sentences import NO_CONSTRAINTS, Constraints, PhraseBonus, SentenceInput
from nmt_cli.models import build
from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.models.ensemble import Ensemble
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.text.special_tokens import SpecialTokens

SIZE = 24
SPECIAL = SpecialTokens(pad=23, unk=5, bos=2, eos=20, decoder_start=23)
VOCABULARY = VocabularySpec(SIZE, SIZE, SPECIAL)
SIZES = {"width": 16, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0}
SOURCES = [[3, 4], [7, 8, 9, 10], [4, 4, 11]]
CPU = torch.device("cpu")
SETTINGS = {
    "beam": BeamSettings(n_best=5),
    "greedy": BeamSettings(beam_size=1),
    "diverse": BeamSettings(beam_size=4, num_beam_groups=2, n_best=4),
    "coverage": BeamSettings(coverage_penalty=1.0, n_best=5),
    "no repetition": BeamSettings(no_repeat_ngram_size=1, n_best=5),
}
SAMPLING = SamplingSettings(strategy="sampling", n_best=6)
each_search = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())


def transformer(seed: int = 1, tying: str = "all") -> Model:
    torch.manual_seed(seed)
    settings = {"architecture": "transformer", **SIZES, "feed_forward": 16, "heads": 2, "tied_embeddings": tying}
    return randomized(build(TransformerSettings.model_validate(settings), VOCABULARY))


def rnn() -> Model:
    torch.manual_seed(1)
    settings = {"architecture": "rnn", **SIZES, "embedding_width": 16, "tied_embeddings": "none"}
    return randomized(build(RnnSettings.model_validate(settings), VOCABULARY))


def randomized(model: Model) -> Model:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.3)
    return model.eval()


def shortlist(translations: Sequence[Sequence[int]], frequent: Sequence[int] = ()) -> Shortlist:
    lengths = np.array([len(row) for row in translations])
    values = np.array([token for row in translations for token in row], np.int64)
    return Shortlist(RaggedArray.of_lengths(lengths, values), np.array(frequent, np.int64), SIZE)


COMPLETE = shortlist([range(SIZE)] * SIZE)
SOME = shortlist([[(source * 7) % SIZE, (source * 5 + 1) % SIZE] for source in range(SIZE)], frequent=[21, 12, 18])


def found_by(
    model: Model,
    settings: SearchSettings,
    given: Shortlist | None,
    constraints: Sequence[Constraints] = (NO_CONSTRAINTS,) * 3,
    **changes: Any,
) -> list[list[Hypothesis]]:
    continuations = [token % 3 == 0 for token in range(SIZE)]
    generator = Generator(model, [2, 5, 17, 23], CPU, GeneratorConfig(shortlist=given), continuations)
    lines = zip(SOURCES, constraints, strict=True)
    sentences = [SentenceInput(line, row, each, **changes) for line, (row, each) in enumerate(lines, 1)]
    return generator.search(sentences, build_strategy(settings))


def assert_equal(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert [[one.tokens for one in each] for each in found] == [[one.tokens for one in each] for each in expected]
    for value in ("log_probability", "score"):
        scores = [[[getattr(one, value) for one in each] for each in result] for result in (found, expected)]
        assert np.concatenate(scores[0]) == pytest.approx(np.concatenate(scores[1]), abs=1e-4)


@each_search
@pytest.mark.parametrize("model", [transformer(), transformer(tying="none"), rnn()], ids=["tied", "untied", "rnn"])
def test_complete_shortlist_changes_nothing(model: Model, settings: SearchSettings) -> None:
    assert_equal(found_by(model, settings, COMPLETE), found_by(model, settings, None))


def test_complete_shortlist_draws_the_same_samples() -> None:
    assert_equal(found_by(transformer(), SAMPLING, COMPLETE), found_by(transformer(), SAMPLING, None))


@each_search
def test_search_equals_that_of_a_model_without_other_tokens(
    settings: SearchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = transformer()
    found = found_by(model, settings, SOME)
    allowed = SOME.target_tokens([*SOURCES, [SPECIAL.eos]], SPECIAL.ids)
    assert 8 < len(allowed) < SIZE
    restrict(model, allowed.tolist(), monkeypatch)

    assert_equal(found, found_by(model, settings, None))


@each_search
def test_ensemble_is_restricted_as_one_model(settings: SearchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Ensemble([transformer(1), transformer(2), rnn()], [1.0, 2.0, 0.5])
    found = found_by(model, settings, SOME)
    for one in model.models:
        restrict(one, SOME.target_tokens([*SOURCES, [SPECIAL.eos]], SPECIAL.ids).tolist(), monkeypatch)

    assert_equal(found, found_by(model, settings, None))


def restrict(model: Any, allowed: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the logits of all other tokens -inf."""
    others = torch.tensor([token not in allowed for token in range(SIZE)])
    step = model.step

    def masked(ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        logits, cache = step(ids, cache)
        return logits.masked_fill(others, -torch.inf), cache

    monkeypatch.setattr(model, "step", masked)


@pytest.mark.parametrize("settings", [BeamSettings(n_best=5), BeamSettings(beam_size=1), SAMPLING])
def test_constraints_are_satisfied_with_tokens_outside_the_shortlist(settings: SearchSettings) -> None:
    empty, constraints = shortlist([[]] * SIZE, [21, 12]), [
        Constraints(prefix=(19, 1), forced_phrases=((16, 22),), bad_words=((12,), (21, 13))),
        Constraints(prefix=(10,), prefix_completions=((15, 7), (4,))),
        Constraints(bonuses=(PhraseBonus((14, 16), 50.0),)),
    ]  # fmt: skip

    first, second, third = found_by(transformer(), settings, empty, constraints)

    assert not first[0].unsatisfied
    assert first[0].tokens[:2] == (19, 1)
    assert "16, 22" in str(first[0].tokens)
    assert 12 not in first[0].tokens
    assert second[0].tokens[:1] == (10,)
    assert second[0].tokens[1:3] == (15, 7) or second[0].tokens[1:2] == (4,)
    assert isinstance(settings, SamplingSettings) or "14, 16" in str(third[0].tokens)


def test_complete_shortlist_changes_nothing_of_constrained_search() -> None:
    constraints = [
        Constraints(prefix=(19, 1), forced_phrases=((16, 22), (3,)), bad_words=((12,), (21, 13))),
        Constraints(prefix=(10,), prefix_completions=((15, 7), (4,)), bad_words=((8,),)),
        Constraints(bonuses=(PhraseBonus((14, 16), 5.0),)),
    ]
    model, settings = transformer(), BeamSettings(n_best=5)

    assert_equal(found_by(model, settings, COMPLETE, constraints), found_by(model, settings, None, constraints))


def test_prompt_may_have_tokens_outside_the_shortlist() -> None:
    model, settings = transformer(), BeamSettings(n_best=5)

    found = found_by(model, settings, shortlist([[]] * SIZE, [21, 12]), prompt=(SPECIAL.decoder_start, 19))

    assert {token for each in found for one in each for token in one.tokens} <= {21, 12, 19}
    prompts = {"prompt": (SPECIAL.decoder_start, 19)}
    assert_equal(found_by(model, settings, COMPLETE, **prompts), found_by(model, settings, None, **prompts))


def test_tags_and_suffixes_of_the_source_count() -> None:
    only = shortlist([[]] * 16 + [[14]] + [[15]] + [[]] * 6)

    found = found_by(transformer(), SAMPLING, only, tags=(16,), suffix=(17,))

    tokens = {token for each in found for one in each for token in one.tokens}
    assert {14, 15} <= tokens <= {14, 15}
