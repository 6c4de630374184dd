"""Keep the current folder off the import path of child processes: it may contain modules of a stranger.

Python puts the current folder first on the path of `python -m` and `python -c`, also of the processes that
`multiprocessing` spawns, but not of the command `nmt`. Commands that start Python themselves pass `-P` instead.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NAME, _VALUE = "PYTHONSAFEPATH", "nmt"


@contextmanager
def safe_import_path() -> Iterator[None]:
    """Let Python processes that are started meanwhile import nothing from the current folder."""
    is_set = bool(os.environ.get(_NAME))
    if not is_set:
        os.environ[_NAME] = _VALUE
    try:
        yield
    finally:
        if not is_set:
            del os.environ[_NAME]


def restore_import_path() -> None:
    """In such a process: let the programs of the user that it starts import as they always do."""
    if os.environ.get(_NAME) == _VALUE:
        del os.environ[_NAME]
