"""Run a command on given cores and observe its time, memory and progress."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
"""Working directory of all commands, so that `python -m nmt_cli` is this checkout."""
_POLL = 0.02
_WARM_UP = 2
"""Reports that are ignored at the start, while kernels are selected and memory grows."""
_REPORTS = 3
"""Minimum number of reports in a measurement."""
_PATIENCE = 900.0
"""Timeout for a report in seconds."""


class ChildError(Exception):
    """A command failed or did not report in time. The message has the end of its log."""


@dataclass(frozen=True)
class Speed:
    """The measurement of a stretch of training."""

    tokens: int
    wall: float
    """Wall time in seconds."""
    cpu: float
    """Processor time of all processes of the command in seconds."""
    first_report: float
    """Wall time from the start of the process to its first report in seconds."""
    first_report_cpu: float
    """Processor time from the start to the first report in seconds."""
    peak_memory: int
    """Bytes: on a CPU the largest resident set (ru_maxrss) of a process, otherwise the memory in use on the GPU."""


@dataclass(frozen=True)
class _Moment:
    tokens: int
    wall: float
    cpu: float


class Child:
    """A command in its own session, pinned to `cores` with as many threads; output goes to `log`.

    A context: whatever happens inside, all its processes have ended afterwards.
    """

    def __init__(self, arguments: list[str], cores: str, log: Path) -> None:
        self.log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", cores, *arguments],
                cwd=REPOSITORY,
                env={**os.environ, **threads(count_cores(cores))},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.returncode is None:
            self.end()

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started

    def ended(self) -> bool:
        """Return whether the command has ended by itself, even if not yet reaped."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def cpu_seconds(self) -> float:
        """Return the processor time of all running processes of the session."""
        ticks = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) == self._process.pid:
                        ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self, kill: bool = True) -> int:
        """Wait for the command, after killing it if requested, and return its peak resident set in bytes."""
        if kill:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_maxrss * 1024

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def failure(self, what: str) -> ChildError:
        tail = self.log.read_text(errors="replace").strip().split("\n")[-8:]
        return ChildError(f"{what}; {self.log} ends with\n  " + "\n  ".join(tail))


class Journal:
    """Reads lines that a child appends to a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._place = path, 0

    def new_lines(self) -> list[str]:
        """Return complete lines since the last call; none while the file does not exist."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                found = file.read()
        except FileNotFoundError:
            return []
        whole = found[: found.rfind(b"\n") + 1]
        self._place += len(whole)
        return whole.decode(errors="replace").split("\n")[:-1]


def measure(child: Child, journal: Path, count: Callable[[str, int], int], seconds: float) -> Speed:
    """Measure a training for the given number of seconds, then end it."""
    lines, moments, memory = Journal(journal), [_Moment(0, 0.0, 0.0)], 0
    idle = device_memory()
    while len(moments) <= _WARM_UP + _REPORTS or moments[-1].wall - moments[_WARM_UP].wall < seconds:
        ended = child.ended()
        tokens = moments[-1].tokens
        for line in lines.new_lines():
            tokens = count(line, tokens)
        if tokens > moments[-1].tokens:
            moments.append(_Moment(tokens, child.seconds(), child.cpu_seconds()))
            memory = max(memory, device_memory() - idle)
        elif ended or child.seconds() - moments[-1].wall > _PATIENCE:
            raise child.failure("training ended too soon" if ended else f"no report in {_PATIENCE:.0f} s")
        time.sleep(_POLL)
    resident = child.end()
    first, last = moments[_WARM_UP], moments[-1]
    return Speed(
        tokens=last.tokens - first.tokens,
        wall=last.wall - first.wall,
        cpu=last.cpu - first.cpu,
        first_report=moments[1].wall,
        first_report_cpu=moments[1].cpu,
        peak_memory=memory or resident,
    )


def run(arguments: list[str], cores: str, log: Path) -> float:
    """Run a command and return its time in seconds. Raise ChildError if it fails."""
    with Child(arguments, cores, log) as child:
        child.end(kill=False)
        if child.exit_code:
            raise child.failure(f"{' '.join(arguments[:4])} … exited with {child.exit_code}")
        return child.seconds()


def count_cores(cores: str) -> int:
    """Count the cores in a list such as 0,2-3."""
    ranges = [part.partition("-") for part in cores.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


def device_memory() -> int:
    """Return the bytes in use on the first GPU; 0 without a GPU."""
    if shutil.which("nvidia-smi") is None:
        return 0
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout) * 2**20


def threads(number: int) -> dict[str, str]:
    """Return the environment variables that set the number of threads."""
    return {f"{library}_NUM_THREADS": str(number) for library in ("OMP", "MKL", "OPENBLAS")}
