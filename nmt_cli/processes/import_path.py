"""Keep the current folder off the import path of child processes, because it may contain untrusted modules.

Python puts the current folder first on the path of `python -m` and `python -c`, also of the processes that
`multiprocessing` spawns, but not of the command `nmt`. Commands that start Python themselves pass `-P` instead.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NAME, _VALUE = "PYTHONSAFEPATH", "nmt"


@contextmanager
def safe_import_path() -> Iterator[None]:
    """Start Python processes within this context so that they import nothing from the current folder."""
    is_set = bool(os.environ.get(_NAME))
    if not is_set:
        os.environ[_NAME] = _VALUE
    try:
        yield
    finally:
        if not is_set:
            del os.environ[_NAME]


def restore_import_path() -> None:
    """Restore the default import path for programs that this worker starts."""
    if os.environ.get(_NAME) == _VALUE:
        del os.environ[_NAME]
