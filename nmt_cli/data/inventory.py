"""What a prepared folder says of itself, read without opening or checking what lies in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.prepared import FORMAT, KIND, fingerprint_of
from nmt_cli.errors import DataError


@dataclass(frozen=True)
class DroppedPair:
    """An example of what was dropped; long lines are cut."""

    record: int
    """Its number in its corpus, from 1."""
    source: str
    target: str


@dataclass(frozen=True)
class Loss:
    """What was dropped of one corpus for one reason."""

    reason: str
    """Such as too_long."""
    words: str
    """Such as `a side has more than 200 subwords`."""
    pairs: int
    examples: list[DroppedPair]


@dataclass(frozen=True)
class CorpusCounts:
    """What became of one corpus."""

    name: str
    """Such as train/NAME."""
    read: int
    """Pairs."""
    kept: int
    losses: list[Loss]
    source_tokens: int
    target_tokens: int
    lengths: dict[str, dict[int, int]]
    """For each side, source and target: how many lines have each length in tokens."""


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
    """What the manifest of a prepared folder says; DataError if it is none, or damaged."""
    manifest = files.read_json(folder / files.MANIFEST)
    try:
        if manifest["kind"] != KIND:
            raise DataError(f"{folder}: is not data prepared by nmt")
        if manifest["format"] != FORMAT:
            raise DataError(f"{folder}: is not data prepared by this version of nmt; run `nmt preprocess`")
        words = manifest["reasons"]
        corpora = [_counts(name, entry, words) for name, entry in manifest["corpora"].items()]
        return Inventory(folder, fingerprint_of(manifest), dict(manifest["settings"]), corpora)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{folder / files.MANIFEST}: is damaged, or is not of this version of nmt") from error


def _counts(name: str, entry: dict[str, Any], words: dict[str, str]) -> CorpusCounts:
    order = {reason: place for place, reason in enumerate(words)}  # that in which they are looked for
    losses = [
        Loss(reason, str(words.get(reason, reason)), int(pairs), [_pair(one) for one in entry["examples"][reason]])
        for reason, pairs in sorted(entry["dropped"].items(), key=lambda item: order.get(item[0], len(order)))
    ]
    read, kept, sources, targets = (int(entry[key]) for key in ("read", "kept", "source_tokens", "target_tokens"))
    lengths = {
        side: {int(length): int(pairs) for length, pairs in entry["lengths"][side].items()}
        for side in ("source", "target")
    }
    return CorpusCounts(name, read, kept, losses, sources, targets, lengths)


def _pair(one: dict[str, Any]) -> DroppedPair:
    return DroppedPair(int(one["record"]), str(one["source"]), str(one["target"]))
