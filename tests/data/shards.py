"""Writes prepared corpora for tests, plainly and without the package's writer."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nmt_cli.data.preparation.manifest import CorpusStats
from nmt_cli.data.preparation.shard_files import id_dtype
from nmt_cli.data.token_corpus import TokenCorpus
from nmt_cli.data.tokenizer import Tokenizer


def written(
    folder: Path,
    tokenizer: Tokenizer,
    sources: Sequence[str],
    targets: Sequence[str],
    links: Sequence[str] | None = None,
    prefix: Sequence[int] = (),
    shards: Sequence[int] | None = None,
) -> TokenCorpus:
    """A corpus of normalised lines, in shards of so many pairs."""
    return TokenCorpus(folder, write_shards(folder, tokenizer, sources, targets, links, prefix, shards), tokenizer)


def write_shards(
    folder: Path,
    tokenizer: Tokenizer,
    sources: Sequence[str],
    targets: Sequence[str],
    links: Sequence[str] | None = None,
    prefix: Sequence[int] = (),
    shards: Sequence[int] | None = None,
) -> CorpusStats:
    """Fill a folder with shards of so many pairs, and return the statistics of the corpus."""
    shards = [len(sources)] if shards is None else shards
    assert sum(shards) == len(sources) == len(targets)
    sides = {
        "source": (sources, [[*prefix, *row] for row in tokenizer.source.encode(list(sources))], tokenizer.source_size),
        "target": (targets, tokenizer.target.encode(list(targets)), tokenizer.target_size),
    }
    first = 0
    for number, size in enumerate(shards):
        shard = folder / f"{number:05}"
        shard.mkdir(parents=True)
        for side, (lines, rows, vocabulary_size) in sides.items():
            _write_side(shard, side, lines[first : first + size], rows[first : first + size], vocabulary_size)
        if links is not None:
            some = [link.replace("-", " ").split() for link in links[first : first + size]]
            _write_offsets(shard / "alignment.offsets", [len(words) // 2 for words in some])
            (shard / "alignment.bin").write_bytes(np.array([int(w) for row in some for w in row], "<u4").tobytes())
        first += size
    lengths = {side: Counter(map(len, rows)) for side, (_, rows, _) in sides.items()}
    name, num_read = f"train/{folder.name}", len(sources)
    return CorpusStats(name, num_read, shard_sizes=list(shards), prefix_ids=list(prefix), lengths=lengths)


def _write_side(
    shard: Path, side: str, lines: Sequence[str], rows: Sequence[Sequence[int]], vocabulary_size: int
) -> None:
    kind = id_dtype(vocabulary_size)
    (shard / f"{side}.bin").write_bytes(np.array([token for row in rows for token in row], kind).tobytes())
    _write_offsets(shard / f"{side}.offsets", [len(row) for row in rows])
    encoded = [f"{line}\n".encode() for line in lines]
    (shard / f"{side}.txt").write_bytes(b"".join(encoded))
    _write_offsets(shard / f"{side}.lines", [len(line) for line in encoded])


def _write_offsets(path: Path, lengths: Sequence[int]) -> None:
    path.write_bytes(np.cumsum([0, *lengths], dtype="<i8").tobytes())
