"""Parallel work on one machine, in a pool of processes, and on several, by shards."""

from nmt_cli.processes.pool import STOP_SIGNALS, WorkerPool, available_cores, map_ordered
from nmt_cli.processes.worker import report_progress

__all__ = ["STOP_SIGNALS", "WorkerPool", "available_cores", "map_ordered", "report_progress"]
