"""The numbers of a journal as curves that TensorBoard draws."""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt_cli import files
from nmt_cli.errors import RecipeError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_PLACES = ("time", "step", "kind", "set")
"""Entries of a record that say where its numbers belong."""


def require_tensorboard() -> None:
    """RecipeError if the package that writes the curves is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise RecipeError(
            "training.logging.tensorboard: the package tensorboard is not installed; pip install 'nmt-cli[tensorboard]'"
        )


class Curves:
    """Writes records of a journal to a folder of TensorBoard events: `train/loss`, `valid/NAME/bleu`, by update."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def rewind(self, step: int, records: Iterable[Mapping[str, Any]]) -> None:
        """Go on after `step`, so that TensorBoard drops what it knows of later updates.

        A folder that is new begins with the records there are.
        """
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import, and need not be installed

        is_new = not self._folder.exists()
        self.close()
        with files.disk_errors(self._folder):
            self._writer = SummaryWriter(str(self._folder), purge_step=step + 1)
        for record in records if is_new else ():
            self.add(record)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add the numbers of a record of kind train or valid; events are none."""
        if self._writer is None or record["kind"] == "event":
            return
        prefix = f"{record['kind']}/{record['set']}" if "set" in record else record["kind"]
        with files.disk_errors(self._folder):
            for name, value in _numbers(prefix, {name: record[name] for name in record if name not in _PLACES}):
                self._writer.add_scalar(name, value, record["step"], record["time"])
            self._writer.flush()

    def close(self) -> None:
        """Finish the file of events."""
        if self._writer is not None:
            self._writer.close()


def _numbers(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """All numbers by name, those of entries with entries of their own as `mixture/NAME/pairs`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(f"{prefix}/{name}", value)
        elif value is not None:
            yield f"{prefix}/{name}", value
