"""A simulated CUDA device, for tests of device placement on machines without a GPU.

A tensor "on cuda" is a `CudaTensor`: its values are in an ordinary CPU tensor, but its `device` is cuda:0. As on a GPU,

- an operation on both a `CudaTensor` and a CPU tensor with dimensions raises (`MixedDevicesError`);
- the host waits for the device in `item()`, `tolist()`, `cpu()`, `bool()`, `nonzero()`, boolean indexing, copies from
  pageable memory and the like. These synchronisations are counted by the line of the package that asks for them.

Speed, kernels, streams and memory are not simulated. Autograd cannot run, because torch asks for a CUDA device guard in
C++: in `without_autograd`, `backward()` sets gradients of zero instead, and the loop around it is real.

    with simulated_cuda() as device, without_autograd(parameters):
        train(...)
    assert device.synchronisations_in("training/loop.py") <= num_updates
"""

import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

import nmt_cli

CUDA = torch.device("cuda", 0)
PACKAGE = f"{Path(nmt_cli.__file__).parent}/"
_WAITS = ("_local_scalar_dense", "is_nonzero", "item", "equal", "nonzero", "_unique", "unique", "masked_select")
"""Operations whose result the host needs, by the beginning of their names."""
_INDEXING = ("index.", "index_put", "_index_put", "_unsafe_index")


class MixedDevicesError(RuntimeError):
    """An operation takes tensors of both devices, which fails on a GPU."""


class SimulatedDevice:
    """What happened on the device, by file and line of the package."""

    def __init__(self) -> None:
        self.synchronisations: Counter[str] = Counter()
        self.has_work = False
        """Whether anything was computed since the last synchronisation; without, there is nothing to wait for."""

    def synchronise(self, reason: str) -> None:
        if self.has_work:
            self.synchronisations[f"{_caller()} ({reason})"] += 1
        self.has_work = False

    def synchronisations_in(self, *paths: str) -> int:
        """Number of synchronisations that files whose paths begin so asked for; of all files without an argument."""
        return sum(count for line, count in self.synchronisations.items() if not paths or line.startswith(paths))


_device = SimulatedDevice()


