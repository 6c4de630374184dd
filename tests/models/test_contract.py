"""Properties that every model guarantees to objectives and search."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.devices import has_fast_bf16
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, OutputPositions, VocabularySpec
from nmt_cli.models.encoder_decoder import sentence_indices
from nmt_cli.models.kernels import Backend, InferencePrecision, Linear
from nmt_cli.recipe.model import (
    DecoderOnlySettings,
    NormSettings,
    RnnSettings,
    RotaryPositions,
    TransformerSettings,
)

inputs = ModelInputs.from_ids

needs_bf16 = pytest.mark.skipif(not has_fast_bf16(torch.device("cpu")), reason="a processor that multiplies bf16")

VOCAB_SIZE = 13
VOCABULARY = VocabularySpec(source_size=VOCAB_SIZE, target_size=VOCAB_SIZE)

Settings = TransformerSettings | RnnSettings | DecoderOnlySettings


def transformer(**changes: object) -> TransformerSettings:
    sizes = {"width": 16, "feed_forward": 24, "encoder_layers": 2, "decoder_layers": 2, "heads": 4}
    return TransformerSettings.model_validate({"architecture": "transformer", **sizes, **changes})


def rnn(**changes: object) -> RnnSettings:
    sizes = {"width": 16, "embedding_width": 12, "encoder_layers": 2, "decoder_layers": 2}
    return RnnSettings.model_validate({"architecture": "rnn", **sizes, **changes})


def prefix(**changes: object) -> DecoderOnlySettings:
    sizes = {"width": 16, "feed_forward": 24, "layers": 2, "heads": 4, "source_attention": "bidirectional"}
    return DecoderOnlySettings.model_validate({"architecture": "decoder_only", **sizes, **changes})


ROTARY = RotaryPositions(type="rotary")
SOME = {
    "transformer": transformer(),
    "post": transformer(norm=NormSettings(position="post"), activation="gelu"),
    "modern": transformer(norm=NormSettings(type="rms"), positions=ROTARY, activation="swiglu", key_value_heads=2),
    "marian": transformer(norm={"position": "post"}, positions={"spacing": "t2t"}, activation="silu", output_bias=True),
    "bart": transformer(
        norm={"position": "post", "embeddings": True},
        positions={"type": "learned", "length": 40},
        activation="gelu",
        scale_embeddings=False,
        output_bias=True,
    ),
    "m2m": transformer(positions={"spacing": "t2t", "offset": 2}, norm={"epsilon": 1e-3}),
    "t5": transformer(
        norm={"type": "rms"},
        positions={"type": "relative", "buckets": 8, "max_distance": 20},
        bias=False,
    ),
    "t5-gated": transformer(
        norm={"type": "rms"},
        positions={"type": "relative", "buckets": 8, "max_distance": 20, "each_layer": True},
        activation="geglu_tanh",
        key_value_heads=2,
        head_width=6,
        bias=False,
        scale_embeddings=False,
        scale_attention=False,
        tied_embeddings="input",
        output_bias=False,
    ),
    "ssru": transformer(
        decoder_self_attention="ssru", decoder_start="zeros", norm={"position": "post"}, positions={"spacing": "t2t"}
    ),
    "hierarchical": transformer(encoder={"type": "hierarchical", "segment_tokens": 3}),
    "hierarchical-post": transformer(
        encoder={"type": "hierarchical", "segment_tokens": 2, "document_layers": 2},
        encoder_layers=3,
        norm={"position": "post"},
        positions={"type": "learned", "length": 40},
        decoder_self_attention="ssru",
    ),
    "hierarchical-modern": transformer(
        encoder={"type": "hierarchical", "segment_tokens": 2},
        norm={"type": "rms"},
        positions=ROTARY,
        activation="swiglu",
        key_value_heads=2,
        output={"type": "pointer_generator"},
    ),
    "hierarchical-relative": transformer(
        encoder={"type": "hierarchical", "segment_tokens": 3},
        positions={"type": "relative", "buckets": 8, "max_distance": 20, "each_layer": True},
    ),
    "local": transformer(encoder={"type": "local", "block_tokens": 2, "global_tokens": 3}),
    "local-modern": transformer(
        encoder={"type": "local", "block_tokens": 1, "global_tokens": 1},
        norm={"type": "rms", "position": "post"},
        positions=ROTARY,
        activation="swiglu",
        key_value_heads=2,
        scale_embeddings=False,
    ),
    "prefix": prefix(),
    "prefix-causal": prefix(source_attention="causal", norm={"position": "post"}, tied_embeddings="input"),
    "prefix-modern": prefix(norm={"type": "rms"}, positions=ROTARY, activation="swiglu", key_value_heads=2),
    "prefix-learned": prefix(positions={"type": "learned", "length": 40}, norm={"embeddings": True}, output_bias=True),
    "prefix-relative": prefix(positions={"type": "relative", "buckets": 8, "max_distance": 20}, key_value_heads=2),
    "prefix-relative-causal": prefix(
        positions={"type": "relative", "buckets": 8, "max_distance": 20, "each_layer": True},
        source_attention="causal",
    ),
    "gru": rnn(),
    "lstm-fed": rnn(cell="lstm", input_feeding=True, attention="additive", decoder_layers=1),
    "gru-copied": rnn(bridge="copy", encoder_layers=1),
    "pointer": transformer(output={"type": "pointer_generator", "layer": 1, "heads": 3}),
    "pointer-gru": rnn(output={"type": "pointer_generator"}),
    "rnn-none": rnn(cell="rnn", attention="none", bidirectional=False, encoder_layers=1),
}
ALL = SOME | {
    f"{index}-{norm}-{positions}-{shared}-{activation}": transformer(
        norm=NormSettings(position=index, type=norm),
        positions={"type": positions},
        key_value_heads=shared,
        activation=activation,
    )
    for index, norm, positions, shared, activation in product(
        ("pre", "post"), ("layer", "rms"), ("sinusoidal", "rotary"), (4, 2, 1), ("relu", "swiglu")
    )
}
ALL |= {
    f"{cell}-{attention}-{'fed' if feeding else 'unfed'}-{tying}": rnn(
        cell=cell, attention=attention, input_feeding=feeding, tied_embeddings=tying
    )
    for cell, attention, feeding, tying in product(
        ("rnn", "gru", "lstm"), ("none", "additive", "dot", "general"), (False, True), ("none", "decoder", "all")
    )
    if attention != "none" or not feeding
}

some_models = pytest.mark.parametrize("settings", SOME.values(), ids=SOME.keys())
all_models = pytest.mark.parametrize("settings", ALL.values(), ids=ALL.keys())


@all_models
def test_step_logits_equal_teacher_forcing(settings: Settings) -> None:
    model, target = new(settings), random_ids(3, 5)
    encoder_output = model.encode(inputs(random_ids(3, 4), torch.tensor([4, 1, 3])))
    expected = model.logits(model.decode(encoder_output, DecoderInput(target))).view(3, 5, VOCAB_SIZE)
    cache, steps = model.init_cache(encoder_output, 3), []
    for tokens in target.split(1, dim=1):
        logits, cache = model.step(tokens, cache)
        steps.append(logits)
    assert_close(torch.cat(steps, dim=1), expected, atol=1e-5, rtol=1e-4)


@some_models
def test_cache_select_keeps_hypotheses_independent(settings: Settings) -> None:
    model = new(settings)
    sources = [random_ids(1, 4), random_ids(1, 2), random_ids(1, 3)]
    cache = model.init_cache(model.encode(pad(sources)), 3)
    prefixes, sentences = torch.ones(3, 1, 0, dtype=torch.long), torch.arange(3)
    selections = [
        [[0, 0, 0], [1, 1, 1], [2, 2, 2]],  # expand
        [[1, 0, 0], [4, 5, 3], [8, 6, 7]],  # reorder
        [[2, 0], [7, 6]],  # drop one of each and a sentence
        [[1, 0], [3, 3]],  # reorder in the scratch tensor of an earlier, larger selection
        [[2, 3]],
    ]
    for hypothesis_indices in [torch.tensor(hypothesis_indices) for hypothesis_indices in selections]:
        tokens = random_ids(*prefixes.shape[:2])
        logits, cache = model.step(tokens, cache)
        prefixes = torch.cat([prefixes, tokens.unsqueeze(2)], dim=2)
        for index, sentence in enumerate(sentences.tolist()):
            assert_close(logits[index], last_logits(model, sources[sentence], prefixes[index]), atol=1e-5, rtol=1e-4)
        sentences = sentences[hypothesis_indices[:, 0] // prefixes.size(1)]
        prefixes, cache = prefixes.flatten(0, 1)[hypothesis_indices], cache.select(hypothesis_indices)


@some_models
def test_cache_select_before_first_step_drops_sentences(settings: Settings) -> None:
    model, sources = new(settings), [random_ids(1, 4), random_ids(1, 2), random_ids(1, 3)]
    cache = model.init_cache(model.encode(pad(sources)), 3).select(torch.tensor([[0, 0], [2, 2]]))
    tokens = random_ids(2, 2)
    logits, _ = model.step(tokens, cache)
    for index, sentence in enumerate((0, 2)):
        expected = last_logits(model, sources[sentence], tokens[index].unsqueeze(1))
        assert_close(logits[index], expected, atol=1e-5, rtol=1e-4)


@some_models
def test_logits_ignore_padding(settings: Settings) -> None:
    model, source, target = new(settings), random_ids(2, 4), random_ids(2, 3)
    lengths = torch.tensor([4, 2])
    expected = teacher_forced_logits(model, inputs(source, lengths), target)
    padded = torch.cat([source, random_ids(2, 3)], dim=1)
    assert_close(teacher_forced_logits(model, inputs(padded, lengths), target), expected)


@some_models
def test_full_lengths_equal_no_lengths(settings: Settings) -> None:
    model, source, target = new(settings), random_ids(2, 4), random_ids(2, 3)
    filled = teacher_forced_logits(model, inputs(source, torch.tensor([4, 4])), target)
    assert_close(filled, teacher_forced_logits(model, inputs(source), target))


@some_models
def test_batched_logits_equal_those_of_single_sentences(settings: Settings) -> None:
    model, target = new(settings), random_ids(3, 4)
    sources = [random_ids(1, 5), random_ids(1, 1), random_ids(1, 3)]
    together = teacher_forced_logits(model, pad(sources), target)
    for index, source in enumerate(sources):
        assert_close(
            together[index : index + 1], teacher_forced_logits(model, inputs(source), target[index : index + 1])
        )


@some_models
def test_logits_ignore_future_tokens(settings: Settings) -> None:
    model, source, target = new(settings), inputs(random_ids(2, 4)), random_ids(2, 6)
    changed = target.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % VOCAB_SIZE
    before, after = teacher_forced_logits(model, source, target), teacher_forced_logits(model, source, changed)
    assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


@some_models
def test_cross_attention_is_a_distribution_over_source_tokens(settings: Settings) -> None:
    model = new(settings)
    encoder_output = model.encode(inputs(random_ids(2, 4), torch.tensor([4, 2])))
    attention = model.decode(encoder_output, DecoderInput(random_ids(2, 3)), attention=True).cross_attention
    if not settings.has_attention:
        assert attention is None
        return
    assert attention is not None
    assert attention.shape == (2, 3, 4)
    assert_close(attention.sum(-1), torch.ones(2, 3))
    assert attention[1, :, 2:].abs().max() == 0
    unasked = model.decode(encoder_output, DecoderInput(random_ids(2, 3))).cross_attention
    assert (unasked is None) == (settings.output.type == "softmax")


@some_models
def test_logits_at_positions_are_rows_of_all_logits(settings: Settings) -> None:
    model = new(settings)
    output = model.decode(model.encode(inputs(random_ids(2, 4))), DecoderInput(random_ids(2, 3)))
    positions = torch.tensor([5, 0, 3])
    assert_close(model.logits(output, OutputPositions.from_index(positions, 3)), model.logits(output)[positions])


@some_models
@pytest.mark.parametrize("lengths", [None, torch.tensor([1])])
def test_single_token_source_and_target(settings: Settings, lengths: Tensor | None) -> None:
    model, source = new(settings), inputs(random_ids(1, 1), lengths)
    start = torch.ones(1, 1, dtype=torch.long)
    logits, _ = model.step(start, model.init_cache(model.encode(source), source.batch_size))
    assert_close(logits, teacher_forced_logits(model, source, start))


@some_models
def test_cache_grows_beyond_source_length(settings: Settings) -> None:
    model, target = new(settings), random_ids(2, 30)  # longer than the source: a cache has to grow
    encoder_output = model.encode(inputs(random_ids(2, 24), torch.tensor([24, 19])))
    expected = model.logits(model.decode(encoder_output, DecoderInput(target))).view(2, 30, VOCAB_SIZE)
    cache = model.init_cache(encoder_output, 2).select(torch.tensor([[0, 0], [1, 1]]))
    for position in range(30):
        logits, cache = model.step(target[:, position : position + 1].expand(2, 2), cache)
        assert_close(logits, expected[:, position : position + 1].expand(2, 2, VOCAB_SIZE), atol=1e-5, rtol=1e-4)


@some_models
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-5), pytest.param("bf16", 0.06, marks=needs_bf16), ("int8", 0.1)]
)
def test_prepared_model_gives_the_same_logits(
    settings: Settings, precision: InferencePrecision, tolerance: float
) -> None:
    model, target = new(settings), random_ids(3, 5)
    source = inputs(random_ids(3, 6), torch.tensor([6, 2, 5]))
    expected = teacher_forced_logits(model, source, target)
    model.prepare_for_inference(Backend(precision))
    left = [name for name, layer in model.named_modules() if isinstance(layer, Linear) and "bridges" not in name]
    assert not left
    with torch.inference_mode():
        cache, steps = model.init_cache(model.encode(source), source.batch_size), []
        for tokens in target.split(1, dim=1):
            logits, cache = model.step(tokens, cache)
            steps.append(logits)
        assert_close(teacher_forced_logits(model, source, target), expected, atol=tolerance, rtol=tolerance)
    assert_close(torch.cat(steps, dim=1), expected, atol=tolerance, rtol=tolerance)


@some_models
def test_bf16_logits_are_close_to_fp32(settings: Settings) -> None:
    model, source, target = new(settings), inputs(random_ids(3, 4), torch.tensor([4, 2, 3])), random_ids(3, 5)
    exact = teacher_forced_logits(model, source, target)
    with torch.autocast("cpu", torch.bfloat16):
        rough = teacher_forced_logits(model, source, target)
        step_logits, _ = model.step(target[:, :1], model.init_cache(model.encode(source), source.batch_size))
    assert_close(rough.float(), exact, atol=0.06, rtol=0.06)
    assert_close(step_logits.float(), exact[:, :1], atol=0.06, rtol=0.06)


@some_models
@pytest.mark.parametrize("is_bf16", [False, True])
def test_every_parameter_gets_a_gradient(settings: Settings, is_bf16: bool) -> None:
    model = new(settings).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        source = inputs(random_ids(3, 4), torch.tensor([4, 2, 3]))
        logits = teacher_forced_logits(model, source, random_ids(3, 5)).flatten(0, 1)
        functional.cross_entropy(logits.float(), random_ids(15)).backward()
    still = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []


@some_models
def test_recompute_gives_identical_gradients_with_less_memory(settings: Settings) -> None:
    model = new(settings.model_copy(update={"dropout": 0.3})).train()
    source, decoder_input, gradients, kept = (
        inputs(random_ids(8, 16), torch.tensor([16, 9] * 4)),
        random_ids(8, 16),
        [],
        [],
    )
    for model.recompute in (False, True):
        torch.manual_seed(1)
        with bytes_kept(model, kept):
            encoder_output = model.encode(source)
            output = model.decode(encoder_output, DecoderInput(decoder_input), attention=True)
        functional.cross_entropy(model.logits(output), decoder_input.flatten()).backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
        model.zero_grad()
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
    assert kept[1] < 0.75 * kept[0]


@some_models
def test_seed_determines_initial_parameters(settings: Settings) -> None:
    first, second = new(settings).state_dict(), new(settings).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@some_models
def test_model_overfits_four_pairs(settings: Settings) -> None:
    model = new(settings.model_copy(update={"dropout": 0.0}))
    source, decoder_input, target_out = inputs(random_ids(4, 5)), random_ids(4, 6), random_ids(24)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        loss = functional.cross_entropy(teacher_forced_logits(model, source, decoder_input).flatten(0, 1), target_out)
        if loss < 0.1:
            break
        loss.backward()
        optimizer.step()
    assert loss < 0.1


@contextmanager
def bytes_kept(model: Model, results: list[int]) -> Iterator[None]:
    """Adds to the results how many bytes are kept for a backward pass, each once, and weights not at all."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield
    results.append(sum(size for index, size in storages.items() if index not in weights))


