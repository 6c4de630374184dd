"""An output layer that copies finds attention and source columns in training and in each step of search."""

from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model, ModelInputs, OutputPositions, VocabularySpec
from nmt_cli.models.encoder_decoder import EncoderDecoder, OutputLayer
from nmt_cli.models.kernels import Backend
from nmt_cli.models.rnn import Rnn
from nmt_cli.models.transformer import Transformer
from nmt_cli.recipe.model import RnnSettings, TransformerSettings

VOCAB_SIZE, EXTRA_IDS = 12, 2
VOCABULARY = VocabularySpec(VOCAB_SIZE, VOCAB_SIZE)
TRANSFORMER = {"architecture": "transformer", "width": 16, "feed_forward": 24, "heads": 4}
RNN = {"architecture": "rnn", "width": 16, "embedding_width": 12}
LAYERS = {"encoder_layers": 2, "decoder_layers": 2}


class CopyingLayer(OutputLayer):
    """Half of the probability goes to the vocabulary, half by attention to the words of the source."""

    kind: ClassVar[Literal["logits", "log_probs"]] = "log_probs"
    copies = needs_attention = True
    source_columns = ("copy_ids",)

    def forward(
        self, output: DecoderOutput, embeddings: nn.Embedding, positions: OutputPositions | None = None
    ) -> Tensor:
        assert output.cross_attention is not None and output.source_columns is not None
        sentences, length, _ = output.hidden_states.shape
        positions = positions or OutputPositions.from_index(torch.arange(sentences * length), length)
        generated = super().forward(output, embeddings, positions).softmax(-1) / 2
        copied = output.cross_attention.flatten(0, 1)[positions.index] / 2
        probs = functional.pad(generated, (0, output.source_columns.extra_ids))
        return probs.scatter_add(1, output.source_columns.columns["copy_ids"][positions.sentence], copied).log()


def transformer(**changes: object) -> EncoderDecoder:
    settings = TransformerSettings.model_validate(TRANSFORMER | LAYERS | changes)
    return Transformer(settings, VOCABULARY, CopyingLayer)


def rnn(**changes: object) -> EncoderDecoder:
    return Rnn(RnnSettings.model_validate(RNN | LAYERS | changes), VOCABULARY, CopyingLayer)


def new(name: str) -> EncoderDecoder:
    torch.manual_seed(1)
    match name:
        case "transformer":
            return transformer().eval()
        case "grouped":
            return transformer(key_value_heads=2, tied_embeddings="none").eval()
        case "rnn":
            return rnn().eval()
    return rnn(input_feeding=True, attention="additive").eval()


models = pytest.mark.parametrize("name", ["transformer", "grouped", "rnn", "rnn-fed"])


def copying_inputs() -> ModelInputs:
    copy_ids = torch.randint(4, VOCAB_SIZE + EXTRA_IDS, (3, 5))
    lengths = torch.tensor([5, 2, 4])
    return ModelInputs(3, torch.randint(4, VOCAB_SIZE, (3, 5)), lengths, {"copy_ids": copy_ids}, EXTRA_IDS)


def last_log_probs(model: Model, inputs: ModelInputs, sentence: int, prefixes: Tensor) -> Tensor:
    """Teacher-forced log-probabilities [k,V+E] after prefixes [k,t] of one sentence."""
    assert inputs.ids is not None and inputs.lengths is not None
    rows = torch.full((len(prefixes),), sentence)
    columns = {"copy_ids": inputs.columns["copy_ids"][rows]}
    source = ModelInputs(len(rows), inputs.ids[rows], inputs.lengths[rows], columns, EXTRA_IDS)
    output = model.decode(model.encode(source), DecoderInput(prefixes))
    return model.logits(output).view(*prefixes.shape, -1)[:, -1]


@models
@pytest.mark.parametrize("is_prepared", [False, True])
@torch.no_grad()
def test_step_log_probs_equal_teacher_forcing_after_select(name: str, is_prepared: bool) -> None:
    model = new(name)
    if is_prepared:
        model.prepare_for_inference(Backend("fp32"))
    inputs = copying_inputs()
    cache, prefixes, sentences = (
        model.init_cache(model.encode(inputs), 3),
        torch.ones(3, 1, 0, dtype=torch.long),
        [0, 1, 2],
    )
    for rows, kept in (
        ([[0, 0], [1, 1], [2, 2]], [0, 1, 2]),
        ([[5, 4], [0, 1]], [2, 0]),
        ([[3, 3]], [0]),
        ([[1]], [0]),
    ):
        ids = torch.randint(4, VOCAB_SIZE + EXTRA_IDS, prefixes.shape[:2])
        log_probs, cache = model.step(ids, cache)
        prefixes = torch.cat([prefixes, ids.unsqueeze(2)], dim=2)
        for index, sentence in enumerate(sentences):
            expected = last_log_probs(model, inputs, sentence, prefixes[index])
            assert_close(log_probs[index], expected, atol=1e-5, rtol=1e-4)
        cache = cache.select(torch.tensor(rows))
        prefixes, sentences = prefixes.flatten(0, 1)[torch.tensor(rows)], kept


@models
def test_copied_log_probs_sum_to_one_and_reach_every_parameter(name: str) -> None:
    model, target = new(name), torch.randint(4, VOCAB_SIZE, (3, 4))
    log_probs = model.logits(model.decode(model.encode(copying_inputs()), DecoderInput(target)))
    assert log_probs.shape == (12, VOCAB_SIZE + EXTRA_IDS)
    assert_close(log_probs.exp().sum(-1), torch.ones(12))
    log_probs[:, :VOCAB_SIZE].sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@models
def test_source_ids_stand_in_for_missing_copy_ids(name: str) -> None:
    model, ids = new(name), torch.randint(4, VOCAB_SIZE, (3, 5))
    output = model.decode(model.encode(ModelInputs.from_ids(ids)), DecoderInput(ids))
    assert output.source_columns is not None
    assert_close(output.source_columns.columns["copy_ids"], ids)


def test_output_layer_that_needs_attention_refuses_model_without() -> None:
    with pytest.raises(AssertionError):
        rnn(attention="none")
