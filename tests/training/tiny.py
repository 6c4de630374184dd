"""Parts of a training small enough to check by hand: a model, batches, a trainer."""

import numpy as np
import torch

from nmt_cli.data.batches import Batch
from nmt_cli.models import build
from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.runs.journal import CorpusExposure
from nmt_cli.training.data_iterator import MicroBatch, UpdateBatches
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective
from nmt_cli.training.train_state import DataState
from nmt_cli.training.trainer import Trainer

CPU = torch.device("cpu")
START, END = 2, 3
ALONE = Distributed()


def tiny_model(dropout: float = 0.0, vocabulary_size: int = 9) -> Model:
    torch.manual_seed(1)
    settings = TransformerSettings.model_validate(
        {"architecture": "transformer", "preset": "tiny", "width": 8, "feed_forward": 8, "heads": 2}
        | {
            "encoder_layers": 1,
            "decoder_layers": 1,
            "dropout": dropout,
            "attention_dropout": 0.0,
            "activation_dropout": 0.0,
        }
    )
    return build(settings, VocabularySpec(vocabulary_size, vocabulary_size))


def batch(rows: list[list[int]]) -> Batch:
    """Sentences that translate to themselves; targets may differ in length."""
    longest = max(map(len, rows))
    source = torch.tensor([[5, 6, END]] * len(rows))
    decoder_input = torch.tensor([[START, *row] + [0] * (longest - len(row)) for row in rows])
    labels = [[*row, END] for row in rows]
    positions = [i * (longest + 1) + t for i, row in enumerate(labels) for t in range(len(row))]
    flat = torch.tensor([token for row in labels for token in row])
    return Batch(source, decoder_input, torch.tensor(positions), flat, np.arange(len(rows)))


def update_of(*batches: Batch) -> UpdateBatches:
    micro_batches = [MicroBatch(each, index) for index, each in enumerate(batches)]
    tokens = sum(each.target_tokens for each in batches)
    return UpdateBatches(
        micro_batches, tokens, {"corpus": CorpusExposure(1, tokens)}, DataState(pairs_consumed=1, passes=0.5)
    )


def tiny_trainer(
    dropout: float = 0.0,
    distributed: Distributed = ALONE,
    objective: type[CrossEntropyObjective] = CrossEntropyObjective,
    **settings: object,
) -> Trainer:
    """Plain gradient descent with a large rate: Adam's first step would hide the scale of the gradient."""
    training = Training.model_validate(
        {
            "clip_norm": None,
            "optimizer": {"type": "sgd", "learning_rate": 1.0, "momentum": 0.0},
            "schedule": {"warmup": 0, "type": "linear"},
            **settings,
        }
    )
    return Trainer(objective(tiny_model(dropout), 0.1), 8, training, CPU, distributed)
