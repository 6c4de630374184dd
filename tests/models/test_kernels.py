"""Linear layers against torch's, in training and prepacked, and dropout."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.devices import has_fast_bf16
from nmt_cli.errors import RecipeError
from nmt_cli.models import kernels
from nmt_cli.models.kernels import Backend, Dropout, InferencePrecision, Linear, dropout, int8, linear

needs_bf16 = pytest.mark.skipif(not has_fast_bf16(torch.device("cpu")), reason="a processor that multiplies bf16")

INPUT_STEP = 1 if torch.cpu._is_vnni_supported() else 2
"""Without these instructions, int8 products take inputs of seven bits, whose steps are twice as wide."""


@pytest.fixture(params=[True, False], ids=["onednn", "mkl"])
def either_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of any size are oneDNN's, or none is."""
    monkeypatch.setattr(kernels, "_MKL_IS_SLOW", request.param)
    monkeypatch.setattr(kernels, "_MAX_FEW_MULTIPLICATIONS", 0)


@pytest.mark.usefixtures("either_library")
@pytest.mark.parametrize("shape", [(7, 6), (3, 5, 6), (1, 6), (0, 6), (2, 1, 4, 6)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_linear_values_and_gradients_match_torch(shape: tuple[int, ...], has_bias: bool) -> None:
    torch.manual_seed(1)
    inputs, weight = torch.randn(shape, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    given = [inputs, weight, *([torch.randn(4, requires_grad=True)] if has_bias else [])]
    ours, theirs = linear(*given), functional.linear(*given)
    assert_close(ours, theirs)
    change = torch.randn_like(ours)
    assert_close(torch.autograd.grad(ours, given, change), torch.autograd.grad(theirs, given, change))


@pytest.mark.usefixtures("either_library")
@pytest.mark.parametrize("learning", [0, 1, 2])
def test_linear_gradients_only_where_required(learning: int) -> None:
    given = [torch.randn(8, 6), torch.randn(4, 6), torch.randn(4)]
    given[learning].requires_grad_()
    linear(*given).sum().backward()
    assert [part.grad is not None for part in given] == [place == learning for place in range(3)]


@pytest.mark.usefixtures("either_library")
def test_linear_accepts_any_strides() -> None:
    inputs, weight = torch.randn(6, 9, 5).transpose(0, 2), torch.randn(6, 4).t()
    assert_close(linear(inputs, weight), functional.linear(inputs, weight))


@pytest.mark.usefixtures("either_library")
def test_linear_follows_autocast() -> None:
    layer, inputs = Linear(6, 4), torch.randn(8, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(inputs).dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(1, 64), (7, 64), (3, 5, 64)])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("fp32", 1e-5), pytest.param("bf16", 0.03, marks=needs_bf16), ("int8", 0.04 * INPUT_STEP)],
)
@torch.inference_mode()
def test_prepacked_linear_matches_torch(
    shape: tuple[int, ...], relu: bool, has_bias: bool, precision: InferencePrecision, tolerance: float
) -> None:
    torch.manual_seed(1)
    inputs, weight, bias = torch.randn(shape), torch.randn(48, 64) / 8, torch.randn(48) if has_bias else None
    expected = functional.linear(inputs, weight, bias)
    found = Backend(precision).linear(weight, bias, relu)(inputs)
    assert found.dtype == torch.float32
    assert_close(found, expected.relu() if relu else expected, atol=tolerance, rtol=tolerance)


@torch.inference_mode()
def test_wide_layer_is_quantised_accurately() -> None:
    torch.manual_seed(1)
    inputs, weight, tolerance = torch.randn(40, 16), torch.randn(5000, 16) / 4, 0.05 * INPUT_STEP
    assert_close(Backend("int8").linear(weight)(inputs), functional.linear(inputs, weight), atol=tolerance, rtol=0.05)


