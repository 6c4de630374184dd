"""nmt stop: stop the training of a run, which saves before it ends."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from nmt_cli import files
from nmt_cli.console import Reporter, duration
from nmt_cli.errors import ModelError, RunInUseError
from nmt_cli.locks import LockHolder, lock_holder
from nmt_cli.recipe.loading import recipe_or_none
from nmt_cli.runs.directory import RunDirectory, not_a_run
from nmt_cli.runs.journal import read_summary

_POLL_SECONDS = 0.1
_MIN_SECONDS = 5.0
"""Time that a process on another machine has to answer, however long it has been silent."""
SILENCE_SECONDS = 600.0
"""Silence after which a process on another machine is taken for dead: more than most validations take."""


def stop(path: Path, reporter: Reporter, silence_seconds: float = SILENCE_SECONDS) -> None:
    """Ask the process that trains in a run to save and end, and wait until it has done so.

    The request is a file in the run, which training looks for after each update, so that it reaches other machines and
    other users' processes. On this machine, a signal also ends a process that has not begun to train.

    Args:
        path: A run, or a recipe for its run.
        silence_seconds: Stop waiting for a process on another machine if it has written nothing for this time.

    Raises:
        ModelError: The path is not a run.
        RunInUseError: A process on another machine does not answer. The request stays.
        ResourceError: The file cannot be written.
    """
    recipe = recipe_or_none(path)
    run = RunDirectory(path if recipe is None else recipe.run)
    if not run.summary.is_file():
        raise ModelError(f"{run.path}: {not_a_run(run.path)}")
    holder = lock_holder(run.lock)
    if holder is None:
        reporter.info(f"{run.path}: is not being trained ({_status(run)})")
        return
    _request_stop(run)
    if holder.is_local:
        with suppress(ProcessLookupError, PermissionError):  # ended meanwhile, or of another user
            os.kill(holder.process_id, signal.SIGTERM)
    reporter.info(f"{run.path}: asked {holder} to save and end; waiting for it")
    began = time.monotonic()
    while _is_training(run, holder):
        silence = _silence(run)
        if not holder.is_local and silence > silence_seconds and time.monotonic() - began >= _MIN_SECONDS:
            raise RunInUseError(
                f"{run.path}: {holder} has written nothing for {duration(silence)}; if it still lives, it will stop"
                f" after its next update; if it has died, remove {run.lock}"
            )
        _request_stop(run)  # again, as a process that has just started removes earlier requests
        time.sleep(_POLL_SECONDS)
    summary = read_summary(run)
    at = f" at update {summary['update']:,}" if isinstance(summary.get("update"), int) else ""
    reporter.info(f"{run.path}: {summary.get('status')}{at}")


def _request_stop(run: RunDirectory) -> None:
    if not run.stop_request.exists():
        with files.new_file(run.stop_request):
            pass


def _is_training(run: RunDirectory, holder: LockHolder) -> bool:
    """Return whether the process still trains. One on another machine is known only by what it writes."""
    return lock_holder(run.lock) == holder and (holder.is_local or _status(run) == "running")


def _silence(run: RunDirectory) -> float:
    """Return the seconds since the process that trains in a run last wrote something."""
    written = [path.stat().st_mtime for path in (run.metrics, run.log, run.summary, run.checkpoints) if path.exists()]
    return time.time() - max(written, default=0.0)


def _status(run: RunDirectory) -> str:
    return str(read_summary(run).get("status", "unknown"))
