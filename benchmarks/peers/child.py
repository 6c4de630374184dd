"""Runs a command on given cores and watches its time, its memory and its progress."""

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
"""Where all commands run, so that `python -m nmt_cli` is this checkout's."""
_POLL = 0.02
_WARM_UP = 2
"""Reports that are not counted: kernels are chosen and memory grows."""
_REPORTS = 3
"""Fewest reports that make a measurement."""
_PATIENCE = 900.0
"""Longest wait for a report, in seconds."""


class ChildError(Exception):
    """A command failed, or did not report in time; with the end of its log."""


@dataclass(frozen=True)
class Speed:
    """One measured stretch of training."""

    tokens: int
    wall: float
    """Seconds it took."""
    cpu: float
    """Seconds of processor time that all processes of the command used for it."""
    first_report: float
    """Seconds from the start of the process to its first report."""
    first_report_cpu: float
    """The same in seconds of processor time."""
    peak_memory: int
    """Bytes: on a CPU the largest resident set (ru_maxrss) of a process, else what the GPU's driver saw in use."""


@dataclass(frozen=True)
class _Moment:
    tokens: int
    wall: float
    cpu: float


class Child:
    """A started command, in a session of its own, pinned to `cores` with as many threads; output goes to `log`.

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
        """Since the start."""
        return time.monotonic() - self.started

    def ended(self) -> bool:
        """Whether the command has ended by itself; it may not have been reaped."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def cpu_seconds(self) -> float:
        """Processor time used so far by all processes of the command's session that still run."""
        ticks = 0
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) == self._process.pid:
                        ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self, kill: bool = True) -> int:
        """Wait for the command, ending it first if told so; its largest resident set, in bytes."""
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
    """The lines that a child has added to a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._place = path, 0

    def new_lines(self) -> list[str]:
        """Whole lines since last asked; none while there is no file."""
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
    """Watch a training until it has been measured for so many seconds, then end it."""
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
    """Run a command to its end, and say how many seconds it took; ChildError if it fails."""
    with Child(arguments, cores, log) as child:
        child.end(kill=False)
        if child.exit_code:
            raise child.failure(f"{' '.join(arguments[:4])} … exited with {child.exit_code}")
        return child.seconds()


def count_cores(cores: str) -> int:
    """How many a list such as 0,2-3 names."""
    ranges = [part.partition("-") for part in cores.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


def device_memory() -> int:
    """Bytes in use on the first GPU, by all; 0 if there is none."""
    if shutil.which("nvidia-smi") is None:
        return 0
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    return int(subprocess.run(query, capture_output=True, text=True, check=True).stdout) * 2**20


def threads(number: int) -> dict[str, str]:
    """What tells libraries, in the environment, how many to use."""
    return {f"{library}_NUM_THREADS": str(number) for library in ("OMP", "MKL", "OPENBLAS")}
