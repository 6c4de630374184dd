"""What every program that decodes does: load, say that it is ready, then decode whatever it is asked to.

It needs nothing but Python, since it runs in the environments of all toolkits. Questions come as lines of JSON on
stdin, answers go as such to stdout; whatever a toolkit prints goes to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAD, UNKNOWN, START, END = range(4)
"""Numbers of the special tokens, everywhere."""

Rows = list[list[int]]
Decode = Callable[[Rows, int, int], None]
"""Decodes sources, each ending with END, with a beam into translations of exactly so many tokens, the end counted."""


def serve(load: Callable[[dict[str, Any]], Decode]) -> None:
    """Answer until stdin ends; `load` makes what decodes from the settings in the file named on the command line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    settings = json.loads(Path(sys.argv[1]).read_text())
    sentences: Rows = json.loads(Path(settings["sentences"]).read_text())
    decode = load(settings)
    _say(answers, time.monotonic(), 0.0)  # of the processor, since the process began
    for line in sys.stdin:
        asked = json.loads(line)
        batches = [
            ([sentences[number] for number in batch["sentences"]], batch["length"]) for batch in asked["batches"]
        ]
        wall, cpu = time.monotonic(), time.process_time()
        for rows, length in batches:
            decode(rows, length, asked["beam"])
        _say(answers, wall, cpu)


def _say(answers: Any, wall: float, cpu: float) -> None:
    """What was used since these moments; the memory is the most so far."""
    passed = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu, "memory": _peak_memory()}
    answers.write(json.dumps(passed) + "\n")
    answers.flush()


def _peak_memory() -> int:
    """Bytes of the largest resident set of this program; not ru_maxrss, which knows that of its parent, too."""
    peak = next(line for line in Path("/proc/self/status").read_text().split("\n") if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024
