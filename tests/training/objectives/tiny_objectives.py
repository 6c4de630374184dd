"""Tiny models of both architectures, and batches with targets of different lengths."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt_cli.data.batches import Batch
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.recipe.training import Training

PAD, UNK, START, END = range(4)
VOCAB_SIZE = 11

TRANSFORMER = {"architecture": "transformer", "width": 8, "feed_forward": 12, "heads": 2}
RNN = {"architecture": "rnn", "width": 8, "embedding_width": 6}
LAYERS = {"encoder_layers": 2, "decoder_layers": 2}
MODELS = {
    "transformer": TransformerSettings.model_validate(TRANSFORMER | LAYERS),
    "gru": RnnSettings.model_validate(RNN | LAYERS),
    "lstm-fed": RnnSettings.model_validate(RNN | LAYERS | {"cell": "lstm", "input_feeding": True}),
}
models = pytest.mark.parametrize("name", MODELS)


def new(name: str, dropout: float = 0.0) -> Model:
    """A model with this dropout everywhere, in double precision; an RNN holds its states in single."""
    torch.manual_seed(1)
    rates = [rate for rate in ("dropout", "attention_dropout", "activation_dropout") if hasattr(MODELS[name], rate)]
    settings = MODELS[name].model_copy(update=dict.fromkeys(rates, dropout))
    model = build(settings, VocabularySpec(VOCAB_SIZE, VOCAB_SIZE)).train()
    return model.double() if name == "transformer" else model


def batch(sentences: list[list[int]], source_length: int = 4) -> Batch:
    """Targets of given words, the sources random."""
    longest = max(map(len, sentences)) + 1
    source = torch.randint(END + 1, VOCAB_SIZE, (len(sentences), source_length))
    source[:, -1] = END
    decoder_input = torch.tensor([[START, *row] + [PAD] * (longest - len(row) - 1) for row in sentences])
    labels = [[*row, END] for row in sentences]
    positions = [row_index * longest + position for row_index, row in enumerate(labels) for position in range(len(row))]
    flat = [token for row in labels for token in row]
    return Batch(source, decoder_input, torch.tensor(positions), torch.tensor(flat), np.arange(len(sentences)))


def some() -> Batch:
    """Three sentences of two to five words."""
    torch.manual_seed(2)
    return batch([[4, 5], [6, 7, 8, 9, 10], [10, 4, 7]])


def many(sentences: int = 400) -> Batch:
    """Sentences enough to count in, of five to eight words."""
    torch.manual_seed(3)
    lengths = torch.randint(5, 9, (sentences,)).tolist()
    return batch([torch.randint(END + 1, VOCAB_SIZE, (length,)).tolist() for length in lengths], source_length=7)


def log_probs(model: Model, source: Tensor, decoder_input: Tensor, positions: Tensor) -> Tensor:
    """[n,V], of all logits at once."""
    logits = model.logits(model.decode(model.encode(ModelInputs.from_ids(source)), DecoderInput(decoder_input)))
    return logits.log_softmax(-1)[positions]


def training(**settings: object) -> Training:
    return Training.model_validate({"label_smoothing": 0.0, **settings})
