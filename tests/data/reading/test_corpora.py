"""Every format and compression of a corpus gives the same pairs."""

import gzip
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from pydantic import TypeAdapter

from nmt_cli.data.reading import read_pairs
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import AnyCorpus, Corpus
from nmt_cli.text.compression import _import_zstd

PAIRS = [(f"a line, {number} & <more>", f"eine Zeile, {number} – ‚mehr‘") for number in range(1000)]
TMX_UNIT = '<tu><tuv xml:lang="en"><seg>{}</seg></tuv><tuv xml:lang="de"><seg>{}</seg></tuv></tu>'
PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": lambda content: bytes(_import_zstd().compress(content)),
}
FORMATS: dict[str, dict[str, str]] = {
    "lines": {
        "source": "".join(f"{source}\n" for source, _ in PAIRS),
        "target": "".join(f"{target}\n" for _, target in PAIRS),
    },
    "tsv": {"file": "".join(f"{source}\t{target}\n" for source, target in PAIRS)},
    "jsonl": {"file": "".join(json.dumps({"source": source, "target": target}) + "\n" for source, target in PAIRS)},
    "tmx": {
        "file": "<tmx><body>"
        + "".join(TMX_UNIT.format(escape(source), escape(target)) for source, target in PAIRS)
        + "</body></tmx>"
    },
}

each_format = pytest.mark.parametrize("format", list(FORMATS))
each_packing = pytest.mark.parametrize("packing", list(PACK))


def corpus(folder: Path, format: str, pack: Callable[[bytes], bytes]) -> AnyCorpus:
    settings: dict[str, Any] = {"format": format}
    for key, content in FORMATS[format].items():
        settings[key] = str(folder / key)
        (folder / key).write_bytes(pack(content.encode()))
    read: AnyCorpus = TypeAdapter(Corpus).validate_python(settings)
    return read


@each_packing
@each_format
def test_every_format_gives_the_same_pairs(tmp_path: Path, format: str, packing: str) -> None:
    assert list(read_pairs(corpus(tmp_path, format, PACK[packing]), ("en", "de"))) == PAIRS


@pytest.mark.parametrize("packing", ["gzip", "xz", "zstd"])
@each_format
def test_truncated_compressed_file_is_a_data_error(tmp_path: Path, format: str, packing: str) -> None:
    read = corpus(tmp_path, format, lambda content: PACK[packing](content)[:-9])
    with pytest.raises(DataError, match=f": .*{packing} "):
        list(read_pairs(read, ("en", "de")))


@each_format
def test_missing_file_is_named(tmp_path: Path, format: str) -> None:
    read = corpus(tmp_path, format, bytes)
    next(iter(read.files.values())).unlink()
    with pytest.raises(DataError, match=re.escape(f"{next(iter(read.files.values()))}: ")):
        list(read_pairs(read, ("en", "de")))
