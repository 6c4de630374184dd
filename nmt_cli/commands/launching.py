"""Several processes of one command on this machine, by torch's own launcher."""

import logging
import signal
import sys
import uuid

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nmt_cli.devices import share_threads
from nmt_cli.errors import ResourceError, WorkerFailedError

_LEAVING = 30
"""Seconds that processes have to save and end when they are told to stop."""

_LATER = {ResourceError.exit_code: 1, -signal.SIGTERM: 2}
"""How ranks end that lost contact with another, or were told to end because of it: the cause is the other."""


def launch(processes: int) -> None:
    """Run this very command once for each rank, and end as it does.

    Raises:
        WorkerFailedError: A rank failed and has reported why; carries its exit code.
        ResourceError: A rank was killed.
    """
    logging.disable(logging.ERROR)  # torch's launcher would say in many lines what we say in one
    share_threads(processes)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=0.1,
        shutdown_timeout=_LEAVING,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "nmt_cli", *sys.argv[1:])
    except SignalException as stopped:
        raise WorkerFailedError(128 + int(stopped.sigval)) from stopped
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        rank = min(codes, key=lambda rank: (_LATER.get(codes[rank], 0), rank))
        exit_code = codes[rank]
        if exit_code < 0:
            name = signal.Signals(-exit_code).name
            raise ResourceError(
                f"rank {rank} was killed by {name}; the others have ended: the same command goes on from the last"
                " checkpoint"
            ) from error
        raise WorkerFailedError(exit_code) from error
