"""Split a downloaded export of English and German Tatoeba sentences into train, valid and test.

    python data_scripts/tatoeba.py --from deu-eng.zip
    python data_scripts/tatoeba.py --from deu.txt --valid 0.01 --test 0.01
    python data_scripts/tatoeba.py --from folder

leaves {train,valid,test}.{en,de} in data/tatoeba-en-de. The export is that of manythings.org/anki: lines of English,
German and their authors, with tabs between; zip, text or gzip. A folder holds aligned files, one sentence on a line,
such as a.en and a.de, or a.en.gz and a.de.gz; all of them are taken together. Where a pair goes depends on its English
sentence alone, so no English sentence is in two parts, and each stays in its part when the export grows.
"""

import argparse
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import corpora

Pair = tuple[bytes, bytes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", type=Path, dest="origin", required=True, metavar="PATH", help="export or folder")
    parser.add_argument("--to", type=Path, default=Path("data/tatoeba-en-de"), metavar="DIR", help="where to write")
    parser.add_argument("--valid", type=_share, default=0.012, metavar="SHARE", help="share of sentences (0.012)")
    parser.add_argument("--test", type=_share, default=0.012, metavar="SHARE", help="share of sentences (0.012)")
    options = parser.parse_args()
    if options.valid + options.test >= 1:
        parser.error("--valid and --test leave nothing to train on")
    pairs = list(read_folder(options.origin) if options.origin.is_dir() else read_export(options.origin))
    texts = split(pairs, options.valid, options.test)
    for name, text in texts.items():
        if not text:
            raise corpora.CorpusError(f"{options.origin}: has too few sentences: {name} would be empty")
    corpora.write(options.to, texts)


def split(pairs: list[Pair], valid_share: float, test_share: float) -> dict[str, bytes]:
    """The text of each file to write."""
    texts = {f"{part}.{language}": bytearray() for part in ("train", "valid", "test") for language in ("en", "de")}
    for english, german in pairs:
        place = _place(english)
        part = "valid" if place < valid_share else "test" if place < valid_share + test_share else "train"
        texts[f"{part}.en"] += english + b"\n"
        texts[f"{part}.de"] += german + b"\n"
    return {name: bytes(text) for name, text in texts.items()}


def read_export(path: Path) -> Iterator[Pair]:
    """The pairs of a list with tabs; anything after the second column is left out."""
    name, content = _unzipped(path) if zipfile.is_zipfile(path) else (str(path), path.read_bytes())
    for number, line in _text_lines(content, name):
        columns = line.split(b"\t")
        if len(columns) < 2:
            raise corpora.CorpusError(f"{name}:{number}: has no tab between English and German")
        yield columns[0], columns[1]


def read_folder(folder: Path) -> Iterator[Pair]:
    """The pairs of all aligned files in a folder, in the order of their names."""
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
    raise corpora.CorpusError(f"{english_path}: has no German side {stem}.de or {stem}.de.gz beside it")


def _unzipped(path: Path) -> tuple[str, bytes]:
    """The one list in a zip file; notes about the export begin with an underscore."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("_")]
            lists = [name for name in names if name.endswith((".txt", ".tsv"))]
            if len(lists) != 1:
                raise corpora.CorpusError(f"{path}: should hold one list of sentences (.txt), but holds {len(lists)}")
            return f"{path}/{lists[0]}", archive.read(lists[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise corpora.CorpusError(f"{path}: is damaged, or packed in a way unknown here: {error}") from error


def _text_lines(content: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are UTF-8, without a byte order mark, and without the carriage returns of Windows."""
    text = corpora.unpacked(content, name).removeprefix(b"\xef\xbb\xbf")
    for number, line in enumerate(corpora.lines(text), 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise corpora.CorpusError(f"{name}:{number}: is not UTF-8: {error.reason}") from error
        yield number, line.removesuffix(b"\r")


def _place(english: bytes) -> float:
    """A number from 0 to 1 that depends on a sentence alone, not on capitals nor on spaces around it."""
    digest = hashlib.sha256(english.decode().strip().casefold().encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return share


if __name__ == "__main__":
    corpora.run(main)
