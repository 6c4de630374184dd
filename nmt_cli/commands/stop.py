"""nmt stop: stop the training of a run, which saves before it ends."""

import os
import signal
import time
from pathlib import Path

from nmt_cli.console import Reporter
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.locks import lock_holder
from nmt_cli.recipe.loading import recipe_or_none
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import read_summary

_POLL_SECONDS = 0.1


def stop(path: Path, reporter: Reporter) -> None:
    """Ask the process that trains in a run to save and end, and wait until it has ended.

    Args:
        path: A run, or a recipe for its run.

    Raises:
        ModelError: The path is not a run.
        ResourceError: The process runs on another machine or belongs to another user.
    """
    recipe = recipe_or_none(path)
    run = RunDirectory(path if recipe is None else recipe.run)
    if not run.summary.is_file():
        raise ModelError(f"{run.path}: is not a run; nmt train creates one")
    holder = lock_holder(run.lock)
    if holder is None:
        reporter.info(f"{run.path}: is not being trained ({read_summary(run).get('status', 'unknown')})")
        return
    if not holder.is_local:
        raise ResourceError(f"{run.path}: is trained by {holder}; run nmt stop on {holder.host}")
    try:
        os.kill(holder.process_id, signal.SIGTERM)
    except ProcessLookupError:
        pass  # ended meanwhile
    except PermissionError as error:
        raise ResourceError(f"{run.path}: {holder} belongs to another user, who can stop it") from error
    reporter.info(f"{run.path}: asked {holder} to save and end; waiting for it")
    while lock_holder(run.lock) == holder:
        time.sleep(_POLL_SECONDS)
    summary = read_summary(run)
    at = f" at update {summary['update']:,}" if isinstance(summary.get("update"), int) else ""
    reporter.info(f"{run.path}: {summary.get('status')}{at}")
