"""Shards: folders with what is kept of 2^20 records each, made apart by any number of jobs, before the merge.

They lie in a folder beside that of the prepared data, and name the job they belong to: a hash of all that decides what
is in them. So a job that was stopped goes on where it was, and nothing is taken for what it is not.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np

from nmt_cli import files
from nmt_cli.data.preparation.corpora import Task
from nmt_cli.data.preparation.sieve import Losses
from nmt_cli.data.preparation.slabs import RawSlab, Slab
from nmt_cli.data.reading import RawChunk, read_chunks
from nmt_cli.errors import DataError, NmtError, RunInUseError
from nmt_cli.processes.sharding import ShardSpec

SLAB = 8192
"""Records that are read, judged and cut at once; where memory is short, less would do."""
SHARD = 128 * SLAB
"""Records of a shard."""

_ABOUT = "shard.json"
_END = "end.json"


@dataclass(frozen=True)
class Shard:
    """A shard that is done."""

    folder: Path
    records: int
    pairs: int
    losses: Losses


class Workshop:
    """The folder in which the shards of one job come to be."""

    def __init__(self, folder: Path, job: str, check: Callable[[], object]) -> None:
        """`check` raises an error if what was read is not what `job` stands for any more."""
        self.folder, self._job, self._check = folder, job, check

    def shard(self, task: Task, number: int) -> Path:
        """Where a shard lies, or will."""
        return self.folder / task.name / f"{number:05}"

    def read(self, task: Task, number: int) -> Shard | None:
        """A shard, if it is done."""
        folder = self.shard(task, number)
        about = self._known(folder / _ABOUT)
        if about is None or about["files"] != _sizes(folder):
            return None
        losses = Losses()
        for reason, count in about["dropped"].items():
            losses.add(reason, count, about["examples"].get(reason, []))
        return Shard(folder, about["records"], about["pairs"], losses)

    def shards(self, task: Task) -> list[Shard]:
        """All shards of a corpus; DataError if it is not known that these are all."""
        end = self._known(self.folder / task.name / _END)
        found = [self.read(task, number) for number in range(end["shards"] if end else 0)]
        missing = [str(number) for number, shard in enumerate(found) if shard is None]
        if end is None or missing:
            what = f"shards {', '.join(missing)} of {task.name} are" if missing else f"the shards of {task.name} are"
            raise DataError(
                f"{self.folder}: {what} not there, or not of this recipe and these files; "
                "run the jobs that make them again (--shard), or nmt preprocess without --merge, which does the rest"
            )
        return [shard for shard in found if shard is not None]

    def write(self, slabs: Iterable[Slab]) -> None:
        """Make shards of slabs that come in order."""
        for (name, number), some in groupby(slabs, key=lambda slab: (slab.task.name, slab.shard)):
            path = self.folder / name / f"{number:05}"
            with files.lock(path.with_suffix(".lock")), files.new_folder(path) as folder:
                about = _write_shard(folder, some)
                self._check()
                files.write_json(folder / _ABOUT, {"job": self._job, **about, "files": _sizes(folder)})

    def end(self, task: Task, records: int, shards: int) -> None:
        """Note that a corpus has no more than these."""
        path = self.folder / task.name / _END
        with suppress(RunInUseError), files.lock(path.with_suffix(".lock")):  # whoever holds it writes the same
            files.write_json(path, {"job": self._job, "records": records, "shards": shards})

    def _known(self, path: Path) -> Any:
        """What a file says, if it is of this job."""
        try:
            said = files.read_json(path)
        except NmtError:
            return None
        return said if isinstance(said, dict) and said.get("job") == self._job else None


def raw_slabs(
    workshop: Workshop, tasks: Iterable[Task], part: ShardSpec, context: int, advance: Callable[[int], object]
) -> Iterator[RawSlab]:
    """The slabs of all shards of a part that are not done yet, with the `context` records before each.

    `advance` hears of all records that pass.
    """
    for place, task in enumerate(tasks):
        before: RawChunk | None = None
        records, shard, wanted = 0, -1, False
        for chunk in read_chunks(task.corpus, task.languages, SLAB):
            if (chunk.first - 1) // SHARD != shard:
                shard = (chunk.first - 1) // SHARD
                wanted = (shard + place) % part.count == part.index - 1 and workshop.read(task, shard) is None
            if wanted:
                yield RawSlab(task, shard, chunk, before)
            if context:
                before = (before.followed_by(chunk) if before else chunk).last(context)
            records += chunk.rows
            advance(chunk.rows)
        workshop.end(task, records, shard + 1)


def _write_shard(folder: Path, slabs: Iterable[Slab]) -> dict[str, Any]:
    """Fill a folder; returns what there is to say about it."""
    records, pairs, losses = 0, 0, Losses()
    with ExitStack() as stack:
        opened: dict[str, _Appender] = {}
        for slab in slabs:
            for name, piece in slab.pieces.items():
                if name not in opened:
                    opened[name] = _Appender(stack.enter_context((folder / name).open("wb")), name)
                opened[name].append(piece)
            records, pairs = records + slab.records, pairs + slab.pairs
            losses.merge(slab.losses)
    dropped = dict(sorted(losses.dropped.items()))
    return {"records": records, "pairs": pairs, "dropped": dropped, "examples": losses.examples}


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.name != _ABOUT}


class _Appender:
    """Joins pieces of one file; offsets go on where those of the piece before ended."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._are_offsets, self._end = file, name.endswith((".offsets", ".lines")), 0
        if self._are_offsets:
            file.write(np.zeros(1, "<i8").tobytes())

    def append(self, piece: bytes) -> None:
        if self._are_offsets and piece:
            ends = np.frombuffer(piece, "<i8") + self._end
            self._end = int(ends[-1])
            piece = ends.tobytes()
        self._file.write(piece)
