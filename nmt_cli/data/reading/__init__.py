"""Corpora of any format: read as bytes in one process, decoded into examples in any number of others."""

from nmt_cli.data.reading.corpora import decode, read_all, read_chunks, read_examples, read_pairs
from nmt_cli.data.reading.examples import SOURCE_COLUMN, DropCounts, DroppedExample, Examples, OnError
from nmt_cli.data.reading.raw_chunks import RawChunk

__all__ = [
    "SOURCE_COLUMN",
    "DropCounts",
    "DroppedExample",
    "Examples",
    "OnError",
    "RawChunk",
    "decode",
    "read_all",
    "read_chunks",
    "read_examples",
    "read_pairs",
]
