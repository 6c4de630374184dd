"""Corpora of any format: read as bytes in one process, decoded into records in any number of others."""

from nmt_cli.data.reading.decoding import decode
from nmt_cli.data.reading.line_files import RawChunk
from nmt_cli.data.reading.reading import read_chunks, read_pairs, read_records, read_whole
from nmt_cli.data.reading.records import FACTORS, Dropped, Example, OnError, Records

__all__ = [
    "FACTORS",
    "Dropped",
    "Example",
    "OnError",
    "RawChunk",
    "Records",
    "decode",
    "read_chunks",
    "read_pairs",
    "read_records",
    "read_whole",
]
