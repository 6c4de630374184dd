"""Mistakes a user can fix, and the exit code of each kind.

NmtError              1  a bug of ours, when raised as such
├── RecipeError       2  the recipe or the command line
├── DataError         3  input text
├── ModelError        4  a model or checkpoint: missing, damaged, or not of this recipe
├── ResourceError     5  disk, memory
├── DivergedError     6  training lost its way
├── RunInUseError     7  another process works in this run directory
├── StoppedError  128+n  stopped by signal n after a clean save
└── WorkerFailedError         a process started for this command has told its mistake and its exit code
"""


class NmtError(Exception):
    """What is wrong, where (file, line, key) and what to do. Several mistakes are several lines."""

    exit_code = 1


class RecipeError(NmtError):
    """The recipe or the command line is wrong."""

    exit_code = 2


class DataError(NmtError):
    """Input text is missing, unreadable or unequal, or does not belong to the recipe."""

    exit_code = 3


class ModelError(NmtError):
    """A model or checkpoint is missing, damaged, or belongs to another recipe."""

    exit_code = 4


class ResourceError(NmtError):
    """The machine lacks disk or memory."""

    exit_code = 5


class DivergedError(NmtError):
    """The loss or a gradient is no longer a number."""

    exit_code = 6


class RunInUseError(NmtError):
    """Another process holds the run directory."""

    exit_code = 7


class StoppedError(NmtError):
    """A signal asked to stop; everything is saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class WorkerFailedError(NmtError):
    """A process that was started to do the work failed; it has said why."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code
