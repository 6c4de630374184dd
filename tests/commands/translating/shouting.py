"""What answers without a model, by upper case; in a module of its own, which worker processes can import.

Some words are orders, so that a test can say what shall happen to which line.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nmt_cli import console
from nmt_cli.commands.translating.workers import TranslateFn, Window, WindowResult
from nmt_cli.decoding.results import TranslationStats
from nmt_cli.errors import ModelError


def shout(window: Window, on_progress: Callable[[int], object]) -> WindowResult:
    """Obey each line, and answer the window."""
    for number, request in enumerate(window.requests, window.first_line):
        match request.text:
            case "slow":
                time.sleep(0.3)
            case "forever":
                time.sleep(1000)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "bug":
                raise ZeroDivisionError
            case "mistake":
                raise ModelError(f"line {number}: is a mistake")
            case "print":
                os.write(1, b"noise of a library\n")
            case "warn":
                console.warn(f"line {number}: is odd")
    on_progress(len(window.requests))
    lines = "".join(f"{request.text.upper()}\n" for request in window.requests)
    return WindowResult(lines.encode(), TranslationStats(len(window.requests)))


@dataclass(frozen=True)
class Shouting:
    """Takes the place of `TranslatorFactory`."""

    options: Any = None
    format: str = "text"

    def __call__(self, index: int = 0, count: int = 1) -> TranslateFn:
        console.warn("this model shouts")
        return shout
