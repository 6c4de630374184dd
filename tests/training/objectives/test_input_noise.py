"""Words are hidden or replaced as often as asked for, and nothing else is touched."""

import pytest
import torch
from tiny_objectives import END, PAD, START, UNKNOWN, WORDS, batch, many, models, new, some

from nmt_cli.models.contract import DecoderInput, ModelInputs
from nmt_cli.recipe.training.regularization import ScheduledSampling
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
    for tokens, words in ((rows.source, source_token_mask(rows, END)), (rows.decoder_input, target_token_mask(rows))):
        torch.manual_seed(1)
        changed = word_dropout(tokens, words, rate, UNKNOWN)
        assert torch.equal(changed[~words], tokens[~words])
        hidden = changed[words] == UNKNOWN
        assert torch.equal(changed[words][~hidden], tokens[words][~hidden])
        spread = (rate * (1 - rate) / len(hidden)) ** 0.5
        assert hidden.double().mean() == pytest.approx(rate, abs=4 * spread)


def test_word_dropout_of_rate_zero_draws_nothing() -> None:
    rows, before = some(), torch.get_rng_state()
    assert word_dropout(rows.source, source_token_mask(rows, END), 0.0, UNKNOWN) is rows.source
    assert torch.equal(torch.get_rng_state(), before)


@models
def test_scheduled_sampling_takes_the_best_token_after_true_ones(name: str) -> None:
    model, rows = new(name), some()
    words = target_token_mask(rows)
    with torch.no_grad():
        changed = scheduled_sampling(
            model, model.encode(inputs(rows.source)), rows.decoder_input, words, rows.label_positions, rate=1.0
        )
        for row, place in words.nonzero().tolist():
            memory = model.encode(inputs(rows.source[row : row + 1]))
            best = int(
                model.logits(model.decode(memory, DecoderInput(rows.decoder_input[row : row + 1, :place])))[-1].argmax()
            )
            assert changed[row, place] == (rows.decoder_input[row, place] if best == END else best)
    assert torch.equal(changed[~words], rows.decoder_input[~words])


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_scheduled_sampling_replaces_tokens_at_its_rate(share: float) -> None:
    model, rows = new("transformer"), many(2000)
    words = target_token_mask(rows)
    unlike = torch.full_like(rows.decoder_input, UNKNOWN)  # no word of the batch
    with torch.no_grad():
        model.embeddings.target.weight[UNKNOWN] = 100 * model.decode(
            model.encode(inputs(rows.source)), DecoderInput(rows.decoder_input)
        ).hidden_states.mean((0, 1))
    memory = model.encode(inputs(rows.source))
    torch.manual_seed(1)
    own = scheduled_sampling(model, memory, rows.decoder_input, words, rows.label_positions, share) == unlike
    possible = scheduled_sampling(model, memory, rows.decoder_input, words, rows.label_positions, 1.0) == unlike
    count = int(possible.sum())
    assert count > 2000
    spread = (share * (1 - share) / count) ** 0.5
    assert int(own.sum()) / count == pytest.approx(share, abs=4 * spread)


def test_scheduled_sampling_never_inserts_eos() -> None:
    model, rows = new("gru"), many()
    with torch.no_grad():
        vectors = model.decode(model.encode(inputs(rows.source)), DecoderInput(rows.decoder_input)).hidden_states
        model.output.resize = torch.nn.Identity()
        model.output.projection = torch.nn.Linear(vectors.size(-1), WORDS)
        model.output.projection.bias[END] = 100.0
    memory = model.encode(inputs(rows.source))
    changed = scheduled_sampling(model, memory, rows.decoder_input, target_token_mask(rows), rows.label_positions, 1.0)
    assert torch.equal(changed, rows.decoder_input)


def test_sampling_rate_grows_linearly() -> None:
    settings = ScheduledSampling(max_rate=0.5, start=100, end=300)
    shares = [sampling_rate(settings, step) for step in (0, 100, 150, 200, 300, 1000)]
    assert shares == pytest.approx([0.0, 0.0, 0.125, 0.25, 0.5, 0.5])
    assert sampling_rate(None, 1000) == 0.0