@torch.inference_mode()
def test_int8_weights_have_a_scale_per_output() -> None:
    torch.manual_seed(1)
    inputs, weight = torch.randn(4, 16), torch.randn(3, 16) * torch.tensor([[1e-4], [1.0], [0.0]])
    expected = functional.linear(inputs, weight)
    error = (Backend("int8").linear(weight)(inputs) - expected).abs().amax(0)
    assert error[0] < 1e-5
    assert error[2] == 0


def test_quantising_restores_the_engine() -> None:
    before = torch.backends.quantized.engine
    Backend("int8").linear(torch.ones(4, 4))
    assert torch.backends.quantized.engine == before


def test_int8_without_an_engine_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "_ENGINES", ())
    with pytest.raises(RecipeError, match=r"decoding\.precision"):
        Backend("int8")


@pytest.mark.parametrize("has_amx", [False, True])
@pytest.mark.parametrize("rows", [1, int8._MIN_TILE_ROWS - 1, int8._MIN_TILE_ROWS])
def test_all_engines_quantise_alike(rows: int, has_amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "_HAS_AMX", has_amx)
    inputs, weight, bias = torch.randn(rows, 64), torch.randn(48, 64), torch.randn(48)
    expected = functional.linear(inputs, weight, bias).relu()
    found = int8.quantized(weight, bias, relu=True)(inputs)
    assert_close(found, expected, atol=0.5, rtol=0.0)


def test_lazily_quantised_weight_is_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    packed, product = list[str](), int8._product
    monkeypatch.setattr(int8, "_HAS_AMX", True)
    monkeypatch.setattr(int8, "_product", lambda engine, *given: packed.append(engine) or product(engine, *given))
    inputs, weight, bias = torch.randn(20, 64), torch.randn(48, 64), torch.randn(48)
    multiply = int8.lazily_quantized(weight, bias)
    assert torch.equal(multiply(inputs[:1]), functional.linear(inputs[:1], weight, bias))
    assert packed == []
    for _ in range(2):
        assert_close(multiply(inputs), functional.linear(inputs, weight, bias), atol=0.5, rtol=0.0)
    assert len(packed) == 1
    int8.quantized(weight, bias)
    assert len(packed) == 3


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_zeroes_values_at_its_rate(rate: float) -> None:
    torch.manual_seed(1)
    values = dropout(torch.ones(1000, 1000), rate)
    assert abs((values == 0).float().mean().item() - rate) < 0.002
    assert abs(values.mean().item() - 1) < 0.01


def test_dropout_rate_is_equal_at_all_positions_of_a_draw() -> None:
    torch.manual_seed(1)
    places = (dropout(torch.ones(100_000, 4), 0.1) == 0).float().mean(0)
    assert_close(places, torch.full((4,), 0.1), atol=0.005, rtol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_scales_kept_values_and_gradients(dtype: torch.dtype) -> None:
    values = torch.randn(33, 7, dtype=dtype, requires_grad=True)
    dropped = dropout(values, 0.25)
    dropped.sum().backward()
    kept = dropped != 0
    assert dropped.dtype == dtype
    assert_close(dropped, torch.where(kept, values * (4 / 3), 0))
    assert_close(values.grad, torch.where(kept, 4 / 3, 0).to(dtype))


def test_seed_determines_dropout() -> None:
    values, module = torch.ones(50), Dropout(0.5)
    torch.manual_seed(3)
    first, other = module(values), module(values)
    torch.manual_seed(3)
    assert torch.equal(module(values), first)
    assert not torch.equal(first, other)


def test_dropout_is_off_in_evaluation() -> None:
    values = torch.randn(50)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0).train()(values) is values


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (5,)])
def test_dropout_of_any_shape(shape: tuple[int, ...]) -> None:
    assert dropout(torch.ones(shape), 0.5).shape == shape


def test_dropout_rates_near_zero_and_one_are_finite() -> None:
    assert dropout(torch.ones(1000), 1 - 1e-9).isfinite().all()
    assert_close(dropout(torch.ones(8), 1e-9).max(), torch.tensor(1.0), atol=1e-4, rtol=0.0)
