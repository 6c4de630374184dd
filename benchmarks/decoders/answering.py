"""The common loop of all decoding servers: load, report readiness, then decode on request.

It needs only Python, as it runs in the environments of all toolkits. Requests are lines of JSON on stdin, answers go as
such to stdout; output of the toolkits goes to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAD, UNKNOWN, START, END = range(4)
"""Ids of the special tokens in all requests."""

Rows = list[list[int]]
Decode = Callable[[Rows, int, int], None]
"""Decodes sources (ending with END) with a beam size into translations of exactly `length` tokens, eos included."""


def serve(load: Callable[[dict[str, Any]], Decode]) -> None:
    """Answer requests until stdin ends. `load` creates the decoder from the settings file named on the command line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    settings = json.loads(Path(sys.argv[1]).read_text())
    sentences: Rows = json.loads(Path(settings["sentences"]).read_text())
    decode = load(settings)
    _send(answers, time.monotonic(), 0.0)  # processor time since the process started
    for line in sys.stdin:
        asked = json.loads(line)
        batches = [
            ([sentences[number] for number in batch["sentences"]], batch["length"]) for batch in asked["batches"]
        ]
        wall, cpu = time.monotonic(), time.process_time()
        for rows, length in batches:
            decode(rows, length, asked["beam"])
        _send(answers, wall, cpu)


def _send(answers: Any, wall: float, cpu: float) -> None:
    """Send the time since these moments and the peak memory so far."""
    passed = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu, "memory": _peak_memory()}
    answers.write(json.dumps(passed) + "\n")
    answers.flush()


def _peak_memory() -> int:
    """Return the peak resident set in bytes. Not ru_maxrss, which includes that of the parent."""
    peak = next(line for line in Path("/proc/self/status").read_text().split("\n") if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024
