"""Work shared out to processes that are started for it."""

from nmt_cli.processes.worker import report
from nmt_cli.processes.workers import STOPPING, Workers, cores, in_order

__all__ = ["STOPPING", "Workers", "cores", "in_order", "report"]
