"""Every pass over a batch gets its source columns."""

from dataclasses import replace

import pytest
import torch
from tiny_objectives import MODELS, UNK, VOCAB_SIZE, some, training
from torch.testing import assert_close

from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.training.objectives import build_objective


@pytest.mark.parametrize("consistency", [None, {"type": "r_drop"}])
def test_all_passes_get_the_source_columns(consistency: object) -> None:
    torch.manual_seed(1)
    settings = MODELS["transformer"].model_copy(
        update={"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    )
    model = build(settings, VocabularySpec(VOCAB_SIZE, VOCAB_SIZE, columns={"factors": (5,)})).double().train()
    rows = some()
    rows = replace(rows, source_columns={"factors": torch.randint(5, (*rows.source.shape, 1))})
    plain = build_objective(training(), model, UNK).train()
    other = build_objective(training(consistency=consistency), model, UNK).train()
    assert_close(other(rows)[0], plain(rows)[0])
    changed = replace(rows, source_columns={"factors": rows.source_columns["factors"].flip(0)})
    assert_close(other(changed)[0], plain(changed)[0])
    assert (plain(changed)[0] - plain(rows)[0]).abs() > 1e-4
