"""Every kind of model that the contract must carry, each by a small fake."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.data.batches import Batch
from nmt_cli.models import build
from nmt_cli.models.contract import (
    Capabilities,
    DecoderInput,
    DecoderOutput,
    EncoderOutput,
    Model,
    ModelInputs,
    OutputPositions,
    VocabularyParameter,
    VocabularySpec,
)
from nmt_cli.recipe.model import DecoderOnlySettings, RnnSettings, TransformerSettings
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective, label_smoothed_cross_entropy
from nmt_cli.training.objectives.objective import ChunkLoss, chunked_loss, chunks_by_position

SIZE, WIDTH = 9, 8
VOCABULARY = VocabularySpec(SIZE, SIZE)
SIZES = {"width": WIDTH, "encoder_layers": 1, "decoder_layers": 2, "dropout": 0.0}
TRANSFORMER = {
    "architecture": "transformer",
    **SIZES,
    "feed_forward": 12,
    "heads": 2,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
}


def ids(*shape: int) -> Tensor:
    return torch.randint(4, SIZE, shape)


def transformer(**changes: object) -> Model:
    torch.manual_seed(1)
    return build(TransformerSettings.model_validate(TRANSFORMER | changes), VOCABULARY).eval()


def prefix() -> Model:
    torch.manual_seed(1)
    own = {"architecture": "decoder_only", "layers": 2, "source_attention": "bidirectional"}
    settings = {key: value for key, value in TRANSFORMER.items() if not key.endswith("coder_layers")}
    return build(DecoderOnlySettings.model_validate(settings | own), VOCABULARY).eval()


def rnn(**changes: object) -> Model:
    torch.manual_seed(1)
    settings = {"architecture": "rnn", **SIZES, "embedding_width": WIDTH, **changes}
    return build(RnnSettings.model_validate(settings), VOCABULARY).eval()


@dataclass(frozen=True)
class StateCache:
    """The state of each hypothesis, [B,k,D]."""

    states: Tensor

    def select(self, hypothesis_indices: Tensor) -> "StateCache":
        return StateCache(self.states.flatten(0, 1)[hypothesis_indices])


class Fake(Model):
    """A GRU language model; subclasses override what their case is about."""

    def __init__(self, capabilities: Capabilities) -> None:
        super().__init__(VOCABULARY, capabilities)
        torch.manual_seed(1)
        self.embedding, self.cells = nn.Embedding(SIZE, WIDTH), nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.output = nn.Linear(WIDTH, SIZE)

    def encode(self, inputs: ModelInputs) -> EncoderOutput:
        assert inputs.ids is None
        return EncoderOutput()

    def decode(self, encoder_output: Any, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        return DecoderOutput(self.cells(self.embedding(self._known_ids(target.required_ids())))[0])

    def logits(self, output: DecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        states = output.hidden_states.flatten(0, 1)
        return self.output(states if positions is None else states[positions.index])

    def init_cache(self, encoder_output: Any, batch_size: int) -> StateCache:
        return StateCache(torch.zeros(batch_size, 1, WIDTH))

    def step(self, ids: Tensor, cache: StateCache) -> tuple[Tensor, StateCache]:
        embedded = self.embedding(self._known_ids(ids)).flatten(0, 1).unsqueeze(1)
        states = self.cells(embedded, cache.states.flatten(0, 1).unsqueeze(0).contiguous())[0].view(*ids.shape, -1)
        return self.logits(DecoderOutput(states)).view(*ids.shape, -1), StateCache(states)

    def vocabulary_parameters(self) -> list[VocabularyParameter]:
        return [VocabularyParameter("embedding.weight", "target"), VocabularyParameter("output.weight", "target")]

    activations_per_token = WIDTH


def test_model_without_source_steps_and_prefills_like_teacher_forcing() -> None:
    model = Fake(Capabilities(attention=False, source="none"))
    target = ids(3, 4)
    encoder_output = model.encode(ModelInputs(batch_size=3))
    expected = model.logits(model.decode(encoder_output, DecoderInput(target))).view(3, 4, SIZE)
    cache, steps = model.init_cache(encoder_output, 3), []
    for column in target.split(1, dim=1):
        logits, cache = model.step(column, cache)
        steps.append(logits)
    assert_close(torch.cat(steps, dim=1), expected)
    prompt = torch.full((3,), 3)
    logits, cache = model.prefill(target[:, :3], prompt, model.init_cache(encoder_output, 3))
    assert_close(logits, expected[:, 2:3])
    assert_close(model.step(target[:, 3:], cache)[0], expected[:, 3:])
    with pytest.raises(NotImplementedError, match="one length"):
        model.prefill(target[:, :3], torch.tensor([3, 2, 3]), model.init_cache(encoder_output, 3))


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
@pytest.mark.parametrize("is_training", [False, True])
def test_packed_segments_are_decoded_as_if_alone(positions: str, is_training: bool) -> None:
    model = transformer(positions={"type": positions}, attention_dropout=1e-9).train(is_training)
    encoder_output = model.encode(ModelInputs.from_ids(ids(2, 5)))
    first, second = ids(2, 3), ids(2, 4)
    packed = DecoderInput(
        torch.cat([first, second], dim=1),
        positions=torch.tensor([0, 1, 2, 0, 1, 2, 3]).expand(2, -1),
        segment_ids=torch.tensor([0, 0, 0, 1, 1, 1, 1]).expand(2, -1),
    )
    alone = [model.decode(encoder_output, DecoderInput(each)).hidden_states for each in (first, second)]
    found = model.decode(encoder_output, packed).hidden_states
    assert_close(found, torch.cat(alone, dim=1), atol=1e-3, rtol=1e-3)


def test_model_refuses_decoder_input_that_it_does_not_support() -> None:
    target, source = ids(1, 3), ModelInputs.from_ids(ids(1, 2))
    for model, unsupported in (
        (rnn(), DecoderInput(target, segment_ids=torch.zeros_like(target))),
        (rnn(), DecoderInput(target, positions=torch.zeros_like(target))),
        (transformer(), DecoderInput(target, revealed=target)),
        (transformer(), DecoderInput(None)),
    ):
        with pytest.raises(NotImplementedError):
            model.decode(model.encode(source), unsupported)


class PrefixModel(Fake):
    """Reads the source as the beginning of the target."""

    def encode(self, inputs: ModelInputs) -> EncoderOutput:
        return EncoderOutput(prefix=DecoderOutput(self.cells(self.embedding(inputs.ids))[0]))

    def decode(self, encoder_output: EncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        assert encoder_output.prefix is not None
        last = encoder_output.prefix.hidden_states[:, -1].unsqueeze(0).contiguous()
        return DecoderOutput(self.cells(self.embedding(target.ids), last)[0])


def test_loss_on_prompt_and_target_is_that_of_the_whole_sequence() -> None:
    model, prompt, target = PrefixModel(Capabilities(attention=False)), ids(2, 3), ids(2, 4)
    encoder_output = model.encode(ModelInputs.from_ids(prompt))
    output = model.decode(encoder_output, DecoderInput(target))
    assert encoder_output.prefix is not None

    def loss(part: DecoderOutput, labels: Tensor) -> Tensor:
        positions = OutputPositions.from_index(torch.arange(labels.numel()), labels.size(1))
        smoothed = lambda logits, labels: label_smoothed_cross_entropy(logits[0], labels, 0.0, logits[0].size(1))  # noqa: E731
        return chunked_loss([part], chunks_by_position(model, positions, labels.flatten(), smoothed))

    sequence = torch.cat([prompt, target, torch.full((2, 1), 3)], dim=1)
    found = loss(encoder_output.prefix, sequence[:, 1:4]) + loss(output, sequence[:, 4:])
    whole = model.output(model.cells(model.embedding(sequence[:, :-1]))[0])
    expected = functional.cross_entropy(whole.flatten(0, 1), sequence[:, 1:].flatten(), reduction="sum")
    assert_close(found, expected)
    assert_close(gradients(model, found), gradients(model, expected))


@dataclass(frozen=True)
class PointerEncoderOutput(EncoderOutput):
    """The ids of the source, V+e for its e-th word outside the vocabulary."""

    copy_ids: Tensor
    extra_ids: int


@dataclass(frozen=True)
class PointerOutput(DecoderOutput):
    """With what the output layer copies from."""

    source: PointerEncoderOutput | None = None


class PointerModel(Fake):
    """Half of the probability goes to the vocabulary, half to the words of the source."""

    def encode(self, inputs: ModelInputs) -> PointerEncoderOutput:
        return PointerEncoderOutput(inputs.columns["copy_ids"], inputs.extra_ids)

    def decode(self, encoder_output: Any, target: DecoderInput, attention: bool = False) -> PointerOutput:
        return PointerOutput(super().decode(None, target).hidden_states, source=encoder_output)

    def logits(self, output: DecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        assert isinstance(output, PointerOutput) and output.source is not None and positions is not None
        generated = super().logits(output, positions).softmax(-1)
        probs = functional.pad(generated, (0, output.source.extra_ids)) / 2
        copied = output.source.copy_ids[positions.sentence]
        share = torch.full(copied.shape, 0.5 / copied.size(1))
        return probs.scatter_add(1, copied, share).log()


def test_output_may_have_columns_beyond_the_vocabulary() -> None:
    model = PointerModel(Capabilities(output="log_probs", copies=True))
    copy_ids = torch.tensor([[4, SIZE, 5], [SIZE + 1, SIZE, 6]])
    inputs = ModelInputs(2, ids(2, 3), columns={"copy_ids": copy_ids}, extra_ids=2)
    target = torch.tensor([[2, SIZE, 4], [2, SIZE + 1, SIZE]])
    output = model.decode(model.encode(inputs), DecoderInput(target))
    positions = OutputPositions.from_index(torch.tensor([0, 1, 4]), 3)
    log_probs = model.logits(output, positions)
    assert log_probs.shape == (3, SIZE + 2)
    assert_close(log_probs.exp().sum(-1), torch.ones(3))
    assert_close(log_probs[:, SIZE:].exp(), torch.tensor([[1 / 6, 0], [1 / 6, 0], [1 / 6, 1 / 6]]))
    is_unk = DecoderInput(target.masked_fill(target >= SIZE, VOCABULARY.special_tokens.unk))
    assert_close(output.hidden_states, model.decode(model.encode(inputs), is_unk).hidden_states)
    second = model.logits(output.select(torch.tensor([1])), OutputPositions.from_index(torch.tensor([1]), 3))
    assert_close(second, log_probs[2:])


class CtcModel(Fake):
    """Predicts two outputs for each source token; shown tokens are added to what the model reads."""

    def encode(self, inputs: ModelInputs) -> EncoderOutput:
        assert inputs.lengths is not None
        states = self.embedding(inputs.ids).repeat_interleave(2, dim=1)
        return EncoderOutput(prefix=DecoderOutput(states, 2 * inputs.lengths))

    def decode(self, encoder_output: EncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        assert encoder_output.prefix is not None and target.ids is None
        states = encoder_output.prefix.hidden_states
        if target.revealed is not None:
            is_revealed = (target.revealed >= 0).unsqueeze(-1)
            states = torch.where(is_revealed, self.embedding(target.revealed.clamp(min=0)), states)
        return replace(encoder_output.prefix, hidden_states=self.cells(states)[0])


def test_ctc_loss_is_chunked_by_sentence() -> None:
    blank = 0
    model = CtcModel(Capabilities(search=frozenset(["ctc"]), attention=False, blank=blank))
    lengths, labels, label_lengths = torch.tensor([4, 2, 3]), ids(3, 3), torch.tensor([3, 2, 1])
    output = model.decode(model.encode(ModelInputs.from_ids(ids(3, 4), lengths)), DecoderInput(None))
    assert output.lengths is not None and output.lengths.tolist() == [8, 4, 6]

    def ctc(output: DecoderOutput, sentences: Tensor) -> Tensor:
        log_probs = model.logits(output).view(*output.hidden_states.shape[:2], -1).log_softmax(-1).transpose(0, 1)
        targets = labels[sentences], output.lengths, label_lengths[sentences]
        return functional.ctc_loss(log_probs, *targets, blank=blank, reduction="sum")

    def by_sentence() -> Iterator[ChunkLoss]:
        for sentences in torch.arange(3).split(2):
            yield lambda outputs, sentences=sentences: ctc(outputs[0].select(sentences), sentences)  # type: ignore[misc]

    found, expected = chunked_loss([output], by_sentence()), ctc(output, torch.arange(3))
    assert_close(found, expected)
    assert_close(gradients(model, found), gradients(model, expected))


def test_revealed_tokens_change_what_a_glancing_model_predicts() -> None:
    model = CtcModel(Capabilities(search=frozenset(["ctc"]), attention=False, blank=0))
    encoder_output = model.encode(ModelInputs.from_ids(ids(1, 2), torch.tensor([2])))
    hidden = model.decode(encoder_output, DecoderInput(None, revealed=torch.full((1, 4), -1)))
    assert_close(hidden.hidden_states, model.decode(encoder_output, DecoderInput(None)).hidden_states)
    revealed = model.decode(encoder_output, DecoderInput(None, revealed=torch.tensor([[-1, -1, 4, -1]])))
    assert_close(revealed.hidden_states[:, :2], hidden.hidden_states[:, :2])
    assert not torch.allclose(revealed.hidden_states[:, 2:], hidden.hidden_states[:, 2:])


class SharedLayers(Fake):
    """Two layers with a common submodule, one layer that occurs twice, and one of its own."""

    def __init__(self) -> None:
        super().__init__(Capabilities(attention=False, source="none"))
        common, twice = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.adapters = nn.ModuleList(nn.Sequential(nn.Linear(WIDTH, WIDTH), common) for _ in range(2))
        self.layers = nn.ModuleList([twice, nn.Linear(WIDTH, WIDTH), twice])

    def encode(self, inputs: ModelInputs) -> EncoderOutput:
        return EncoderOutput()

    def decode(self, encoder_output: Any, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        states = self.cells(self.embedding(target.ids))[0]
        for layer in (*self.adapters, *self.layers):
            states = states + self._run(self._apply_layer, layer, states)
        return DecoderOutput(states)

    def _apply_layer(self, layer: nn.Module, states: Tensor) -> Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        return functional.dropout(layer(states).tanh(), 0.5, self.training)


def pairs() -> Batch:
    target = ids(2, 3)
    labels = torch.cat([target[:, 1:], torch.full((2, 1), 3)], dim=1)
    return Batch(ids(2, 4), target, torch.arange(6), labels.flatten(), np.arange(2))


def test_shared_modules_stay_in_the_fsdp_root() -> None:
    model = SharedLayers()
    assert [*model.fsdp_units()] == [model.layers[1]]
    decoder = transformer()
    assert [*decoder.fsdp_units()] == [*decoder.encoder, *decoder.decoder]
    stepwise, parallel = rnn(input_feeding=True), rnn()
    assert {*parallel.decoder} < {*parallel.fsdp_units()}
    assert {*stepwise.decoder}.isdisjoint(stepwise.fsdp_units())


@pytest.mark.parametrize("make", [SharedLayers, transformer, prefix, lambda: rnn(input_feeding=True)])
def test_gradients_under_fsdp_are_those_of_one_device(make: Any) -> None:
    from torch.distributed.fsdp import fully_shard

    batch = pairs()
    expected = objective_gradients(CrossEntropyObjective(make().train(), 0.1), batch)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
        objective = CrossEntropyObjective(make().train(), 0.1)
        for unit in objective.model.fsdp_units():
            fully_shard(unit, mesh=mesh, reshard_after_forward=True)
        fully_shard(objective, mesh=mesh, reshard_after_forward=False)
        found = objective_gradients(objective, batch)
        assert_close({name: gradient.full_tensor() for name, gradient in found.items()}, expected)
    finally:
        dist.destroy_process_group()


def test_recomputed_layers_draw_the_same_dropout() -> None:
    model, batch, calls, found = SharedLayers().train(), pairs(), [], []
    for model.recompute in (False, True):
        model.calls = 0
        found.append(objective_gradients(CrossEntropyObjective(model, 0.0), batch))
        calls.append(model.calls)
    assert calls == [5, 10]
    for name, gradient in found[0].items():
        assert torch.equal(gradient, found[1][name])


@dataclass(frozen=True)
class Nested(EncoderOutput):
    """A record within a record, tuples and mappings."""

    parts: tuple[DecoderOutput, ...]
    columns: dict[str, Tensor]
    name: str = "kept"


def test_batch_tensors_map_select_and_split_everything_inside() -> None:
    record = Nested((DecoderOutput(torch.arange(8.0).view(4, 2)),), {"a": torch.arange(4)})
    assert [tensor.shape[0] for tensor in record.tensors()] == [4, 4]
    chosen = record.select(torch.tensor([3, 3, 0]))
    assert chosen.parts[0].hidden_states[:, 0].tolist() == [6, 6, 0]
    assert chosen.columns["a"].tolist() == [3, 3, 0]
    assert chosen.name == "kept"
    first, second = record.chunk(2)
    assert (first.columns["a"].tolist(), second.columns["a"].tolist()) == ([0, 1], [2, 3])
    assert record.map(lambda tensor: tensor + 1).columns["a"].tolist() == [1, 2, 3, 4]
    initial = rnn().encode(ModelInputs.from_ids(ids(3, 2))).initial  # [L,P,B,D]
    selected = rnn().encode(ModelInputs.from_ids(ids(3, 2))).select(torch.tensor([1])).initial
    assert (initial.size(2), selected.size(2)) == (3, 1)


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward(retain_graph=True)
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def objective_gradients(objective: CrossEntropyObjective, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return gradients(objective, objective(batch).sum)
