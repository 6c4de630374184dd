"""Errors that a user can fix, and the exit code of each kind.

NmtError              1  a bug, if raised itself
├── RecipeError       2  the recipe or the command line
│   └── VocabularySizeError  the text does not allow this size
├── DataError         3  input text
├── ModelError        4  a model or checkpoint: missing, damaged, or of another recipe
├── ResourceError     5  disk, memory
├── DivergedError     6  training diverged
├── RunInUseError     7  another process uses this run directory
├── StoppedError  128+n  stopped by signal n after saving
└── WorkerFailedError         a child process has reported its error; its exit code
"""


class NmtError(Exception):
    """Base class. The message gives place (file, line, key), cause and remedy, one line per error."""

    exit_code = 1


class RecipeError(NmtError):
    """The recipe or the command line is wrong."""

    exit_code = 2


class VocabularySizeError(RecipeError):
    """The text does not allow a vocabulary of this size."""

    def __init__(self, message: str, possible: int) -> None:
        super().__init__(message)
        self.possible = possible
        """The nearest size that it allows."""


class DataError(NmtError):
    """Input text is missing or unreadable, has the wrong number of lines, or does not belong to the recipe."""

    exit_code = 3


class ModelError(NmtError):
    """A model or checkpoint is missing, damaged, or belongs to another recipe."""

    exit_code = 4


class ResourceError(NmtError):
    """Not enough disk space or memory."""

    exit_code = 5


class DivergedError(NmtError):
    """The loss or a gradient is not finite."""

    exit_code = 6


class RunInUseError(NmtError):
    """Another process holds the run directory."""

    exit_code = 7


class StoppedError(NmtError):
    """The process was stopped by a signal after saving."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class WorkerFailedError(NmtError):
    """A child process failed and has already reported why."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code
