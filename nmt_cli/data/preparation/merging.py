"""The last step: filters that look at all pairs, then the shards as training reads them."""

import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt_cli.data.filters import first_of_each
from nmt_cli.data.preparation.shards import Shard
from nmt_cli.data.preparation.sieve import EXAMPLES, Losses, example

Truths = npt.NDArray[np.bool_]

_SIDES = ("source", "target")


@dataclass
class Merged:
    """What became of a corpus."""

    records: int = 0
    losses: Losses = field(default_factory=Losses)
    shards: list[int] = field(default_factory=list)
    """Pairs of each."""
    lengths: dict[str, Counter[int]] = field(default_factory=lambda: {side: Counter() for side in _SIDES})
    """Pairs by tokens of each side."""

    def entry(self, prefix: list[int]) -> dict[str, Any]:
        """What the manifest says of the corpus."""
        tokens = {f"{side}_tokens": sum(n * pairs for n, pairs in self.lengths[side].items()) for side in _SIDES}
        return {
            "read": self.records,
            "kept": sum(self.shards),
            "dropped": dict(sorted(self.losses.dropped.items())),
            "examples": dict(sorted(self.losses.examples.items())),
            **tokens,
            "shards": self.shards,
            "prefix": prefix,
            "lengths": {side: {str(n): pairs for n, pairs in sorted(self.lengths[side].items())} for side in _SIDES},
        }


def kept_of_all(
    corpora: dict[str, list[Shard]], reasons: list[str], scratch: Path
) -> tuple[dict[Path, Truths], dict[str, Losses]]:
    """Which pairs of each shard the filters keep that look at all pairs, and what they drop of each corpus.

    `reasons` name the filters. Of pairs with one key that which comes first in the recipe's order stays.
    """
    shards = [(name, shard) for name, some in corpora.items() for shard in some]
    kept = [np.ones(shard.pairs, bool) for _, shard in shards]
    losses = {name: Losses() for name in corpora}
    for number, reason in enumerate(reasons):
        keys = (_mapped(shard.folder / f"keys.{number}", "<u8") for _, shard in shards)
        firsts = first_of_each(keys, kept, scratch)
        for place, (name, shard) in enumerate(shards):
            dropped = np.flatnonzero(kept[place] & ~firsts[place])
            losses[name].add(reason, len(dropped), _examples(shard, dropped[:EXAMPLES]))
            kept[place] = kept[place] & firsts[place]
    return {shard.folder: some for (_, shard), some in zip(shards, kept, strict=True)}, losses


def finish(shard: Shard, kept: Truths | None, folder: Path, merged: Merged) -> None:
    """Put a shard, without what is not kept, where training looks for it; if nothing is left, leave it out."""
    merged.records += shard.records
    merged.losses.merge(shard.losses)
    pairs = shard.pairs if kept is None else int(kept.sum())
    if kept is not None and kept.all():
        kept = None
    if not pairs:
        return
    target = folder / f"{len(merged.shards):05}"
    target.mkdir(parents=True)
    merged.shards.append(pairs)
    for name in sorted(path.name for path in shard.folder.iterdir()):
        offsets = _offsets_of(name)
        if offsets is None:
            continue
        if kept is None:
            _link(shard.folder / name, target / name)
        elif offsets == name:
            lengths = np.diff(np.fromfile(shard.folder / name, "<i8"))[kept]
            np.concatenate([np.zeros(1, "<i8"), np.cumsum(lengths, dtype="<i8")]).tofile(target / name)
        else:
            _compact(shard.folder, offsets, name, kept, target)
    for side in _SIDES:
        counts = np.bincount(np.diff(np.fromfile(target / f"{side}.offsets", "<i8")))
        merged.lengths[side].update({int(n): int(counts[n]) for n in np.flatnonzero(counts)})


def _offsets_of(name: str) -> str | None:
    """The file that says where the lines of a file of this name end; itself, if that is its job; None of others."""
    if name.endswith((".offsets", ".lines")):
        return name
    stem, _, kind = name.partition(".")[0], *name.rpartition(".")[1:]
    return {"bin": f"{stem}.offsets", "txt": f"{stem}.lines"}.get(kind)


def _compact(folder: Path, offsets_name: str, data_name: str, kept: Truths, target: Path) -> None:
    """Copy those stretches of a file that belong to kept lines."""
    offsets = np.fromfile(folder / offsets_name, "<i8")
    data = _mapped(folder / data_name, np.uint8)
    unit = len(data) // int(offsets[-1]) if offsets[-1] else 1
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]])))
    with (target / data_name).open("wb") as file:
        for begin, end in (offsets[edges] * unit).reshape(-1, 2).tolist():
            file.write(data[begin:end].tobytes())


def _examples(shard: Shard, places: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    if not len(places):
        return []
    records = _mapped(shard.folder / "records", "<i8")
    return [
        example(int(records[place]), *(_line(shard.folder, side, int(place)) for side in _SIDES)) for place in places
    ]


def _line(folder: Path, side: str, place: int) -> str:
    begin, end = _mapped(folder / f"{side}.lines", "<i8")[place : place + 2]
    with (folder / f"{side}.txt").open("rb") as file:
        file.seek(int(begin))
        return file.read(int(end - begin)).decode().removesuffix("\n")


def _mapped(path: Path, kind: Any) -> npt.NDArray[Any]:
    """A file as an array, without reading it."""
    return np.asarray(np.memmap(path, kind, "r")) if path.stat().st_size else np.empty(0, kind)


def _link(path: Path, target: Path) -> None:
    """Give a file a second name; where the file system has none, copy it."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
