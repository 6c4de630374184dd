"""What a prepared folder says of itself, read without opening or checking what lies in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nmt_cli import files
from nmt_cli.data.prepared import KIND, fingerprint_of
from nmt_cli.errors import DataError


@dataclass(frozen=True)
class CorpusCounts:
    """What became of one corpus."""

    name: str
    """Such as train/NAME."""
    read: int
    """Pairs."""
    kept: int
    dropped: dict[str, int]
    """Pairs by reason."""
    source_tokens: int
    target_tokens: int


@dataclass(frozen=True)
class Inventory:
    """A prepared folder."""

    folder: Path
    fingerprint: str
    """As a run's summary names the data it learned from."""
    settings: dict[str, Any]
    """By the recipe's keys."""
    corpora: list[CorpusCounts]


def read_inventory(folder: Path) -> Inventory:
    """The counts of a prepared folder; DataError if it is none, or damaged."""
    manifest = files.read_json(folder / files.MANIFEST)
    try:
        if manifest["kind"] != KIND:
            raise DataError(f"{folder}: is not data prepared by nmt")
        corpora = [_counts(name, counts) for name, counts in manifest["corpora"].items()]
        return Inventory(folder, fingerprint_of(manifest), dict(manifest["settings"]), corpora)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{folder / files.MANIFEST}: is damaged, or is not of this version of nmt") from error


def _counts(name: str, counts: dict[str, Any]) -> CorpusCounts:
    dropped = {str(reason): int(count) for reason, count in counts["dropped"].items()}
    read, kept, sources, targets = (int(counts[key]) for key in ("read", "kept", "source_tokens", "target_tokens"))
    return CorpusCounts(name, read, kept, dropped, sources, targets)


def count_lengths(folder: Path) -> dict[str, dict[int, int]]:
    """For each side of a corpus folder, source and target: how many lines have each length in tokens."""
    return {side: _lengths(folder / f"{side}.offsets") for side in ("source", "target")}


def _lengths(offsets: Path) -> dict[int, int]:
    try:
        lengths = np.diff(np.fromfile(offsets, dtype="<i8"))
    except OSError as error:
        raise DataError(f"{offsets}: cannot be read: {error.strerror}") from error
    if lengths.size and lengths.min() < 0:
        raise DataError(f"{offsets}: is damaged; run `nmt preprocess` again")
    found, counts = np.unique(lengths, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
