"""The rule alone makes even chance say what is required."""

import pytest
import torch
from fake_models import PAD, START, UNKNOWN, GruModel, batch_of, numbered, occurrences, search_with

from nmt_cli.decoding.logits_processors.phrases import ForcedPhrases
from nmt_cli.decoding.logits_processors.processor import SuppressTokens
from nmt_cli.decoding.logits_processors.tracker import ContinuationTokens
from nmt_cli.decoding.search.hypotheses import max_target_lengths
from nmt_cli.decoding.sentences import Constraints, Phrase
from nmt_cli.recipe.decoding import SamplingSettings

CONTINUES = (7, 8)
MASK = ContinuationTokens([word in CONTINUES for word in range(9)])


@pytest.mark.parametrize("end_bias", [2.0, -1e4])
@pytest.mark.parametrize("required", [((4, 5, 7), (6,), (6,)), ((4, 4, 5), (4,)), ((5, 8), (5,), (5, 8, 7))])
def test_draws_leave_room_for_what_is_required(required: tuple[Phrase, ...], end_bias: float) -> None:
    settings = SamplingSettings(strategy="sampling", n_best=20, temperature=3.0, max_length=8)
    sources, wishes = [[4, 5], [5]], [Constraints(forced_phrases=required), Constraints()]
    longest = max_target_lengths(batch_of(sources), settings, numbered(sources))
    rule = ForcedPhrases(wishes, longest, 3, MASK)

    suppress = SuppressTokens([PAD, UNKNOWN, START], torch.device("cpu"))
    model = GruModel(9, seed=4, end_bias=end_bias)
    found = search_with([suppress, rule], model, batch_of(sources), settings, numbered(sources))

    for each in found[0]:
        assert all(occurrences(phrase, each.tokens, CONTINUES) >= required.count(phrase) for phrase in required)
        assert len(each.tokens) <= 8
    assert not all(occurrences(required[0], each.tokens, CONTINUES) for each in found[1])
