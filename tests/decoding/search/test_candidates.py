"""Top-k in two stages, compared with torch."""

import pytest
import torch
from torch.testing import assert_close

from nmt_cli.decoding.logits_processors.processor import ProcessorList, SuppressTokens
from nmt_cli.decoding.search import candidates
from nmt_cli.decoding.search.candidates import top_tokens


@pytest.mark.parametrize("words", [30, 64, 65, 127, 128, 700, 4096, 8003])
@pytest.mark.parametrize("beam", [1, 2, 5, 12])
def test_two_stage_top_k_matches_torch(monkeypatch: pytest.MonkeyPatch, words: int, beam: int) -> None:
    monkeypatch.setattr(candidates, "_MIN_GROUPED", 1)
    torch.manual_seed(words)
    ranked = torch.randn(3, beam, words)
    ranked[0, 0] = -ranked[0, 0].abs()
    ranked[0, 0, -1] = 1.0  # the best is the very last
    ranked[1, 0, 1:] = -torch.inf

    found = ranked.gather(-1, top_tokens(ranked, beam))

    number = min(beam + 1, words) if beam > 1 else 1
    assert_close(found.sort(descending=True).values, ranked.topk(number).values)


def test_two_stage_top_k_returns_distinct_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_MIN_GROUPED", 1)
    found = top_tokens(torch.zeros(2, 3, 1000), 5)
    assert all(len(set(row)) == 6 for row in found.flatten(0, 1).tolist())


def test_two_stage_top_1_returns_the_first_of_equals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_MIN_GROUPED", 1)
    ranked = torch.zeros(1, 1, 1000)
    ranked[..., [77, 78, 500, 999]] = 1.0
    assert top_tokens(ranked, 1).item() == 77


def test_two_stage_top_k_accepts_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_MIN_GROUPED", 1)
    assert top_tokens(torch.full((2, 3, 1000), torch.nan), 5).shape == (2, 3, 6)


def test_suppressed_tokens_leave_other_log_probs_unchanged() -> None:
    scores = torch.randn(2, 3, 50)
    expected, allowed = scores.log_softmax(-1), torch.arange(50) != 7
    processors = ProcessorList([SuppressTokens([7], torch.device("cpu"))])
    words, _ = processors(scores, torch.full((2, 3, 1), 2), processors.begin(2))
    assert_close(words.log_probs[..., allowed], expected[..., allowed])
    assert (words.scores[..., 7] == -torch.inf).all()