def test_sentence_indices_is_none_if_only_hypotheses_are_reordered() -> None:
    assert sentence_indices(torch.tensor([[2, 0, 1], [5, 5, 3]]), beam_size=3, num_sentences=2) is None


def test_sentence_indices_after_dropping_a_sentence() -> None:
    kept = sentence_indices(torch.tensor([[3, 4], [8, 6]]), beam_size=3, num_sentences=3)
    assert kept is not None
    assert kept.tolist() == [1, 2]


def test_sentence_indices_after_repeating_sentences() -> None:
    kept = sentence_indices(torch.tensor([[0], [0], [1], [1]]), beam_size=1, num_sentences=2)
    assert kept is not None
    assert kept.tolist() == [0, 0, 1, 1]


@some_models
@pytest.mark.parametrize("precision", [None, "fp32", "int8", pytest.param("bf16", marks=needs_bf16)])
def test_model_of_some_target_tokens_predicts_like_the_whole(
    settings: Settings, precision: InferencePrecision | None
) -> None:
    model, target, tokens = new(settings), torch.randint(6, (9, 5)), torch.tensor([0, 1, 2, 3, 7, 11])
    if model.capabilities.copies:
        pytest.skip("copies words from outside the vocabulary")
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    encoder_output = model.encode(inputs(random_ids(9, 4), torch.tensor([4, 1, 3] * 3)))
    expected = model.logits(model.decode(encoder_output, DecoderInput(tokens[target]))).view(9, 5, VOCAB_SIZE)
    if precision is not None:
        model.prepare_for_inference(Backend(precision, keeps_rows=True))

    some = model.with_target_tokens(tokens)

    cache, steps = some.init_cache(encoder_output, 9), []
    for ids in target.split(1, dim=1):
        logits, cache = some.step(ids, cache)
        steps.append(logits)
    tolerance = 1e-5 if precision in (None, "fp32") else 0.2
    assert_close(torch.cat(steps, dim=1), expected[..., tokens], atol=tolerance, rtol=1e-4)
    assert some.vocabulary.target_size == 6
    assert some.vocabulary.special_tokens == model.vocabulary.special_tokens
    assert model.vocabulary.target_size == VOCAB_SIZE
    if precision is None:
        assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def new(settings: Settings) -> Model:
    torch.manual_seed(1)
    model = build(settings, VOCABULARY).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if not weight.any():  # biases are zero at first
                nn.init.normal_(weight, std=0.1)
    return model


def random_ids(*shape: int) -> Tensor:
    return torch.randint(VOCAB_SIZE, shape)


def pad(sources: list[Tensor]) -> ModelInputs:
    lengths = torch.tensor([source.size(1) for source in sources])
    longest = int(lengths.max())
    return inputs(torch.cat([functional.pad(source, (0, longest - source.size(1))) for source in sources]), lengths)


def teacher_forced_logits(model: Model, source: ModelInputs, target: Tensor) -> Tensor:
    logits = model.logits(model.decode(model.encode(source), DecoderInput(target)))
    return logits.view(*target.shape, VOCAB_SIZE)


def last_logits(model: Model, source: Tensor, prefixes: Tensor) -> Tensor:
    return torch.cat([teacher_forced_logits(model, inputs(source), prefix.unsqueeze(0))[:, -1] for prefix in prefixes])
