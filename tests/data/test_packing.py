"""Packed rows hold every prediction once, hardly any padding, and give the loss of separate documents."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.batches import batch_by_size, collate
from nmt_cli.data.packing import PackedRows, pack_documents
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, ModelInputs, VocabularySpec
from nmt_cli.recipe.model import DecoderOnlySettings
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS as SPECIAL
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective


def documents(lengths: list[int], size: int = 50) -> RaggedArray:
    rng = np.random.default_rng(1)
    return RaggedArray.of_lengths(np.array(lengths, np.int64), rng.integers(4, size, sum(lengths)))


def windows(rows: PackedRows) -> list[tuple[int, list[int], list[int]]]:
    """Return document, inputs and labels of each window."""
    starts = np.flatnonzero(rows.positions.values == 0)
    ends = np.append(starts[1:], len(rows.positions.values))
    found = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        assert rows.positions.values[start:end].tolist() == list(range(end - start))
        owner = rows.document_ids.values[start]
        found.append((int(owner), rows.targets.values[start:end].tolist(), rows.labels.values[start:end].tolist()))
    return found


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 20), st.one_of(st.none(), st.integers(0, 9))
)
def test_windows_of_a_document_join_to_its_predictions(lengths: list[int], window: int, seed: int | None) -> None:
    given_documents = documents(lengths)
    rows = pack_documents(given_documents, SPECIAL, window, None if seed is None else [seed])
    assert rows.targets.lengths.max() <= window
    assert len(windows(rows)) == len(rows.documents)
    pairs: dict[int, list[tuple[int, int]]] = {}
    for owner, inputs, labels in windows(rows):
        pairs.setdefault(owner, []).extend(zip(inputs, labels, strict=True))
    for owner in range(len(lengths)):
        tokens = given_documents[owner].tolist()
        expected = zip([SPECIAL.decoder_start, *tokens], [*tokens, SPECIAL.eos], strict=True)
        assert sorted(pairs[owner]) == sorted(expected)


def test_unseeded_windows_are_complete_from_the_start() -> None:
    rows = pack_documents(documents([10, 2]), SPECIAL, 4)
    assert [len(labels) for owner, _, labels in windows(rows) if owner == 0] == [4, 4, 3]
    again = pack_documents(documents([10, 2]), SPECIAL, 4)
    assert rows.targets.values.tolist() == again.targets.values.tolist()


def test_seed_moves_windows_and_repeats() -> None:
    text = documents([1000])
    first, second, other = (pack_documents(text, SPECIAL, 64, [seed]) for seed in (1, 1, 2))
    assert first.targets.values.tolist() == second.targets.values.tolist()
    assert first.targets.values.tolist() != other.targets.values.tolist()


@pytest.mark.parametrize("mean", [3, 15, 60, 400])
def test_rows_have_at_most_two_percent_padding(mean: int) -> None:
    lengths = np.random.default_rng(1).geometric(1 / mean, 200_000 // mean)
    rows = pack_documents(documents(lengths.tolist()), SPECIAL, 256, [1])
    batches = [collate(rows, indices, SPECIAL) for indices in batch_by_size(rows, 4096, [1])]
    assert sum(batch.target_tokens for batch in batches) == sum(lengths) + len(lengths)
    assert sum(batch.target_tokens for batch in batches) > 0.98 * sum(batch.padded_tokens for batch in batches)


def test_packed_loss_and_gradient_equal_those_of_separate_windows() -> None:
    torch.manual_seed(1)
    sizes = {"width": 16, "feed_forward": 24, "layers": 2, "heads": 4, "norm": {"type": "rms"}}
    sizes |= dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0)
    settings = DecoderOnlySettings.model_validate(
        {"architecture": "decoder_only", **sizes, "positions": {"type": "rotary"}, "bias": False}
    )
    model = build(settings, VocabularySpec(50, 50)).double().train()
    rows = pack_documents(documents([9, 3, 30, 1, 7, 5, 2]), SPECIAL, 16, [1])
    objective = CrossEntropyObjective(model, label_smoothing=0.1)
    batch = collate(rows, np.arange(len(rows)), SPECIAL)
    assert batch.positions is not None
    output = objective(batch)
    output.sum.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    model.zero_grad()
    expected = 0.0
    for _, inputs, labels in windows(rows):
        logits = model.logits(model.decode(model.encode(ModelInputs(1)), DecoderInput(torch.tensor([inputs]))))
        loss = functional.cross_entropy(logits, torch.tensor(labels), reduction="sum", label_smoothing=0.1)
        loss.backward()
        expected += float(loss.detach())
    assert output.count == sum(len(labels) for _, _, labels in windows(rows)) == 57 + 7
    assert abs(float(output.sum.detach()) - expected) < 1e-5
    for name, weight in model.named_parameters():
        assert_close(gradients[name], weight.grad, atol=1e-9, rtol=1e-7)


def test_rows_of_one_window_are_plain_causal_batches() -> None:
    rows = pack_documents(documents([100]), SPECIAL, 20)
    batch = collate(rows, np.arange(len(rows)), SPECIAL)
    assert batch.positions is None
    assert batch.segment_ids is None
    assert batch.source.shape == (6, 0)
    assert batch.target_tokens == 101
    parts = batch.split(40)
    assert [len(part.decoder_input) for part in parts] == [2, 2, 2]
