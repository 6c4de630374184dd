"""Losses of models that copy: words that a sentence lacks, coverage, and words that word dropout hides."""

import math
from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter
from tiny_objectives import END, UNK, VOCAB_SIZE, some, training
from torch import Tensor
from torch.testing import assert_close

from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.recipe.model import ModelSettings, TransformerSettings
from nmt_cli.recipe.training import RDropSettings, SimCutSettings
from nmt_cli.training.objectives import build_objective
from nmt_cli.training.objectives.cross_entropy import label_smoothed_cross_entropy
from nmt_cli.training.objectives.objective import inputs_of
from nmt_cli.training.objectives.regularized import Criterion, RDrop, SimCut, coverage_loss

COPYING = {
    "architecture": "transformer",
    "width": 8,
    "feed_forward": 12,
    "heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "output": {"type": "pointer_generator"},
}


def new() -> Model:
    torch.manual_seed(1)
    return build(TransformerSettings.model_validate(COPYING), VocabularySpec(VOCAB_SIZE, VOCAB_SIZE)).train()


def test_label_smoothing_leaves_out_words_of_the_source() -> None:
    torch.manual_seed(1)
    logits = torch.randn(4, 7, dtype=torch.double).log_softmax(-1)
    logits[:2, 5], logits[:, 6] = -math.inf, -math.inf  # V = 5
    logits.requires_grad_()
    labels = torch.tensor([1, 4, 5, 0])
    loss = label_smoothed_cross_entropy(logits, labels, 0.2, vocabulary_size=5)
    loss.backward()
    log_probs, loss = logits.detach().log_softmax(-1), loss.detach()
    expected = 0.0
    for row, label in enumerate(labels.tolist()):
        expected -= 0.8 * float(log_probs[row, label]) + 0.2 / 5 * float(log_probs[row, :5].sum())
    assert float(loss) == pytest.approx(expected)
    smoothed = torch.zeros(4, 7, dtype=torch.double).scatter_(1, labels[:, None], 0.8)
    smoothed[:, :5] += 0.2 / 5
    assert_close(logits.grad, log_probs.exp() - smoothed)


@pytest.mark.parametrize(
    "criterion",
    [RDrop(0.1, RDropSettings(type="r_drop"), 5), SimCut(0.1, SimCutSettings(type="simcut"), 5)],
)
def test_consistency_ignores_words_that_a_sentence_lacks(criterion: Criterion) -> None:
    torch.manual_seed(1)
    possible = [torch.randn(4, 6).log_softmax(-1) for _ in range(2)]
    padded = [torch.cat([each, torch.full((4, 1), -math.inf)], 1).requires_grad_() for each in possible]
    labels = torch.tensor([1, 4, 5, 0])
    loss = criterion(padded, labels)
    loss.backward()
    assert_close(loss, criterion(possible, labels))
    assert all(each.grad is not None and each.grad.isfinite().all() for each in padded)


def test_coverage_loss_equals_the_formula() -> None:
    torch.manual_seed(1)
    attention = torch.rand(2, 4, 3).softmax(-1)
    positions = torch.tensor([0, 1, 2, 5, 6, 7])  # padding at the end of one sentence, a prompt before the other
    expected = 0.0
    for sentence, labelled in enumerate(([0, 1, 2], [1, 2, 3])):
        covered = [0.0] * 3
        for position in labelled:
            weights = attention[sentence, position].tolist()
            expected += sum(map(min, weights, covered))
            covered = [before + weight for before, weight in zip(covered, weights, strict=True)]
    assert float(coverage_loss(attention, positions)) == pytest.approx(expected)


@pytest.mark.parametrize("passes", [{}, {"consistency": {"type": "r_drop"}}])
def test_coverage_loss_is_added_with_its_weight(passes: dict[str, object]) -> None:
    model, rows = new(), some()
    plain, _, _ = build_objective(training(**passes, word_dropout={"source": 1e-9}), model, UNK).train()(rows)
    settings = training(**passes, coverage_loss={"weight": 2.0})
    loss, _, values = build_objective(settings, model, UNK).train()(rows)
    output = model.decode(model.encode(ModelInputs.from_ids(rows.source)), DecoderInput(rows.decoder_input))
    assert output.cross_attention is not None
    expected = coverage_loss(output.cross_attention, rows.label_positions)
    assert_close(values["coverage_loss"], expected)
    assert_close(loss, plain + 2 * expected)


def test_words_dropped_from_the_source_can_still_be_copied() -> None:
    rows = some()
    dropped = torch.full_like(rows.source, UNK)
    assert_close(inputs_of(rows, dropped, 2, copies=True).columns["copy_ids"], rows.source.repeat(2, 1))
    given = replace(rows, source_columns={"copy_ids": rows.source + 1})
    assert_close(inputs_of(given, dropped, copies=True).columns["copy_ids"], rows.source + 1)
    loss, *_ = build_objective(training(word_dropout={"source": 0.99}), new(), UNK).train()(rows)
    assert loss.isfinite()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["transformer", "rnn"])
def test_copying_words_never_seen_in_training_is_learned(architecture: str) -> None:
    """The word after the marker is copied, by its own id or, outside the vocabulary, by that of its sentence."""
    torch.manual_seed(1)
    marker, size, length = END + 1, 12, 8
    settings = {**COPYING, "width": 32, "feed_forward": 64, "encoder_layers": 2, "decoder_layers": 2}
    if architecture == "rnn":
        settings = {"architecture": "rnn", "width": 32, "embedding_width": 32, "output": COPYING["output"]}
    model = build(TypeAdapter[ModelSettings](ModelSettings).validate_python(settings), VocabularySpec(size, size))

    def examples(count: int, words: Tensor) -> tuple[ModelInputs, Tensor]:
        """Sources with a marker; ids from `size` on are words outside the vocabulary, here numbered from there."""
        ids = words[torch.randint(len(words), (count, length))]
        position = torch.randint(length - 1, (count, 1))
        ids.scatter_(1, position, marker)
        labels = ids.gather(1, position + 1)
        known = ids.masked_fill(ids >= size, UNK)
        extra_ids = max(0, int(ids.max()) + 1 - size)
        return ModelInputs(count, known, None, {"copy_ids": ids}, extra_ids), labels

    seen, unseen = torch.arange(END + 2, size + 2), torch.arange(size, size + 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    start = torch.full((64, 1), 2)
    for _ in range(250):
        inputs, labels = examples(64, seen)
        log_probs = model.logits(model.decode(model.encode(inputs), DecoderInput(start)))
        loss = label_smoothed_cross_entropy(log_probs, labels[:, 0], 0.0, size)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    inputs, labels = examples(1000, unseen)
    found = model.logits(model.decode(model.encode(inputs), DecoderInput(start[:1].expand(1000, 1)))).argmax(-1)
    assert float((found == labels[:, 0]).float().mean()) >= 0.99
