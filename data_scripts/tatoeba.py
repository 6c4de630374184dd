"""Split a downloaded export of English and German Tatoeba sentences into train, valid and test.

    python data_scripts/tatoeba.py --from deu-eng.zip
    python data_scripts/tatoeba.py --from deu.txt --valid 0.01 --test 0.01
    python data_scripts/tatoeba.py --from folder
    python data_scripts/tatoeba.py --from deu-eng.zip --to data/course \\
        --max-words 6 --train 10000 --valid 0.005 --test 0.005

writes {train,valid,test}.{en,de} to data/tatoeba-en-de. The export is that of manythings.org/anki: English, German and
authors, separated by tabs; zip, text or gzip. A folder must contain aligned files with one sentence per line, such as
a.en and a.de, or a.en.gz and a.de.gz; all of them are read. The split of a pair depends only on its English sentence:
no English sentence is in two splits, and each stays in its split when the export grows. --max-words leaves out pairs
with a longer English sentence; --train keeps training pairs that look randomly chosen but are always the same.
"""

import argparse
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import corpora

Pair = tuple[bytes, bytes]


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/tatoeba-en-de")
    parser.add_argument("--from", type=Path, dest="origin", required=True, metavar="PATH", help="export or folder")
    parser.add_argument(
        "--valid", type=_fraction, default=0.012, metavar="FRACTION", help="fraction of validation sentences (0.012)"
    )
    parser.add_argument(
        "--test", type=_fraction, default=0.012, metavar="FRACTION", help="fraction of test sentences (0.012)"
    )
    parser.add_argument("--train", type=corpora.size, metavar="N", help="training pairs to keep (all)")
    parser.add_argument("--max-words", type=corpora.size, metavar="N", help="words of an English sentence (any number)")
    options = parser.parse_args()
    if options.valid + options.test >= 1:
        parser.error("--valid and --test leave no training sentences; their sum must be less than 1")
    pairs = list(read_folder(options.origin) if options.origin.is_dir() else read_export(options.origin))
    if options.max_words:
        pairs = [pair for pair in pairs if len(pair[0].split()) <= options.max_words]
    texts = split(pairs, options.valid, options.test, options.train)
    for name, text in texts.items():
        if not text:
            raise corpora.CorpusError(f"{options.origin}: has too few sentences; {name} would be empty")
    corpora.write(options.to, texts)


def split(pairs: list[Pair], valid_fraction: float, test_fraction: float, num_train: int | None) -> dict[str, bytes]:
    """Return the text of each output file, with at most `num_train` training pairs.

    Raises:
        CorpusError: There are fewer training pairs.
    """
    positions = [_hash_fraction(english) for english, _ in pairs]
    end = valid_fraction + test_fraction
    train = sorted((index for index, position in enumerate(positions) if position >= end), key=positions.__getitem__)
    if num_train is not None and num_train > len(train):
        raise corpora.CorpusError(f"there are {len(train):,} training pairs, fewer than --train {num_train}")
    parts = {
        "train": sorted(train[:num_train]),
        "valid": [index for index, position in enumerate(positions) if position < valid_fraction],
        "test": [index for index, position in enumerate(positions) if valid_fraction <= position < end],
    }
    return {
        f"{part}.{language}": b"".join(pairs[index][side] + b"\n" for index in indices)
        for part, indices in parts.items()
        for side, language in enumerate(("en", "de"))
    }


def read_export(path: Path) -> Iterator[Pair]:
    """Yield the first two columns of a tab-separated table."""
    name, content = _unzipped(path) if zipfile.is_zipfile(path) else (str(path), path.read_bytes())
    for number, line in _text_lines(content, name):
        columns = line.split(b"\t")
        if len(columns) < 2:
            raise corpora.CorpusError(f"{name}:{number}: has no tab between English and German")
        yield columns[0], columns[1]


def read_folder(folder: Path) -> Iterator[Pair]:
    """Yield the pairs of all aligned files of a folder, in the order of their names."""
    english_files = sorted(path for path in folder.iterdir() if path.name.removesuffix(".gz").endswith(".en"))
    if not english_files:
        raise corpora.CorpusError(f"{folder}: has no file whose name ends in .en or .en.gz")
    for english_path in english_files:
        german_path = _other_side(english_path)
        english = [line for _, line in _text_lines(english_path.read_bytes(), str(english_path))]
        german = [line for _, line in _text_lines(german_path.read_bytes(), str(german_path))]
        if len(english) != len(german):
            raise corpora.CorpusError(
                f"{english_path} has {len(english):,} lines, {german_path} {len(german):,}; they are not aligned"
            )
        yield from zip(english, german, strict=True)


def _other_side(english_path: Path) -> Path:
    stem = english_path.name.removesuffix(".gz").removesuffix(".en")
    for name in (f"{stem}.de.gz", f"{stem}.de"):
        if (path := english_path.with_name(name)).is_file():
            return path
    raise corpora.CorpusError(f"{english_path}: its German side {stem}.de or {stem}.de.gz is missing")


def _unzipped(path: Path) -> tuple[str, bytes]:
    """Return the only table in a zip file. Notes about the export begin with an underscore."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("_")]
            lists = [name for name in names if name.endswith((".txt", ".tsv"))]
            if len(lists) != 1:
                raise corpora.CorpusError(f"{path}: must contain one .txt file, but contains {len(lists)}")
            return f"{path}/{lists[0]}", archive.read(lists[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise corpora.CorpusError(f"{path}: is damaged, or compressed with an unsupported method: {error}") from error


def _text_lines(content: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield 1-based line numbers and UTF-8 lines, without byte order mark and carriage returns."""
    text = corpora.unpacked(content, name).removeprefix(b"\xef\xbb\xbf")
    for number, line in enumerate(corpora.lines(text), 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise corpora.CorpusError(f"{name}:{number}: is not UTF-8: {error.reason}") from error
        yield number, line.removesuffix(b"\r")


def _hash_fraction(english: bytes) -> float:
    """Return a pseudo-random number from 0 to 1 for a sentence, ignoring case and surrounding spaces."""
    digest = hashlib.sha256(english.decode().strip().casefold().encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _fraction(text: str) -> float:
    fraction = float(text)
    if not 0 < fraction < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return fraction


if __name__ == "__main__":
    corpora.run(main)
