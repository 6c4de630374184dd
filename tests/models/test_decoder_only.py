"""Decoder-only models: steps, prompts and packed rows give the logits of whole sequences."""

import pytest
import torch
from tiny_decoder_only import SIZES, VOCAB_SIZE, random_ids, tiny_decoder_only
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.models.kernels import Backend, InferencePrecision, Linear
from nmt_cli.recipe.model import DecoderOnlySettings

MODELS = {
    "plain": {},
    "gpt2": {"activation": "gelu_tanh", "positions": {"type": "learned", "length": 100}, "scale_embeddings": False},
    "llama": {
        "norm": {"type": "rms"},
        "positions": {"type": "rotary"},
        "activation": "swiglu",
        "key_value_heads": 2,
        "bias": False,
        "tied_embeddings": "input",
        "output_bias": False,
    },
    "relative": {"positions": {"type": "relative", "buckets": 8, "max_distance": 20}, "norm": {"position": "post"}},
    "normed": {"norm": {"embeddings": True}, "head_width": 6, "output_bias": True},
}
models = pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS.keys())


def whole_logits(model: Model, ids: Tensor, **others: Tensor) -> Tensor:
    output = model.decode(model.encode(ModelInputs(len(ids))), DecoderInput(ids, **others))
    return model.logits(output).view(*ids.shape, VOCAB_SIZE)


def empty_cache(model: Model, sentences: int) -> object:
    return model.init_cache(model.encode(ModelInputs(sentences)), sentences)


def test_unscaled_attention_begins_like_scaled_attention() -> None:
    ids, found = random_ids(2, 9), list[Tensor]()
    for is_scaled in (True, False):
        torch.manual_seed(1)
        settings = {"architecture": "decoder_only", **SIZES, "scale_attention": is_scaled}
        model = build(DecoderOnlySettings.model_validate(settings), VocabularySpec(VOCAB_SIZE, VOCAB_SIZE)).eval()
        found.append(whole_logits(model, ids))
    assert_close(found[0], found[1])


@models
def test_steps_give_the_logits_of_whole_sequences(changes: dict[str, object]) -> None:
    model, ids = tiny_decoder_only(**changes), random_ids(2, 80)  # longer than the first capacity of a cache
    expected, cache = whole_logits(model, ids), empty_cache(model, 2)
    for position, tokens in enumerate(ids.split(1, dim=1)):
        logits, cache = model.step(tokens, cache)
        assert_close(logits[:, 0], expected[:, position], atol=1e-5, rtol=1e-4)


@models
@pytest.mark.parametrize("length", [1, 20, 70])
def test_prompt_in_one_pass_gives_the_logits_of_steps(changes: dict[str, object], length: int) -> None:
    model, ids = tiny_decoder_only(**changes), random_ids(3, length + 4)
    expected = whole_logits(model, ids)
    logits, cache = model.prefill(ids[:, :length], torch.full((3,), length), empty_cache(model, 3))
    assert_close(logits[:, 0], expected[:, length - 1], atol=1e-5, rtol=1e-4)
    logits, cache = model.prefill(ids[:, length : length + 2], torch.full((3,), 2), cache)
    assert_close(logits[:, 0], expected[:, length + 1], atol=1e-5, rtol=1e-4)
    cache = cache.select(torch.tensor([[2, 2], [0, 0]]))
    logits, cache = model.step(ids[[2, 0], length + 2 : length + 3].expand(2, 2), cache)
    assert_close(logits, expected[[2, 0], length + 2 : length + 3].expand(2, 2, VOCAB_SIZE), atol=1e-5, rtol=1e-4)
    logits, _ = model.step(ids[[0, 2], length + 3 :], cache.select(torch.tensor([[3], [1]])))
    assert_close(logits, expected[[0, 2], length + 3 :], atol=1e-5, rtol=1e-4)


@models
def test_packed_segments_have_the_logits_of_separate_sequences(changes: dict[str, object]) -> None:
    model, first, second = tiny_decoder_only(**changes), random_ids(2, 3), random_ids(2, 4)
    others = {
        "positions": torch.tensor([0, 1, 2, 0, 1, 2, 3]).expand(2, -1),
        "segment_ids": torch.tensor([0, 0, 0, 1, 1, 1, 1]).expand(2, -1),
    }
    found = whole_logits(model, torch.cat([first, second], dim=1), **others)
    assert_close(found[:, :3], whole_logits(model, first), atol=1e-5, rtol=1e-4)
    assert_close(found[:, 3:], whole_logits(model, second), atol=1e-5, rtol=1e-4)


@models
def test_later_tokens_do_not_change_earlier_logits(changes: dict[str, object]) -> None:
    model, ids = tiny_decoder_only(**changes), random_ids(2, 6)
    changed = ids.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % VOCAB_SIZE
    before, after = whole_logits(model, ids), whole_logits(model, changed)
    assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@models
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("int8", 0.1)])
def test_prepared_model_gives_the_same_logits(
    changes: dict[str, object], precision: InferencePrecision, tolerance: float
) -> None:
    model, ids = tiny_decoder_only(**changes), random_ids(2, 5)
    expected = whole_logits(model, ids)
    model.prepare_for_inference(Backend(precision))
    assert not [name for name, layer in model.named_modules() if isinstance(layer, Linear)]
    assert_close(whole_logits(model, ids), expected, atol=tolerance, rtol=tolerance)
    logits, _ = model.prefill(ids, torch.full((2,), 5), empty_cache(model, 2))
    assert_close(logits[:, 0], expected[:, -1], atol=tolerance, rtol=tolerance)


@models
def test_every_parameter_gets_a_gradient(changes: dict[str, object]) -> None:
    model, ids = tiny_decoder_only(**changes).train(), random_ids(3, 6)
    functional.cross_entropy(whole_logits(model, ids).flatten(0, 1), random_ids(18)).backward()
    assert not [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    sizes = {each.name: model.get_parameter(each.name).shape[each.dimension] for each in model.vocabulary_parameters()}
    assert set(sizes.values()) == {VOCAB_SIZE}
