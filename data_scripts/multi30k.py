"""Download Multi30k (Elliott et al. 2016): image captions in English, German and French.

    python data_scripts/multi30k.py
    python data_scripts/multi30k.py --from ~/downloads/multi30k

writes {train,valid,test2016}.{en,de,fr} to data/multi30k: 29,000, 1,014 and 1,000 lines. Correct files that exist are
not downloaded again. --from reads the original files from a folder instead: train.en.gz, val.en.gz,
test_2016_flickr.en.gz and so on, with or without .gz.
"""

from pathlib import Path

import corpora

HOME = "https://raw.githubusercontent.com/multi30k/dataset/a3d2e0d26b56f3846f66a952536ffed4e401d05a/data/task1/raw"

ORIGINAL_NAMES = {"train": "train", "valid": "val", "test2016": "test_2016_flickr"}

# SHA-256 of the uncompressed text.
EXPECTED = {
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.fr": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
    "valid.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "valid.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "valid.fr": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
    "test2016.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
    "test2016.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    "test2016.fr": "cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6",
}


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/multi30k")
    corpora.add_download_options(parser, "the original files", HOME, "data/task1/raw")
    options = parser.parse_args()
    wanted = [name for name, expected in EXPECTED.items() if not _is_there(options.to / name, expected)]
    if not wanted:
        print(f"{options.to}: all files exist and are correct")
        return
    texts = {}
    for name in wanted:
        if options.folder is not None:
            path = find(options.folder, _original(name))
            texts[name] = corpora.checked(path.read_bytes(), str(path), EXPECTED[name])
        else:
            url = f"{options.url}/{_original(name)}.gz"
            texts[name] = corpora.checked(corpora.download(url), url, EXPECTED[name])
    corpora.write(options.to, texts)


def find(folder: Path, original: str) -> Path:
    """Return a file of a folder, compressed or not."""
    for path in (folder / f"{original}.gz", folder / original):
        if path.is_file():
            return path
    raise corpora.CorpusError(f"{folder}: has neither {original}.gz nor {original}")


def _original(name: str) -> str:
    part, language = name.split(".")
    return f"{ORIGINAL_NAMES[part]}.{language}"


def _is_there(path: Path, expected: str) -> bool:
    return path.is_file() and corpora.sha256(path.read_bytes()) == expected


if __name__ == "__main__":
    corpora.run(main)
