"""Our linear layer against torch's, value and gradients."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.devices import has_fast_bf16
from nmt_cli.errors import RecipeError
from nmt_cli.models import kernels
from nmt_cli.models.kernels import Backend, InferencePrecision, Linear, linear

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
def test_values_and_gradients_are_those_of_torch(shape: tuple[int, ...], has_bias: bool) -> None:
    torch.manual_seed(1)
    inputs, weight = torch.randn(shape, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    given = [inputs, weight, *([torch.randn(4, requires_grad=True)] if has_bias else [])]
    ours, theirs = linear(*given), functional.linear(*given)
    assert_close(ours, theirs)
    change = torch.randn_like(ours)
    assert_close(torch.autograd.grad(ours, given, change), torch.autograd.grad(theirs, given, change))


@pytest.mark.usefixtures("either_library")
@pytest.mark.parametrize("learning", [0, 1, 2])
def test_only_what_learns_gets_a_gradient(learning: int) -> None:
    given = [torch.randn(8, 6), torch.randn(4, 6), torch.randn(4)]
    given[learning].requires_grad_()
    linear(*given).sum().backward()
    assert [part.grad is not None for part in given] == [place == learning for place in range(3)]


@pytest.mark.usefixtures("either_library")
def test_strides_do_not_matter() -> None:
    inputs, weight = torch.randn(6, 9, 5).transpose(0, 2), torch.randn(6, 4).t()
    assert_close(linear(inputs, weight), functional.linear(inputs, weight))


@pytest.mark.usefixtures("either_library")
def test_autocast_is_obeyed() -> None:
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
def test_packed_layers_give_what_torch_gives(
    shape: tuple[int, ...], relu: bool, has_bias: bool, precision: InferencePrecision, tolerance: float
) -> None:
    torch.manual_seed(1)
    inputs, weight, bias = torch.randn(shape), torch.randn(48, 64) / 8, torch.randn(48) if has_bias else None
    expected = functional.linear(inputs, weight, bias)
    found = Backend(precision).linear(weight, bias, relu)(inputs)
    assert found.dtype == torch.float32
    assert_close(found, expected.relu() if relu else expected, atol=tolerance, rtol=tolerance)


@torch.inference_mode()
def test_a_layer_as_wide_as_a_vocabulary_is_quantised_alike() -> None:
    torch.manual_seed(1)
    inputs, weight, tolerance = torch.randn(40, 16), torch.randn(5000, 16) / 4, 0.05 * INPUT_STEP
    assert_close(Backend("int8").linear(weight)(inputs), functional.linear(inputs, weight), atol=tolerance, rtol=0.05)


@torch.inference_mode()
def test_each_output_has_a_scale_of_its_own() -> None:
    torch.manual_seed(1)
    inputs, weight = torch.randn(4, 16), torch.randn(3, 16) * torch.tensor([[1e-4], [1.0], [0.0]])
    expected = functional.linear(inputs, weight)
    error = (Backend("int8").linear(weight)(inputs) - expected).abs().amax(0)
    assert error[0] < 1e-5
    assert error[2] == 0


def test_quantising_leaves_torch_as_it_was() -> None:
    before = torch.backends.quantized.engine
    Backend("int8").linear(torch.ones(4, 4))
    assert torch.backends.quantized.engine == before


def test_a_processor_without_int8_products_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_ENGINES", ())
    with pytest.raises(RecipeError, match=r"decoding\.precision"):
        Backend("int8")
