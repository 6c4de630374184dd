"""Download tiny Shakespeare (Karpathy 2015): 40,000 lines of Shakespeare's plays, one speech after another.

    python data_scripts/tiny_shakespeare.py
    python data_scripts/tiny_shakespeare.py --from ~/downloads

writes {train,valid}.txt to data/tiny_shakespeare: the first 90 % of the characters and the rest, as nanoGPT splits
them. Correct files that exist are not downloaded again. --from reads input.txt from a folder instead.
"""

from pathlib import Path

import corpora

ORIGINAL = "input.txt"
HOME = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare"
)
EXPECTED = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
"""SHA-256 of the original."""
FRACTION = 0.9
"""Of the characters, for training."""


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/tiny_shakespeare")
    corpora.add_download_options(parser, "input.txt", HOME, "data/tinyshakespeare")
    options = parser.parse_args()
    paths = [options.to / name for name in ("train.txt", "valid.txt")]
    found = b"".join(path.read_bytes() for path in paths if path.is_file())
    if corpora.sha256(found) == EXPECTED:
        print(f"{options.to}: all files exist and are correct")
        return
    corpora.write(options.to, split(read(options.folder, options.url)))


def read(folder: Path | None, url: str) -> bytes:
    """Return the original text, from a folder if one is given."""
    if folder is None:
        return corpora.checked(corpora.download(f"{url}/{ORIGINAL}"), f"{url}/{ORIGINAL}", EXPECTED)
    if not (folder / ORIGINAL).is_file():
        raise corpora.CorpusError(f"{folder}: has no {ORIGINAL}")
    return corpora.checked((folder / ORIGINAL).read_bytes(), str(folder / ORIGINAL), EXPECTED)


def split(text: bytes) -> dict[str, bytes]:
    """Return training and validation text; all characters are ASCII."""
    middle = int(FRACTION * len(text))
    return {"train.txt": text[:middle], "valid.txt": text[middle:]}


if __name__ == "__main__":
    corpora.run(main)
