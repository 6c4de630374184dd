"""Settings of all tests: one thread, also in child processes, for reproducibility; no time limits of hypothesis."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fork_server import ForkServer
from hypothesis import HealthCheck, settings

from nmt_cli import console

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded

# The time of an example depends more on the load of the machine than on the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# In the background or under nohup these signals are ignored, which child processes would inherit.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def fast_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Path of a `python` that starts fast; see `fork_server`."""
    server = ForkServer(tmp_path_factory.mktemp("server"))
    yield server.python
    server.close()


@pytest.fixture(autouse=True)
def _is_quiet_for_one_test() -> Iterator[None]:
    """Undo `--quiet`, which holds for the rest of a process."""
    yield
    console.set_quiet(False)
