"""Count the code that one line passes through in `nmt translate`: files, functions and frames.

    python benchmarks/translate_path.py MODEL "a line" [-- options of nmt translate]

Prints how many files and functions of `nmt_cli` run between the command line and the last byte of output, without
loading the model and within the translation of the window alone, and the stack between the window and the search.
"""

import inspect
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import nmt_cli
from nmt_cli import cli

_PACKAGE = str(Path(nmt_cli.__file__).parent)
_LOAD, _WINDOW, _SEARCH = "load_model", "translate_window", "beam_search"


class Trace:
    """Records each function of the package that is called, and the stack when search begins."""

    def __init__(self) -> None:
        self.called = set[CodeType]()
        self.called_after_loading = set[CodeType]()
        self.called_in_window = set[CodeType]()
        self.stack = list[str]()

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event != "call" or not _is_function(code):
            return
        self.called.add(code)
        frames = list(_frames(frame))
        names = [each.co_name for each in frames]
        if _LOAD not in names:
            self.called_after_loading.add(code)
        if _WINDOW in names:
            self.called_in_window.add(code)
        if code.co_name == _SEARCH and not self.stack:
            between = frames[1 : names.index(_WINDOW)]
            self.stack = [f"{_relative(each)}:{each.co_qualname}" for each in reversed(between)]


def _is_function(code: CodeType) -> bool:
    """Return whether the code is a function of the package, not the body of a module, class or comprehension."""
    is_named = bool(code.co_flags & inspect.CO_OPTIMIZED) and not code.co_name.startswith("<")
    return is_named and code.co_filename.startswith(_PACKAGE)


def _frames(frame: FrameType | None) -> Iterator[CodeType]:
    """Yield the code of the frames of the package, innermost first."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            yield frame.f_code
        frame = frame.f_back


def _relative(code: CodeType) -> str:
    return code.co_filename.removeprefix(_PACKAGE + "/")


def _report(title: str, called: set[CodeType]) -> None:
    print(f"{title}: {len({code.co_filename for code in called})} files, {len(called)} functions")


def main() -> None:
    """Translate the line from stdin to stdout in this process, and print what ran."""
    model, line, *options = [argument for argument in sys.argv[1:] if argument != "--"]
    trace = Trace()
    with tempfile.TemporaryFile() as source:
        source.write(f"{line}\n".encode())
        source.seek(0)
        os.dup2(source.fileno(), 0)
        sys.argv = ["nmt", "translate", model, *options]
        sys.setprofile(trace)
        try:
            cli.app(standalone_mode=False)
        finally:
            sys.setprofile(None)
    _report("command", trace.called)
    _report("command without load_model", trace.called_after_loading)
    _report("window", trace.called_in_window)
    print(f"frames between {_WINDOW} and {_SEARCH}: {len(trace.stack)}")
    for each in trace.stack:
        print(f"  {each}")


if __name__ == "__main__":
    main()
