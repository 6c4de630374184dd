"""A chunked loss has the value and the gradients of the unchunked loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, DecoderOutput, Model, ModelInputs, OutputPositions, VocabularySpec
from nmt_cli.models.ensemble import Ensemble
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.training.objectives import objective
from nmt_cli.training.objectives.cross_entropy import label_smoothed_cross_entropy
from nmt_cli.training.objectives.objective import LogitsLoss, chunked_loss, chunks_by_position

VOCAB_SIZE = 11
POSITIONS = torch.tensor([0, 1, 2, 4, 5, 6, 7, 8, 10])
LABELS = torch.tensor([3, 4, 2, 9, 2, 5, 5, 6, 2])

MODELS = {
    f"{architecture}-{tying}": (architecture, tying)
    for architecture in ("transformer", "rnn")
    for tying in ("all", "none")
}
models = pytest.mark.parametrize("kind", MODELS.values(), ids=MODELS.keys())


@models
@pytest.mark.parametrize("size", [1, 4, 9, 100])
def test_chunked_loss_and_gradients_equal_unchunked(
    kind: tuple[str, str], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks_of(size, monkeypatch)
    assert_same(new(*kind), cross_entropy)


@models
def test_chunked_loss_of_two_passes(kind: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(4, monkeypatch, num_passes=2)
    assert_same(new(*kind), both_and_their_distance, num_passes=2)


@models
@pytest.mark.parametrize("learning", ["embeddings", "output", "decoder", "encoder", "nothing"])
def test_chunked_loss_with_frozen_parameters(
    kind: tuple[str, str], learning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks_of(4, monkeypatch)
    model = new(*kind)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.startswith(learning))
    if any(weight.requires_grad for weight in model.parameters()):
        assert_same(model, cross_entropy)
    else:
        assert not in_chunks(model, cross_entropy).requires_grad


def test_chunked_loss_of_an_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decoder output has nested outputs beyond the fields of DecoderOutput."""
    chunks_of(4, monkeypatch)
    assert_same(Ensemble([new("transformer", "all"), new("rnn", "none")]).double().eval(), cross_entropy)


@dataclass(frozen=True)
class GatedOutput(DecoderOutput):
    """The decoder output of a model that adds a field."""

    gates: Tensor | None = None


def test_chunked_loss_keeps_the_fields_that_a_model_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(4, monkeypatch)
    model = new("transformer", "none")
    decode, logits, gate = model.decode, model.logits, nn.Linear(8, 1).double()
    model.add_module("gate", gate)

    def decode_gated(*given: Any, **more: Any) -> GatedOutput:
        output = decode(*given, **more)
        return GatedOutput(
            output.hidden_states, cross_attention=output.cross_attention, gates=gate(output.hidden_states)
        )

    def gated_logits(output: GatedOutput, positions: OutputPositions) -> Tensor:
        assert output.gates is not None
        return logits(output, positions) * output.gates.flatten(0, 1)[positions.index]

    monkeypatch.setattr(model, "decode", decode_gated)
    monkeypatch.setattr(model, "logits", gated_logits)
    assert_same(model, cross_entropy)
    assert gate.weight.grad is not None


