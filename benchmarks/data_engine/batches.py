"""Speed of making batches from prepared data, and the time to the first one when training resumes."""

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from nmt_cli.data.batches import batch_by_size, collate
from nmt_cli.data.blocks import BlockReader
from nmt_cli.data.preparation.manifest import CorpusStats
from nmt_cli.data.preparation.shard_files import id_dtype
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.token_corpus import TokenCorpus
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.training.data_iterator import build_regularizer, iterate_updates
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.train_state import DataState

PAIRS = 100_000_000
AUGMENTED = {"augmentation": {"upper_case": 0.05, "title_case": 0.05, "typos": 0.1, "noise": 0.05}}
CASES: list[tuple[str, str, dict[str, Any], int]] = [
    ("unigram", "plain", {}, 4_096),
    ("unigram", "plain", {}, 25_000),
    ("unigram", "augmentation", AUGMENTED, 4_096),
    ("unigram", "sampling", {"subword_sampling": {"alpha": 0.3}}, 4_096),
    ("unigram", "both", {"subword_sampling": {"alpha": 0.3}, **AUGMENTED}, 4_096),
    ("bpe", "sampling", {"subword_sampling": {"alpha": 0.1}}, 4_096),
]
"""Tokenizer, name of the settings, the settings, and `batch_tokens`."""


def time_batches(sources: list[str], targets: list[str]) -> None:
    """Print the speed of making batches, with and without subword sampling and augmentation."""
    print("| tokenizer | settings | batch_tokens | block | read | batch | collate | tokens/s | resume |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        prepared = {name: prepare(Path(folder) / name, name, sources, targets) for name in ("unigram", "bpe")}
        for algorithm, name, settings, batch_tokens in CASES:
            training = Training.model_validate(settings)
            figures = time_block(prepared[algorithm], training, batch_tokens)
            resuming = time_resuming(prepared[algorithm], training, batch_tokens)
            print(f"| {algorithm} | {name} | {batch_tokens:,} | {figures} | {resuming:.2f} |", flush=True)


def time_block(prepared: Prepared, settings: Training, batch_tokens: int) -> str:
    """Return the middle columns of a row."""
    weights = dict.fromkeys((corpus.name for corpus in prepared.train), 1.0)
    blocks = BlockReader(prepared.train, weights, settings.mixing, 1, build_regularizer(prepared, settings))
    blocks.read(0, 0)  # maps the files
    times = [time.process_time()]
    block = blocks.read(0, 1)
    assert block is not None
    times.append(time.process_time())
    batches = batch_by_size(block.pairs, batch_tokens, [1])
    times.append(time.process_time())
    special_tokens, num_tokens = prepared.tokenizer.special_tokens, 0
    for rows in batches:
        num_tokens += collate(block.pairs, rows, special_tokens).target_tokens
    times.append(time.process_time())
    parts = " | ".join(f"{seconds:.2f}" for seconds in np.diff(times))
    return f"{len(block.pairs):,} | {parts} | {num_tokens / (times[-1] - times[0]):,.0f}"


def time_resuming(prepared: Prepared, settings: Training, batch_tokens: int) -> float:
    """Return the CPU seconds from a position in the middle of the corpus to the batches of the next update."""
    weights = dict.fromkeys((corpus.name for corpus in prepared.train), 1.0)
    start = DataState(epoch=1, block=48, pairs_consumed=5)
    began = time.process_time()
    next(iterate_updates(prepared, weights, settings, batch_tokens, 1, start, Distributed()))
    seconds = time.process_time() - began
    time.sleep(seconds)  # until the next block has been prefetched, which would disturb other measurements
    return seconds


def prepare(folder: Path, algorithm: str, sources: list[str], targets: list[str]) -> Prepared:
    """Write the corpus as `nmt preprocess` does, except that all shards are links to one."""
    tokenizer = Tokenizer.train(TokenizerSettings(algorithm=algorithm), sources, targets, seed=1)
    sources, targets = (list(map(tokenizer.normalize, side)) for side in (sources, targets))
    shard = folder / "text" / "00000"
    shard.mkdir(parents=True)
    sides = {"source": (tokenizer.source, sources), "target": (tokenizer.target, targets)}
    counts = {side: _write_side(shard, side, *content) for side, content in sides.items()}
    shards = round(PAIRS / len(sources))
    for number in range(1, shards):
        (shard.parent / f"{number:05}").symlink_to("00000")
    lengths = {
        side: Counter({length: count * shards for length, count in found.items()}) for side, found in counts.items()
    }
    stats = CorpusStats("train/text", shard_sizes=[len(sources)] * shards, lengths=lengths)
    return Prepared(
        tokenizer, [TokenCorpus(shard.parent, stats, tokenizer)], {}, {"settings": {"data.max_length": 200}}
    )


def _write_side(shard: Path, side: str, vocabulary: Vocabulary, lines: list[str]) -> Counter[int]:
    """Write the files of one side and return the number of lines by length."""
    rows = vocabulary.encode(lines)
    encoded = [f"{line}\n".encode() for line in lines]
    kind = id_dtype(len(vocabulary))
    (shard / f"{side}.bin").write_bytes(np.array([token for row in rows for token in row], kind).tobytes())
    (shard / f"{side}.txt").write_bytes(b"".join(encoded))
    for name, lengths in (("offsets", map(len, rows)), ("lines", map(len, encoded))):
        (shard / f"{side}.{name}").write_bytes(np.cumsum([0, *lengths], dtype="<i8").tobytes())
    return Counter(map(len, rows))
