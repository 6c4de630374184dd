"""The folder of unfinished work beside a folder that a command writes, such as `prepared.parts` beside `prepared`.

An interrupted job leaves its completed parts there, and the next one continues with them. Jobs that each make some of
the parts share the lock of the folder. The job that completes the work locks it exclusively, and then removes it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nmt_cli import files
from nmt_cli.errors import DataError, RunInUseError
from nmt_cli.locks import lock
from nmt_cli.processes import ShardSpec

_MARKER = ".nmt"
"""File that marks a folder as made by nmt, so that nmt may remove it."""


@dataclass(frozen=True)
class WorkFolder:
    """The work folder of `target`, which must not be a symbolic link."""

    target: Path

    @property
    def path(self) -> Path:
        """The folder."""
        return files.beside(self.target, ".parts")

    def open(self) -> Path:
        """Create the folder if necessary and return its path. DataError if another program made it."""
        work = self.path
        with files.disk_errors(work):
            if work.is_symlink() or (work.exists() and not (work / _MARKER).is_file() and any(work.iterdir())):
                raise DataError(
                    f"{work}: contains files not written by nmt, but nmt needs a folder of this name; rename it"
                )
            work.mkdir(parents=True, exist_ok=True)
            (work / _MARKER).touch()
        return work

    @contextmanager
    def locked(self, shard: ShardSpec | None = None) -> Iterator[None]:
        """Lock the target: exclusively, or shared with the jobs of other shards if this one only makes a shard."""
        with lock(files.beside(self.target, ".lock"), shared=shard is not None), ExitStack() as stack:
            if shard is not None:
                stack.enter_context(lock(self.open() / f"{shard.index}-of-{shard.count}.lock"))
            yield

    def remove(self) -> None:
        """Remove the folder, and temporary files of killed jobs beside the target, which must be locked."""
        work = self.path
        if (work / _MARKER).is_file():
            with files.disk_errors(work):
                work.rename(files.unique_name(work))  # so that no job uses a partly removed folder
        for path in self._leftovers():
            files.remove(path)

    def remove_leftovers(self) -> None:
        """Remove the files of a job that was killed after it wrote the target, unless the target is in use."""
        if (self.path / _MARKER).is_file() or self._leftovers():
            with suppress(RunInUseError), self.locked():
                self.remove()

    def _leftovers(self) -> list[Path]:
        folder = self.target.parent
        return files.leftovers(folder, self.target.name) + files.leftovers(folder, self.path.name)