def test_chunks_bound_the_number_of_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(4, monkeypatch)
    model, asked = new("transformer", "all"), list[int]()
    logits = model.logits

    def recorded(output: DecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        found = logits(output, positions)
        asked.append(len(found))
        return found

    monkeypatch.setattr(model, "logits", recorded)
    in_chunks(model, cross_entropy).backward()
    assert asked == [4, 4, 1]


def test_no_logits_are_kept_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(4, monkeypatch)
    model, waiting, seen = new("transformer", "all"), [], set()
    waiting.append(in_chunks(model, cross_entropy).grad_fn)
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting.extend(following for following, _ in node.next_functions)
    shapes = {tuple(kept.shape) for node in seen for kept in getattr(node, "saved_tensors", ())}
    assert (VOCAB_SIZE, 8) in shapes  # the gradient of the output's weights
    assert not {(size, VOCAB_SIZE) for size in (1, 4, 9)} & shapes


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_chunked_loss_without_gradients(mode: type[torch.no_grad]) -> None:
    model = new("transformer", "all")
    expected = unchunked(model, cross_entropy).detach()
    with mode():
        loss = in_chunks(model, cross_entropy)
    assert not loss.requires_grad
    assert_close(loss, expected)


@models
def test_chunked_loss_in_bf16_is_close_to_fp32(kind: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    chunks_of(4, monkeypatch)
    model = new(*kind).float()
    exact = gradients(model, unchunked(model, cross_entropy))
    with torch.autocast("cpu", torch.bfloat16):
        loss = in_chunks(model, cross_entropy)
    assert loss.dtype == torch.float32
    assert_close(loss, unchunked(model, cross_entropy), atol=0.05, rtol=0.01)
    for name, gradient in gradients(model, loss).items():
        assert gradient.dtype == torch.float32
        assert_close(gradient, exact[name], atol=0.1, rtol=0.1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_label_smoothed_cross_entropy_matches_torch(smoothing: float, scale: float) -> None:
    torch.manual_seed(1)
    logits = (torch.randn(9, VOCAB_SIZE, dtype=torch.float64) * scale).requires_grad_()
    expected = functional.cross_entropy(logits, LABELS, reduction="sum", label_smoothing=smoothing)
    found = label_smoothed_cross_entropy(logits, LABELS, smoothing, VOCAB_SIZE)
    assert_close(found, expected)
    (ours,), (theirs,) = (torch.autograd.grad(3 * loss, logits) for loss in (found, expected))
    assert_close(ours, theirs)


def new(architecture: str, tying: str) -> Model:
    torch.manual_seed(1)
    vocabulary = VocabularySpec(VOCAB_SIZE, VOCAB_SIZE)
    given = {"architecture": architecture, "preset": "tiny", "width": 8, "tied_embeddings": tying}
    if architecture == "rnn":
        model = build(RnnSettings.model_validate(given | {"embedding_width": 8}), vocabulary)
    else:
        sizes = {"feed_forward": 12, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
        model = build(TransformerSettings.model_validate(given | sizes), vocabulary)
    return model.double().eval()


def positions() -> OutputPositions:
    return OutputPositions.from_index(POSITIONS, 4)


def decoder_output(model: Model, seed: int = 1) -> DecoderOutput:
    torch.manual_seed(seed)
    source, decoder_input = torch.randint(VOCAB_SIZE, (3, 5)), torch.randint(VOCAB_SIZE, (3, 4))
    return model.decode(model.encode(ModelInputs.from_ids(source)), DecoderInput(decoder_input), attention=True)


def unchunked(model: Model, loss: LogitsLoss, num_passes: int = 1) -> Tensor:
    return loss([model.logits(decoder_output(model, seed), positions()) for seed in range(num_passes)], LABELS)


def in_chunks(model: Model, loss: LogitsLoss, num_passes: int = 1) -> Tensor:
    outputs = [decoder_output(model, seed) for seed in range(num_passes)]
    return chunked_loss(outputs, chunks_by_position(model, positions(), LABELS, loss, num_passes))


def gradients(model: Model, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    (loss / 7).backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def assert_same(model: Model, loss: LogitsLoss, num_passes: int = 1) -> None:
    expected, found = unchunked(model, loss, num_passes), in_chunks(model, loss, num_passes)
    assert_close(found, expected)
    assert_close(gradients(model, found), gradients(model, expected))


def chunks_of(size: int, monkeypatch: pytest.MonkeyPatch, num_passes: int = 1) -> None:
    monkeypatch.setattr(objective, "_LOGITS_PER_CHUNK_CPU", size * VOCAB_SIZE * num_passes)


def cross_entropy(logits: Sequence[Tensor], labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits[0], labels, reduction="sum", label_smoothing=0.1)


def both_and_their_distance(logits: Sequence[Tensor], labels: Tensor) -> Tensor:
    first, second = (part.log_softmax(-1) for part in logits)
    distance = functional.kl_div(first, second, reduction="sum", log_target=True)
    return functional.nll_loss(first, labels, reduction="sum") + distance
