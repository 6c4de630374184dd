"""CTC probabilities against the list of all alignments."""

import itertools
import math

import pytest
import torch
from ctc_oracle import BLANK, TableCtc, probabilities, random_log_probs

from nmt_cli.decoding.scoring import ctc, score_targets
from nmt_cli.decoding.scoring.ctc import ctc_log_probabilities, ctc_token_log_probs
from nmt_cli.models.contract import ModelInputs

TARGETS = [target for length in range(4) for target in itertools.product((1, 2), repeat=length)]


def test_log_probabilities_equal_the_sum_over_all_alignments() -> None:
    log_probs = random_log_probs(1, 4, 3)
    known = probabilities(log_probs)
    found = ctc_log_probabilities(log_probs.expand(len(TARGETS), -1, -1), TARGETS, BLANK)
    assert sum(known.values()) == pytest.approx(1)
    for target, value in zip(TARGETS, found, strict=True):
        assert math.exp(value) == pytest.approx(known.get(target, 0.0), abs=1e-7), target


def test_token_log_probs_are_those_of_all_translations_that_begin_so() -> None:
    log_probs = random_log_probs(2, 4, 3)
    known = probabilities(log_probs)
    found = ctc_token_log_probs(log_probs.expand(len(TARGETS), -1, -1), TARGETS, BLANK)
    for target, values in zip(TARGETS, found, strict=True):
        begins = [
            sum(each for tokens, each in known.items() if tokens[:length] == target[:length])
            for length in range(len(target) + 1)
        ]
        expected = [after / before if before else 0.0 for before, after in itertools.pairwise(begins)]
        expected.append(known.get(target, 0.0) / begins[-1] if begins[-1] else 0.0)
        assert [math.exp(value) for value in values] == pytest.approx(expected, abs=1e-6), target


def test_scores_of_padded_sentences_are_those_of_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = TableCtc(random_log_probs(3, 6, 4), rate=2)
    lengths, targets = torch.tensor([3, 1, 2]), [[1, 3, 3], [2], [3, 1]]
    expected = [
        math.log(probabilities(model.table[: 2 * length])[tuple(target)])
        for length, target in zip(lengths.tolist(), targets, strict=True)
    ]
    for limit in (1, 2 * 6 * 4, 10**6):  # one, two, and all sentences at once
        monkeypatch.setattr(ctc, "_LOGITS_AT_ONCE", limit)
        scores = score_targets(model, ModelInputs.from_ids(torch.ones(3, 3, dtype=torch.long), lengths), targets)
        assert [each.log_probability for each in scores] == pytest.approx(expected, abs=1e-5)
        assert [len(each.token_log_probs) for each in scores] == [4, 2, 3]


def test_translation_without_alignment_has_no_probability() -> None:
    model, source = TableCtc(random_log_probs(4, 3, 3)), ModelInputs.from_ids(torch.ones(1, 3, dtype=torch.long))
    for target, is_possible in (([1, 2, 1], True), ([1, 1], True), ([1, 1, 2], False), ([1, 2, 1, 2], False)):
        (scores,) = score_targets(model, source, [target])
        assert math.isfinite(scores.log_probability) == is_possible
        assert not any(map(math.isnan, scores.token_log_probs))