def _caller() -> str:
    """The innermost line of the package that is being executed."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    if frame is None:
        return "outside the package"
    path = frame.f_code.co_filename
    return f"{path.removeprefix(PACKAGE)}:{frame.f_lineno} {linecache.getline(path, frame.f_lineno).strip()}"


class CudaTensor(Tensor):
    """A tensor on the simulated device; `values` holds its values."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> "CudaTensor":
        made: CudaTensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            layout=values.layout,
            requires_grad=False,
            device=CUDA,
        )
        made.values = values
        return made

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})

    def __getitem__(self, index: Any) -> Any:
        for each in tree_flatten(index)[0]:
            if isinstance(each, CudaTensor):
                if each.dtype == torch.bool:
                    _device.synchronise("boolean index")
            elif isinstance(each, Tensor) and each.dim():
                _device.synchronise("index on the CPU")
        return CudaTensor(self.values[tree_map(_values, index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Tensor) and not isinstance(value, CudaTensor) and value.dim():
            raise MixedDevicesError(f"value on the CPU: {_caller()}")
        self.values[tree_map(_values, index)] = _values(value)

    def copy_(self, source: Any, non_blocking: bool = False) -> Any:
        if isinstance(source, Tensor) and not isinstance(source, CudaTensor) and source.dim() and not non_blocking:
            _device.synchronise("copy from the CPU")
        self.values.copy_(_values(source))
        return self

    def nonzero(self, **options: Any) -> Any:
        _device.synchronise("nonzero")
        return tree_map(_on_device, self.values.nonzero(**options))

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert a CUDA tensor to numpy: {_caller()}")

    __array__ = numpy

    def __invert__(self) -> Any:
        return torch.bitwise_not(self)

    def __repr__(self, **_: Any) -> str:
        return f"CudaTensor({self.values})"


def _waiting(name: str) -> Callable[[CudaTensor], Any]:
    def method(self: CudaTensor) -> Any:
        _device.synchronise(name)
        return getattr(self.values, name)()

    return method


for _name in ("item", "tolist", "__float__", "__int__", "__bool__", "__index__"):
    setattr(CudaTensor, _name, _waiting(_name))


def _values(item: Any) -> Any:
    return item.values if isinstance(item, CudaTensor) else item


def _on_device(item: Any) -> Any:
    return CudaTensor(item) if isinstance(item, Tensor) and not isinstance(item, CudaTensor) else item


def _device_argument(args: Any, kwargs: Any) -> torch.device | None:
    """The device that an operation is asked for, if any."""
    return next((each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.device)), None)


def _on_cpu(item: Any) -> Any:
    return torch.device("cpu") if isinstance(item, torch.device) else _values(item)


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the values; wrap its result if it is on the device."""
    name, tensors = operation.__name__, [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    has_cuda = any(isinstance(each, CudaTensor) for each in tensors)
    is_copy = name.startswith(("_to_copy", "to.", "copy_"))
    if has_cuda and name.startswith((*_WAITS, "repeat_interleave.Tensor")):
        _device.synchronise(name)
    if has_cuda and not is_copy:
        _refuse_mixed(name, args, [each for each in tensors if not isinstance(each, CudaTensor) and each.dim()])
    target = _device_argument(args, kwargs)
    alias = operation._schema.returns[0].alias_info if operation._schema.returns else None
    is_view = alias is not None and not alias.is_write
    if has_cuda and not is_copy and not is_view:
        _device.has_work = True
    result = operation(*tree_map(_on_cpu, args), **tree_map(_on_cpu, kwargs))
    if name.startswith("copy_"):
        if not isinstance(args[0], CudaTensor) and has_cuda and args[1].dim():
            _device.synchronise("copy to the CPU")
        return args[0]
    if target is None:
        target = args[0].device if is_copy else CUDA if has_cuda else torch.device("cpu")
    if is_copy and isinstance(args[0], CudaTensor) and target.type == "cpu":
        _device.synchronise("copy to the CPU")
    if target.type == "cpu":
        return result
    if alias is not None and alias.is_write:
        return kwargs.get("out", args[0])  # in place: the same object
    return tree_map(_on_device, result)


def _refuse_mixed(name: str, args: Any, on_cpu: list[Tensor]) -> None:
    """Raise unless all CPU tensors are indices into a tensor on the device, which are copied there."""
    is_index = name.startswith(_INDEXING) and all(each.dtype in (torch.long, torch.bool) for each in on_cpu)
    if on_cpu and is_index and isinstance(args[0], CudaTensor):
        _device.synchronise("index on the CPU")
    elif on_cpu:
        raise MixedDevicesError(f"{name} takes tensors of both devices: {_caller()}")


class _Dispatch(TorchDispatchMode):
    """Runs operations that make or take tensors on the device."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = _device_argument(args, kwargs)
        if (device is not None and device.type == "cuda") or any(
            isinstance(each, CudaTensor) for each in tree_flatten((args, kwargs))[0]
        ):
            return _run(operation, args, kwargs)
        return operation(*args, **kwargs)


def _made_on(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function such as torch.tensor, which builds its result in C++ where no dispatch mode sees it."""

    def made(data: Any, *args: Any, device: Any = None, **options: Any) -> Tensor:
        if device is not None and torch.device(device).type == "cuda":
            return make(data, *args, **options).to(device)
        return make(data, *args, **options)

    return made


def _enter_no_grad(mode: Any) -> None:
    mode.no_grad = torch.no_grad()
    mode.no_grad.__enter__()


def _exit_no_grad(mode: Any, *error: Any) -> None:
    mode.no_grad.__exit__(*error)


_CUDA_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_lazy_init": lambda: None,
    "manual_seed": lambda seed: None,
    "is_available": lambda: True,
    "device_count": lambda: 1,
    "set_device": lambda device: None,
    "synchronize": lambda device=None: None,
    "empty_cache": lambda: None,
    "get_device_name": lambda device=None: "simulated",
    "get_device_capability": lambda device=None: (9, 0),
    "is_bf16_supported": lambda *_, **__: True,
    "max_memory_allocated": lambda device=None: 2**20,
    "reset_peak_memory_stats": lambda device=None: None,
}


@contextmanager
def simulated_cuda() -> Iterator[SimulatedDevice]:
    """Make torch see one CUDA device within the context; yield what happens on it."""
    global _device
    _device = SimulatedDevice()
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as patches:
        for name, function in _CUDA_FUNCTIONS.items():
            patches.enter_context(mock.patch.object(torch.cuda, name, function))
        # Inference tensors cannot be wrapped. Patched here because decorators have kept the class.
        patches.enter_context(mock.patch.object(torch.inference_mode, "__enter__", _enter_no_grad))
        patches.enter_context(mock.patch.object(torch.inference_mode, "__exit__", _exit_no_grad))
        for name in ("tensor", "as_tensor"):
            patches.enter_context(mock.patch.object(torch, name, _made_on(getattr(torch, name))))
        patches.enter_context(mock.patch.object(Tensor, "pin_memory", lambda self, *_: self))
        patches.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        patches.enter_context(_Dispatch())
        yield _device


@contextmanager
def without_autograd(parameters: Callable[[], Iterable[Tensor]]) -> Iterator[None]:
    """Compute no gradients within the context: `backward()` gives each of the parameters one of zero."""

    def backward(self: Tensor, *_: Any, **__: Any) -> None:
        for parameter in parameters():
            parameter.grad = torch.zeros_like(parameter)

    with torch.no_grad(), mock.patch.object(Tensor, "backward", backward):
        yield
