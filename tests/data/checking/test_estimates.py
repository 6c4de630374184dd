"""Memory and time grow with what they should grow with."""

from typing import Any

import pytest

from nmt_cli.data.checking.estimates import Estimate, estimate
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.recipe.training import Training

TRANSFORMER = TransformerSettings.model_validate({"architecture": "transformer", "preset": "small"})
RNN = RnnSettings.model_validate({"architecture": "rnn", "preset": "small"})
GRU_BYTES = 4096 * 2 * 12 * 256 * 4


def of(model: TransformerSettings | RnnSettings = TRANSFORMER, **training: Any) -> Estimate:
    return estimate(Training.model_validate(training), model, 1_000_000, 500_000, 1e11)


def test_adam_keeps_four_numbers_of_each_weight() -> None:
    assert of().state_bytes == 16_000_000
    assert of(ema_decay=0.999).state_bytes == 20_000_000
    assert of(optimizer={"type": "sgd"}).state_bytes == 12_000_000
    assert of(optimizer={"type": "adafactor"}).state_bytes == 8_000_000


def test_time_is_that_of_six_operations_for_each_weight_and_token() -> None:
    assert of().epoch_seconds == pytest.approx(6 * 1e6 * 5e5 / (0.3 * 1e11))
    assert of(consistency={"type": "r_drop"}).epoch_seconds == pytest.approx(2 * of().epoch_seconds)


def test_a_batch_takes_what_its_tokens_take() -> None:
    assert of(RNN).batch_bytes == GRU_BYTES
    assert of(RNN, batch_tokens=2048).batch_bytes == GRU_BYTES // 2
    assert of(RNN, precision="bf16").batch_bytes == GRU_BYTES // 2
    assert of(gradient_checkpointing=True).batch_bytes < of().batch_bytes / 4
    assert of().bytes == of().batch_bytes + of().state_bytes
