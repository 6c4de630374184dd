"""Decoder-only translators: encoding and decoding give what one pass over the whole sequence gives."""

import numpy as np
import pytest
import torch
from tiny_decoder_only import VOCAB_SIZE, tiny_decoder_only
from tiny_decoder_only import random_ids as any_random_ids
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.data.batches import Batch
from nmt_cli.models.contract import DecoderInput, DecoderOutput, ModelInputs
from nmt_cli.models.decoder_only.translator import DecoderOnlyTranslator
from nmt_cli.recipe.training import Training
from nmt_cli.training.objectives import build_objective

EOS = 3
MODELS = {
    "plain": {},
    "modern": {
        "norm": {"type": "rms"},
        "positions": {"type": "rotary"},
        "activation": "swiglu",
        "key_value_heads": 2,
        "bias": False,
        "tied_embeddings": "input",
    },
    "learned": {"positions": {"type": "learned", "length": 100}, "norm": {"position": "post", "embeddings": True}},
    "relative": {"positions": {"type": "relative", "buckets": 8, "max_distance": 20}},
}
models = pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS.keys())
directions = pytest.mark.parametrize("source_attention", ["bidirectional", "causal"])


def new(source_attention: str, **changes: object) -> DecoderOnlyTranslator:
    rates = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    model = tiny_decoder_only(source_attention=source_attention, **{"layers": 3, **rates, **changes})
    assert isinstance(model, DecoderOnlyTranslator)
    return model


def random_ids(*shape: int) -> Tensor:
    return any_random_ids(*shape, first=4)


def joint_logits(model: DecoderOnlyTranslator, source: Tensor, target: Tensor) -> Tensor:
    """The logits [S+T,V] of one pass over source and target [S], [T], with a mask of the whole sequence."""
    size, length = len(source), len(source) + len(target)
    mask = torch.ones(length, length).tril().bool()
    if model.settings.source_attention == "bidirectional":
        mask[:size, :size] = True
    embeddings, scale = model.embeddings.target.weight, model.embeddings.scale
    vectors = embeddings[torch.cat([source, target])]
    vectors = torch.cat([vectors[:size] + model.source_embedding, vectors[size:]]) * scale
    sides = [
        positions(torch.arange(len(side)))
        for positions, side in ((model.source_positions, source), (model.positions, target))
    ]
    if sides[0].additive is not None:
        vectors = vectors + torch.cat([side.additive for side in sides])
    rotary = sides[0].rotary and type(sides[0].rotary)(
        *(torch.cat(each) for each in zip(*(side.rotary for side in sides), strict=True))
    )
    biases = torch.zeros(model.settings.heads, length, length).masked_fill(~mask, -torch.inf)
    for positions, span in ((model.source_positions, slice(size)), (model.positions, slice(size, length))):
        if positions.biases is not None:
            indices = torch.arange(length)[span]
            biases[:, span, span] = biases[:, span, span] + positions.relative_biases(indices - indices[:, None])[0]
    states = model.embedding_norm(vectors)[None]
    for layer in model.decoder:
        states, _ = layer(states, rotary, biases[None], is_causal=False)
    return model.logits(DecoderOutput(model.decoder_norm(states)))


@models
@directions
def test_encoding_and_decoding_equal_a_pass_over_the_whole_sequence(
    source_attention: str, changes: dict[str, object]
) -> None:
    model, source, target = new(source_attention, **changes), random_ids(5), random_ids(7)
    model.predicts_source = True
    expected = joint_logits(model, source, target)
    encoder_output = model.encode(ModelInputs.from_ids(source[None]))
    assert encoder_output.prefix is not None
    found = [encoder_output.prefix, model.decode(encoder_output, DecoderInput(target[None]))]
    assert_close(torch.cat([model.logits(each) for each in found]), expected, atol=1e-5, rtol=1e-5)


@models
@directions
def test_encoder_output_without_prefix_is_that_with_prefix(source_attention: str, changes: dict[str, object]) -> None:
    model, source, target = new(source_attention, **changes), ModelInputs.from_ids(random_ids(2, 5)), random_ids(2, 4)
    found = []
    for model.predicts_source in (True, False):
        encoder_output = model.encode(source)
        assert (encoder_output.prefix is not None) == model.predicts_source
        found.append(model.logits(model.decode(encoder_output, DecoderInput(target))))
    assert_close(found[0], found[1])


@models
@directions
def test_packed_targets_are_decoded_as_if_alone(source_attention: str, changes: dict[str, object]) -> None:
    model, first, second = new(source_attention, **changes), random_ids(2, 3), random_ids(2, 4)
    encoder_output = model.encode(ModelInputs.from_ids(random_ids(2, 5), torch.tensor([5, 3])))
    positions = torch.tensor([0, 1, 2, 0, 1, 2, 3]).expand(2, -1)
    packed = DecoderInput(torch.cat([first, second], dim=1), positions, (positions == 0).cumsum(1))
    alone = [model.decode(encoder_output, DecoderInput(each)).hidden_states for each in (first, second)]
    assert_close(model.decode(encoder_output, packed).hidden_states, torch.cat(alone, dim=1), atol=1e-5, rtol=1e-4)


