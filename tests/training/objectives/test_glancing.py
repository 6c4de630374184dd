"""Glancing: the alignment is the most probable one, and the right number of its tokens is revealed."""

import itertools
import math

import pytest
import torch
from ctc_oracle import BLANK, TableCtc, collapse, random_log_probs
from tiny import batch
from tiny_ctc import outcome, tiny_ctc
from torch import Tensor
from torch.testing import assert_close

from nmt_cli.devices import autocast, has_fast_bf16
from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model, ModelInputs
from nmt_cli.recipe.training import Glancing, Training
from nmt_cli.training.objectives import build_objective, objective
from nmt_cli.training.objectives.ctc import CtcObjective
from nmt_cli.training.objectives.glancing import (
    alignment_states,
    draw_revealed,
    glancing_ratio,
    tokens_to_reveal,
    viterbi_alignment,
)

needs_bf16 = pytest.mark.skipif(not has_fast_bf16(torch.device("cpu")), reason="a processor that multiplies bf16")


def best_alignment(log_probs: Tensor, target: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the most probable of all alignments of a target, given log-probabilities [T,V]; None if there is none."""
    length, size = log_probs.shape
    possible = [each for each in itertools.product(range(size), repeat=length) if collapse(each) == target]
    return max(possible, key=lambda each: float(log_probs[range(length), each].sum()), default=None)


def aligned(log_probs: Tensor, targets: list[tuple[int, ...]], lengths: Tensor | None = None) -> list[list[int]]:
    """Return the alignments of targets with log-probabilities [B,T,V], and 9 in place of missing labels."""
    longest = max(map(len, targets))
    rows = [[*target, *[9] * (longest - len(target))] for target in targets]
    labels = torch.tensor(rows, dtype=torch.long)
    states = alignment_states(labels, BLANK)
    scores = log_probs.gather(2, (states % 9)[:, None].expand(-1, log_probs.size(1), -1))
    return viterbi_alignment(scores, labels, torch.tensor(list(map(len, targets))), BLANK, lengths).tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("length", [1, 2, 5])
def test_alignment_is_the_most_probable_of_all(seed: int, length: int) -> None:
    targets = [each for size in range(4) for each in itertools.product((1, 2), repeat=size)]
    log_probs = random_log_probs(seed, len(targets), length, 3)
    for target, table, found in zip(targets, log_probs, aligned(log_probs, targets), strict=True):
        assert found == list(best_alignment(table, target) or [-1] * length)


@pytest.mark.parametrize("target", [(1, 1), (1, 1, 2), (2, 1, 1, 1), (1, 2, 1), ()])
def test_alignment_in_the_least_number_of_positions(target: tuple[int, ...]) -> None:
    """Each token has one position, and a blank is between equal ones."""
    least = len(target) + sum(one == other for one, other in itertools.pairwise(target))
    for length in (least, least + 1):
        log_probs = random_log_probs(length, 1, length + 1, 3)[:, : max(1, length)]
        (found,) = aligned(log_probs, [target])
        assert collapse(tuple(found)) == target
    if least > 1:
        assert aligned(random_log_probs(1, 1, least - 1, 3), [target]) == [[-1] * (least - 1)]


def test_alignment_ignores_padding_and_constants() -> None:
    targets, lengths = [(1, 2), (2,), (1, 1), ()], torch.tensor([6, 3, 2, 1])
    log_probs = random_log_probs(1, 4, 6, 3)
    found = aligned(log_probs + torch.randn(4, 6, 1), targets, lengths)
    for target, table, row, length in zip(targets, log_probs, found, lengths.tolist(), strict=True):
        assert row == [*(best_alignment(table[:length], target) or [-1] * length), *[-1] * (6 - length)]


def test_ratio_of_the_wrong_positions_is_revealed() -> None:
    alignment = torch.tensor([[4, 0, 5, 0, 6, 0, 0, 7]] * 200 + [[-1] * 8] + [[4, 5, -1, -1, -1, -1, -1, -1]])
    predicted = alignment.clone()
    predicted[:, [0, 1, 3, 4, 6]] = 8
    for ratio, expected in ((0.0, 0), (0.5, 2), (0.7, 4), (1.0, 5)):
        revealed = draw_revealed(alignment, predicted, ratio)
        is_revealed = revealed >= 0
        assert is_revealed[:200].sum(1).tolist() == [expected] * 200
        assert not is_revealed[200].any(), "a target without an alignment"
        assert int(is_revealed[201].sum()) == (0 if not ratio else round(ratio * 2))
        assert torch.equal(revealed[is_revealed], alignment[is_revealed])
        # Drawn from all positions, not only from the wrong ones.
        assert_close(is_revealed[:200].float().mean(0), torch.full((8,), expected / 8), atol=0.15, rtol=0)


def test_ratio_one_reveals_all_if_all_is_wrong_and_nothing_if_all_is_right() -> None:
    alignment = torch.tensor([[4, 0, 5, 5]])
    assert torch.equal(draw_revealed(alignment, alignment + 1, 1.0), alignment)
    assert draw_revealed(alignment, alignment, 1.0).tolist() == [[-1] * 4]


@pytest.mark.parametrize("chunk", [1, 2**22])
def test_tokens_to_reveal_are_those_of_the_alignment(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK_CPU", chunk)
    table, targets = random_log_probs(1, 5, 4), [(1, 2), (3,), (2, 2, 2)]
    table[:, 0] -= 1000  # a blank is never the best token, and 0 never right
    labels = torch.tensor([[1, 2, 9], [3, 9, 9], [2, 2, 2]])
    model = TableCtc(table)
    encoder_output = model.encode(ModelInputs.from_ids(torch.zeros(3, 5, dtype=torch.long)))
    torch.manual_seed(1)
    found = tokens_to_reveal(model, encoder_output, labels.clamp(max=3), torch.tensor([2, 1, 3]), 1.0)
    for target, row in zip(targets, found.tolist(), strict=True):
        expected = best_alignment(table, target)
        assert expected is not None
        num_wrong = sum(one != other for one, other in zip(expected, table.argmax(1).tolist(), strict=True))
        assert sum(token >= 0 for token in row) == num_wrong
        assert all(token in (-1, other) for token, other in zip(row, expected, strict=True))


def glancing(model: Model, ratio: float, final_ratio: float | None = None) -> CtcObjective:
    settings = {"ratio": ratio, "final_ratio": ratio if final_ratio is None else final_ratio}
    made = build_objective(Training.model_validate({"label_smoothing": 0.1, "glancing": settings}), model, unk=1)
    assert isinstance(made, CtcObjective)
    return made


PAIRS = batch([[4, 5], [6], [7, 7, 4], [8, 4, 5, 6], [4] * 5])
"""The last target is too long for the upsampled source."""


@pytest.mark.parametrize("has_cross_attention", [False, True])
def test_ratio_zero_is_training_without_glancing_bit_for_bit(has_cross_attention: bool) -> None:
    found = []
    for make in (lambda model: CtcObjective(model, 0.1, 0.0), lambda model: glancing(model, 0.0)):
        ctc = make(tiny_ctc(dropout=0.3, cross_attention=has_cross_attention)).train()
        torch.manual_seed(2)
        found.append(outcome(ctc, PAIRS))
    assert torch.equal(found[0][0].sum, found[1][0].sum)
    assert found[0][1].keys() == found[1][1].keys()
    assert all(torch.equal(found[0][1][name], found[1][1][name]) for name in found[0][1])


def test_validation_is_without_glancing() -> None:
    model = tiny_ctc(dropout=0.3)
    assert torch.equal(glancing(model, 1.0).eval()(PAIRS).sum, CtcObjective(model, 0.0, 0.0).eval()(PAIRS).sum)


class RecordingModel:
    """Records what the decoder of a model is shown in each pass."""

    def __init__(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.revealed = list[Tensor | None]()
        self.has_gradient = list[bool]()
        decode = model.decode

        def recorded(encoder_output: object, target: DecoderInput, attention: bool = False) -> DecoderOutput:
            self.revealed.append(target.revealed)
            self.has_gradient.append(torch.is_grad_enabled())
            return decode(encoder_output, target, attention)

        monkeypatch.setattr(model, "decode", recorded)


def test_loss_is_that_of_the_second_pass_with_revealed_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_ctc(dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, cross_attention=True)
    passes = RecordingModel(model, monkeypatch)
    ctc = glancing(model, 1.0).train()
    torch.manual_seed(3)
    found = ctc(PAIRS).sum
    assert passes.has_gradient == [False, True]
    nothing, revealed = passes.revealed
    assert nothing is None
    assert revealed is not None
    assert (revealed[:4] >= 0).any(1).all()
    assert (revealed[4] == -1).all(), "a target without an alignment"
    output = model.decode(model.encode(ModelInputs.from_ids(PAIRS.source)), DecoderInput(None, revealed=revealed))
    monkeypatch.setattr(model, "decode", lambda *_, **__: output)
    assert_close(found, CtcObjective(model, 0.1, 0.0).train()(PAIRS).sum)


@pytest.mark.parametrize("is_bf16", [False, pytest.param(True, marks=needs_bf16)])
@pytest.mark.parametrize("is_recomputed", [False, True])
def test_gradients_reach_every_parameter(is_bf16: bool, is_recomputed: bool) -> None:
    """The first pass, which has no gradient, must not leave converted parameters to the second one."""
    model = tiny_ctc(cross_attention=True, tied_embeddings="decoder")
    model.recompute = is_recomputed
    with autocast(torch.device("cpu"), "bf16" if is_bf16 else "fp32"):
        loss = glancing(model, 0.5).train()(PAIRS).sum
    loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_all_draws_come_from_the_default_generator() -> None:
    ctc, losses = glancing(tiny_ctc(dropout=0.3, cross_attention=True), 0.5).train(), []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        losses.append(float(ctc(PAIRS).sum.detach()))
    assert losses[0] == losses[1] != losses[2]


def test_ratio_decays_linearly() -> None:
    settings = Glancing(ratio=0.5, final_ratio=0.3)
    assert [glancing_ratio(settings, done) for done in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0.5, 0.45, 0.4, 0.3])
    assert glancing_ratio(None, 0.5) == 0
    assert math.isclose(glancing_ratio(Glancing(ratio=0.2), 1.0), 0.2), "the final ratio is no more than the first"


def test_objective_reveals_at_the_ratio_of_the_fraction_done(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_ctc(cross_attention=True)
    passes, ctc, counts = RecordingModel(model, monkeypatch), glancing(model, 1.0, 0.0).train(), []
    for ctc.fraction_done in (0.0, 0.5, 1.0):
        passes.revealed.clear()
        torch.manual_seed(1)
        ctc(PAIRS)
        counts.append(sum(int((each >= 0).sum()) for each in passes.revealed if each is not None))
    assert counts[0] > counts[1] > counts[2] == 0
