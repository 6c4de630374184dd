"""nmt stop: stop the training of a run, which saves before it ends."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from nmt_cli import files
from nmt_cli.console import Reporter
from nmt_cli.errors import ModelError
from nmt_cli.locks import LockHolder, lock_holder
from nmt_cli.recipe.loading import recipe_or_none
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import read_summary

_POLL_SECONDS = 0.1


def stop(path: Path, reporter: Reporter) -> None:
    """Ask the process that trains in a run to save and end, and wait until it has done so.

    The request is a file in the run, which training looks for after each update, so that it reaches other machines and
    other users' processes. On this machine, a signal also ends a process that has not begun to train.

    Args:
        path: A run, or a recipe for its run.

    Raises:
        ModelError: The path is not a run.
        ResourceError: The file cannot be written.
    """
    recipe = recipe_or_none(path)
    run = RunDirectory(path if recipe is None else recipe.run)
    if not run.summary.is_file():
        raise ModelError(f"{run.path}: is not a run; nmt train creates one")
    holder = lock_holder(run.lock)
    if holder is None:
        reporter.info(f"{run.path}: is not being trained ({_status(run)})")
        return
    _request_stop(run)
    if holder.is_local:
        with suppress(ProcessLookupError, PermissionError):  # ended meanwhile, or of another user
            os.kill(holder.process_id, signal.SIGTERM)
    reporter.info(f"{run.path}: asked {holder} to save and end; waiting for it")
    while _is_training(run, holder):
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


def _status(run: RunDirectory) -> str:
    return str(read_summary(run).get("status", "unknown"))
