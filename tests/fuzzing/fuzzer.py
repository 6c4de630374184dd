"""Fuzz every loader of nmt: seeded changes of valid files, run in child processes.

    OMP_NUM_THREADS=1 nice .venv/bin/python tests/fuzzing/fuzzer.py --seconds 1800
    .venv/bin/python tests/fuzzing/fuzzer.py --case "TMX" 17     # one case again, with its traceback

A case is bad if a command ends with a traceback or with exit code 1, dies by a signal, or takes more than five seconds
of processor time, or sleeps for thirty seconds.
"""

import argparse
import importlib
import os
import pkgutil
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz_mutations import mutate
from fuzz_targets import TARGETS, build_world, run_command, sign

import nmt_cli

FINDINGS = Path(tempfile.gettempdir(), "nmt-fuzz-findings")
"""Keeps the folders of bad cases."""
_MAX_CPU_SECONDS, _MAX_SECONDS = 5, 30
_MAX_NEW_MEMORY = 3 * 10**9
"""Bytes that a case may allocate."""


@dataclass
class Findings:
    """Result of fuzzing."""

    cases: Counter[str] = field(default_factory=Counter)
    """By target."""
    bad: list[str] = field(default_factory=list)
    """A description of each bad case, with the arguments that repeat it."""

    def summary(self) -> str:
        """Return the number of cases by target, and the bad ones."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.cases.items())
        return f"{self.cases.total():,} cases ({counts}): {len(self.bad)} bad\n" + "\n".join(self.bad)


def fuzz(seconds: float, first_seed: int = 0, max_cases: int | None = None, names: list[str] | None = None) -> Findings:
    """Fuzz all targets, or some, for an equal part of the time each."""
    found = Findings()
    with tempfile.TemporaryDirectory(prefix="nmt-fuzz-") as folder:
        before = Path.cwd()
        os.chdir(folder)
        for module in pkgutil.walk_packages(nmt_cli.__path__, "nmt_cli."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)  # once, not in each child
        try:
            Path("world").mkdir()
            os.chdir("world")
            _in_child(build_world)
            os.chdir(folder)
            chosen = names or list(TARGETS)
            for name in chosen:
                _fuzz_target(name, found, first_seed, max_cases, time.monotonic() + seconds / len(chosen))
        finally:
            os.chdir(before)
    return found


def run_case(name: str, seed: int) -> None:
    """Change a file of the world in the working directory, and run the commands of the target."""
    target, random = TARGETS[name], Random(f"{name} {seed}")
    candidates = sorted(path for pattern in target.files for path in Path().glob(pattern) if path.is_file())
    path = random.choice(candidates)
    changed = mutate(path.read_bytes(), random)
    path.write_bytes(changed)
    if target.signed and random.random() < 0.5:
        sign(path)
    option = changed.replace(b"\0", b"").decode(errors="surrogateescape")
    for command in target.commands:
        code = run_command(command, option)
        if code not in (0, 2, 3, 4, 5, 6, 7):
            raise AssertionError(f"nmt {command}: exit code {code}")


def _in_child(function: object) -> None:
    process = os.fork()
    if not process:
        code = 1
        try:
            function()  # type: ignore[operator]
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        raise AssertionError("the valid files could not be made")


def _fuzz_target(name: str, found: Findings, seed: int, max_cases: int | None, deadline: float) -> None:
    end = None if max_cases is None else seed + max_cases
    while time.monotonic() < deadline and seed != end:
        reports, write_end = os.pipe()
        process = os.fork()
        if not process:
            os.close(reports)
            _work(name, seed, end, deadline, write_end)
        os.close(write_end)
        seed = _watch(process, reports, name, seed, found)
        os.close(reports)
        os.waitpid(process, 0)


def _work(name: str, seed: int, end: int | None, deadline: float, reports: int) -> None:
    """Run cases in this child process, each in a fresh copy of the world, and report `start` and `bad` lines."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (used + _MAX_NEW_MEMORY, used + _MAX_NEW_MEMORY))
    os.setpgid(0, 0)
    outer = Path.cwd()
    while time.monotonic() < deadline and seed != end:
        os.write(reports, f"start {seed}\n".encode())
        shutil.rmtree("case", ignore_errors=True)
        shutil.copytree("world", "case")
        os.chdir("case")
        try:
            run_case(name, seed)
        except BaseException as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            _keep(name, seed)
            message = f"{type(error).__name__}: {str(error)[:200]!r} at {frame.filename}:{frame.lineno}"
            os.write(reports, f"bad {seed} {message}\n".encode(errors="backslashreplace"))
        os.chdir(outer)
        seed += 1
    os._exit(0)


def _watch(process: int, reports: int, name: str, seed: int, found: Findings) -> int:
    """Record the reports of a child until it ends or hangs, and return the seed to go on with."""
    rest, cpu_started, cpu, progressed = b"", 0.0, 0.0, time.monotonic()
    while True:
        is_ready = select.select([reports], [], [], 0.5)[0]
        data = os.read(reports, 65536) if is_ready else b""
        if is_ready and not data:
            if rest or _was_killed(process):
                found.bad.append(f"{name!r} {seed}: the process died")
                _keep(name, seed)
            return seed + 1
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            kind, number, *message = line.decode().split(" ", 2)
            if kind == "start":
                seed, cpu_started, progressed = int(number), _cpu_seconds(process), time.monotonic()
                found.cases[name] += 1
            else:
                found.bad.append(f"{name!r} {number}: {message[0]}")
        if (now := _cpu_seconds(process)) > cpu:
            cpu, progressed = now, time.monotonic()
        if cpu - cpu_started > _MAX_CPU_SECONDS or time.monotonic() - progressed > _MAX_SECONDS:
            found.bad.append(f"{name!r} {seed}: hangs (after {cpu - cpu_started:.1f} s of processor time)")
            os.killpg(process, signal.SIGKILL)
            _keep(name, seed)
            return seed + 1


def _keep(name: str, seed: int) -> None:
    """Keep the folder of a bad case, which may depend on the time."""
    case = Path.cwd() if Path.cwd().name == "case" else Path("case").resolve()
    shutil.copytree(case, FINDINGS / f"{name} {seed}", dirs_exist_ok=True)


def _was_killed(process: int) -> bool:
    """Return whether an ended child was killed by a signal; it stays a zombie until it is waited for."""
    status = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    return status is not None and status.si_code != os.CLD_EXITED


def _cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _repeat(name: str, seed: int) -> None:
    """Repeat one case in a new folder, which stays."""
    os.chdir(tempfile.mkdtemp(prefix="nmt-fuzz-"))
    _in_child(build_world)
    print(f"{Path.cwd()}: {name!r}, seed {seed}", file=sys.stderr)
    run_case(name, seed)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--case", nargs=2, metavar=("TARGET", "SEED"))
    given = parser.parse_args()
    if given.case:
        _repeat(given.case[0], int(given.case[1]))
        return
    found = fuzz(given.seconds, given.seed, None, given.target)
    print(found.summary())
    sys.exit(bool(found.bad))


if __name__ == "__main__":
    main()
