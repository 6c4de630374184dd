"""The manifest of prepared data: settings, and the statistics of each corpus."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from nmt_cli import files
from nmt_cli.data.preparation.shard_files import SIDES
from nmt_cli.data.reading.examples import DropCounts, DroppedExample
from nmt_cli.errors import DataError
from nmt_cli.recipe.section import MAX_COUNT

MANIFEST_KIND = "data prepared by nmt"
"""Value of `kind` in the manifest of a prepared folder."""
FORMAT_VERSION = 4


@dataclass
class CorpusStats:
    """How many pairs of a corpus were read, dropped and kept, and their lengths."""

    name: str
    """train/NAME or valid/NAME."""
    num_read: int = 0
    """Number of records read."""
    drops: DropCounts = field(default_factory=DropCounts)
    shard_sizes: list[int] = field(default_factory=list)
    """Number of pairs of each shard."""
    prefix_ids: list[int] = field(default_factory=list)
    """Ids of the tags before each source."""
    suffix_ids: list[int] = field(default_factory=list)
    """Ids of the tokens after each source, if there are others than eos; else empty."""
    prompt_ids: list[int] = field(default_factory=list)
    """Ids of the tokens before each target, which the decoder is given."""
    lengths: dict[str, Counter[int]] = field(default_factory=lambda: {side: Counter() for side in SIDES})
    """For each side, source and target: number of pairs by length in tokens."""

    @property
    def num_kept(self) -> int:
        """Number of pairs kept."""
        return sum(self.shard_sizes)

    def num_tokens(self, side: str) -> int:
        """Return the number of tokens of the kept pairs on a side."""
        return sum(length * pairs for length, pairs in self.lengths[side].items())

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the manifest."""
        lengths = {side: {str(n): pairs for n, pairs in sorted(self.lengths[side].items())} for side in SIDES}
        return {
            "read": self.num_read,
            "kept": self.num_kept,
            **self.drops.to_json(),
            **{f"{side}_tokens": self.num_tokens(side) for side in SIDES},
            "shards": self.shard_sizes,
            "prefix": self.prefix_ids,
            "suffix": self.suffix_ids,
            "prompt": self.prompt_ids,
            "lengths": lengths,
        }

    @classmethod
    def from_json(cls, name: str, entry: Mapping[str, Any]) -> "CorpusStats":
        """Convert the result of `to_json` back. Raise KeyError, TypeError or ValueError if `entry` is malformed."""
        lengths = {
            side: Counter({int(length): int(pairs) for length, pairs in dict(entry["lengths"][side]).items()})
            for side in SIDES
        }
        shards, *added = (list(map(int, entry.get(key, []))) for key in ("shards", "prefix", "suffix", "prompt"))
        if sum(shards) > MAX_COUNT:
            raise ValueError(f"{sum(shards)} pairs are impossible")
        return cls(name, int(entry["read"]), DropCounts.from_json(entry), shards, added[0], added[1], added[2], lengths)


class DropStats(NamedTuple):
    """The pairs of a corpus that were dropped for one reason."""

    reason: str
    """Such as too_long."""
    description: str
    """Such as `a side has more than 200 subwords`."""
    num_pairs: int
    examples: list[DroppedExample]


@dataclass(frozen=True)
class PreparedSummary:
    """The manifest of a prepared folder."""

    folder: Path
    fingerprint: str
    """SHA-256 of the contents of all files. It identifies the data in the summary of a run."""
    settings: dict[str, Any]
    """By recipe key."""
    drop_reasons: dict[str, str]
    """Descriptions of the reasons for dropping pairs, in the order in which they are checked."""
    corpora: list[CorpusStats]

    def drops(self, corpus: CorpusStats) -> list[DropStats]:
        """Return the dropped pairs of a corpus by reason, in the order in which the reasons are checked."""
        return drop_stats(corpus.drops, self.drop_reasons)


def drop_stats(drops: DropCounts, reasons: Mapping[str, str]) -> list[DropStats]:
    """Return the counts of dropped pairs with descriptions, in the order of `reasons`."""
    order = {reason: index for index, reason in enumerate(reasons)}
    return [
        DropStats(reason, reasons.get(reason, reason), drops.counts[reason], drops.examples.get(reason, []))
        for reason in sorted(drops.counts, key=lambda reason: order.get(reason, len(order)))
    ]


def read_prepared_summary(folder: Path) -> PreparedSummary:
    """Read the manifest of a prepared folder without checking its other files.

    Raises:
        DataError: The folder was not prepared by this version of nmt, or its manifest is damaged.
    """
    manifest = files.read_json(folder / files.MANIFEST)
    try:
        if manifest["kind"] != MANIFEST_KIND:
            raise DataError(f"{folder}: is not data prepared by nmt")
        if manifest["format"] != FORMAT_VERSION:
            raise DataError(f"{folder}: is not data prepared by this version of nmt; run `nmt preprocess`")
        reasons = {str(reason): str(description) for reason, description in manifest["reasons"].items()}
        corpora = [CorpusStats.from_json(name, entry) for name, entry in manifest["corpora"].items()]
        settings = {**manifest["settings"], **manifest["adapted"]}
        return PreparedSummary(folder, fingerprint_of(manifest), settings, reasons, corpora)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{folder / files.MANIFEST}: is damaged, or was written by another version of nmt") from error


def fingerprint_of(manifest: dict[str, Any]) -> str:
    """Return the SHA-256 of the file entries of a manifest."""
    return hashlib.sha256(files.json_bytes(manifest["files"])).hexdigest()
