"""Word dropout and scheduled sampling replace tokens at their rates and nothing else."""

import pytest
import torch
from tiny_objectives import END, PAD, START, UNK, VOCAB_SIZE, batch, many, models, new, some

from nmt_cli.models.contract import DecoderInput, ModelInputs
from nmt_cli.recipe.training import ScheduledSampling
from nmt_cli.training.objectives.input_noise import (
    sampling_rate,
    scheduled_sampling,
    source_token_mask,
    target_token_mask,
    word_dropout,
)

inputs = ModelInputs.from_ids


def test_token_masks_exclude_special_tokens() -> None:
    for rows in (some(), many(), batch([[], [4]]), batch([[]])):
        assert torch.equal(source_token_mask(rows, END), rows.source != END)
        assert torch.equal(target_token_mask(rows), (rows.decoder_input != START) & (rows.decoder_input != PAD))


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_word_dropout_replaces_tokens_at_its_rate(rate: float) -> None:
    rows = many(2000)
    for tokens, token_mask in (
        (rows.source, source_token_mask(rows, END)),
        (rows.decoder_input, target_token_mask(rows)),
    ):
        torch.manual_seed(1)
        changed = word_dropout(tokens, token_mask, rate, UNK)
        assert torch.equal(changed[~token_mask], tokens[~token_mask])
        is_dropped = changed[token_mask] == UNK
        assert torch.equal(changed[token_mask][~is_dropped], tokens[token_mask][~is_dropped])
        deviation = (rate * (1 - rate) / len(is_dropped)) ** 0.5
        assert is_dropped.double().mean() == pytest.approx(rate, abs=4 * deviation)


def test_word_dropout_of_rate_zero_draws_nothing() -> None:
    rows, before = some(), torch.get_rng_state()
    assert word_dropout(rows.source, source_token_mask(rows, END), 0.0, UNK) is rows.source
    assert torch.equal(torch.get_rng_state(), before)


@models
def test_scheduled_sampling_takes_the_best_token_after_true_ones(name: str) -> None:
    model, rows = new(name), some()
    token_mask = target_token_mask(rows)
    with torch.no_grad():
        changed = scheduled_sampling(
            model, model.encode(inputs(rows.source)), rows.decoder_input, token_mask, rows.label_positions, rate=1.0
        )
        for row, position in token_mask.nonzero().tolist():
            encoder_output = model.encode(inputs(rows.source[row : row + 1]))
            best = int(
                model.logits(model.decode(encoder_output, DecoderInput(rows.decoder_input[row : row + 1, :position])))[
                    -1
                ].argmax()
            )
            assert changed[row, position] == (rows.decoder_input[row, position] if best == END else best)
    assert torch.equal(changed[~token_mask], rows.decoder_input[~token_mask])


@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_scheduled_sampling_replaces_tokens_at_its_rate(rate: float) -> None:
    model, rows = new("transformer"), many(2000)
    token_mask = target_token_mask(rows)
    unk = torch.full_like(rows.decoder_input, UNK)  # no word of the batch
    with torch.no_grad():
        model.embeddings.target.weight[UNK] = 100 * model.decode(
            model.encode(inputs(rows.source)), DecoderInput(rows.decoder_input)
        ).hidden_states.mean((0, 1))
    encoder_output = model.encode(inputs(rows.source))
    torch.manual_seed(1)
    is_replaced = (
        scheduled_sampling(model, encoder_output, rows.decoder_input, token_mask, rows.label_positions, rate) == unk
    )
    possible = (
        scheduled_sampling(model, encoder_output, rows.decoder_input, token_mask, rows.label_positions, 1.0) == unk
    )
    count = int(possible.sum())
    assert count > 2000
    deviation = (rate * (1 - rate) / count) ** 0.5
    assert int(is_replaced.sum()) / count == pytest.approx(rate, abs=4 * deviation)


def test_scheduled_sampling_never_inserts_eos() -> None:
    model, rows = new("gru"), many()
    with torch.no_grad():
        vectors = model.decode(model.encode(inputs(rows.source)), DecoderInput(rows.decoder_input)).hidden_states
        model.output.resize = torch.nn.Identity()
        model.output.projection = torch.nn.Linear(vectors.size(-1), VOCAB_SIZE)
        model.output.projection.bias[END] = 100.0
    encoder_output = model.encode(inputs(rows.source))
    changed = scheduled_sampling(
        model, encoder_output, rows.decoder_input, target_token_mask(rows), rows.label_positions, 1.0
    )
    assert torch.equal(changed, rows.decoder_input)


def test_sampling_rate_grows_linearly() -> None:
    settings = ScheduledSampling(max_rate=0.5, start=100, end=300)
    rates = [sampling_rate(settings, step) for step in (0, 100, 150, 200, 300, 1000)]
    assert rates == pytest.approx([0.0, 0.0, 0.125, 0.25, 0.5, 0.5])
    assert sampling_rate(None, 1000) == 0.0