@models
@directions
def test_prompt_in_one_pass_gives_the_logits_of_steps(source_attention: str, changes: dict[str, object]) -> None:
    model, target = new(source_attention, **changes), random_ids(2, 6)
    encoder_output = model.encode(ModelInputs.from_ids(random_ids(2, 5), torch.tensor([5, 2])))
    expected = model.logits(model.decode(encoder_output, DecoderInput(target))).view(2, 6, VOCAB_SIZE)
    logits, cache = model.prefill(target[:, :4], torch.tensor([4, 4]), model.init_cache(encoder_output, 2))
    assert_close(logits[:, 0], expected[:, 3], atol=1e-5, rtol=1e-4)
    logits, cache = model.step(target[:, 4:5].expand(2, 2), cache.select(torch.tensor([[0, 0], [1, 1]])))
    assert_close(logits, expected[:, 4:5].expand(2, 2, VOCAB_SIZE), atol=1e-5, rtol=1e-4)


def test_causal_source_positions_ignore_later_tokens() -> None:
    source = random_ids(1, 6)
    changed = torch.cat([source[:, :4], (source[:, 4:] + 1) % VOCAB_SIZE], dim=1)
    for source_attention in ("causal", "bidirectional"):
        model = new(source_attention)
        model.predicts_source = True
        outputs = [model.encode(ModelInputs.from_ids(ids)).prefix for ids in (source, changed)]
        first, second = (each.hidden_states[:, :4] for each in outputs if each is not None)
        assert torch.allclose(first, second) == (source_attention == "causal")


def test_beams_share_the_keys_and_values_of_their_source() -> None:
    model = new("bidirectional")
    cache = model.init_cache(model.encode(ModelInputs.from_ids(random_ids(2, 20))), 2)
    wide = cache.select(torch.tensor([[0] * 5, [1] * 5]))
    _, wide = model.step(random_ids(2, 5), wide)
    reordered = wide.select(torch.tensor([[1, 0, 0, 2, 3], [5, 5, 9, 8, 7]]))
    assert reordered.source.encoder_kv.data_ptr() == cache.source.encoder_kv.data_ptr()


def test_layers_that_training_skips_are_skipped_on_both_sides() -> None:
    model = new("bidirectional", layer_drop=0.5, activation="relu").train()
    torch.manual_seed(3)
    encoder_output = model.encode(ModelInputs.from_ids(random_ids(1, 4)))
    skipped = [each is None for each in encoder_output.key_values]
    assert any(skipped) and not all(skipped)
    output = model.decode(encoder_output, DecoderInput(random_ids(1, 3)))
    output.hidden_states.sum().backward()
    assert [layer.feed_forward.inner.weight.grad is None for layer in model.decoder] == skipped


@pytest.mark.parametrize(
    "extra", [{}, {"word_dropout": {"target": 1e-9}}, {"consistency": {"type": "r_drop"}}], ids=str
)
def test_loss_on_source_and_target_is_that_of_the_whole_sequence(extra: dict[str, object]) -> None:
    model, source, target = new("causal"), random_ids(2, 5), random_ids(2, 4)
    source[:, -1] = EOS
    settings = Training.model_validate({"source_loss": 0.5, "label_smoothing": 0.1, **extra})
    objective = build_objective(settings, model, unk=1).train()
    labels = torch.cat([target[:, 1:], torch.full((2, 1), EOS)], dim=1)
    batch = Batch(source, target, torch.arange(8), labels.flatten(), np.arange(2))
    loss, count, values = objective(batch)
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    expected = torch.zeros(())
    for row in range(2):
        logits = joint_logits(model, source[row], target[row])
        terms = ((logits[:4], source[row, 1:], 0.5), (logits[5:], labels[row], 1.0))
        for part, expected_labels, weight in terms:
            loss_here = functional.cross_entropy(part, expected_labels, reduction="sum", label_smoothing=0.1)
            expected = expected + weight * loss_here
    expected.backward()
    assert count == 8
    assert_close(loss, expected, atol=1e-4, rtol=1e-5)
    assert values["source_loss"] > 0
    for name, weight in model.named_parameters():
        assert_close(found[name], weight.grad, atol=1e-4, rtol=1e-4)


def test_validation_does_not_count_the_loss_on_the_source() -> None:
    model, source, target = new("causal"), random_ids(2, 5), random_ids(2, 4)
    batch = Batch(source, target, torch.arange(8), random_ids(8), np.arange(2))
    losses = [build_objective(Training(source_loss=rate), model, 1).eval()(batch).sum for rate in (0.0, 0.5)]
    assert_close(losses[0], losses[1])
