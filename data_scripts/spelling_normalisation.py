"""Download historical Hungarian and Icelandic words with their modern spelling (Bollmann 2019).

    python data_scripts/spelling_normalisation.py
    python data_scripts/spelling_normalisation.py --from histnorm/datasets/historical --languages icelandic

writes {train,valid,test}.{historical,modern} to data/spelling_normalisation/LANGUAGE. The words are preprocessed as in
the publication: NFC, lower case, no punctuation, and 0 for each digit of a number that stays the same. Its split is
kept, but only the first words of the training part are used: 50,000 (Hungarian) and 25,000 (Icelandic) by default.
{valid,test}.memorised are a baseline: each word in its most frequent spelling in training, new words unchanged.
--from is a folder with LANGUAGE/*.txt as in https://github.com/coastalcph/histnorm. The Icelandic words have the
licence LGPL 3; no licence is stated for the Hungarian ones.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import corpora

HOME = (
    "https://raw.githubusercontent.com/coastalcph/histnorm/0eac17927d3a3fa5cc4e2472d57f3acca41c6655/datasets/historical"
)
PARTS = {"train": "train", "valid": "dev", "test": "test"}
"""Parts of our corpus, and their names in the original."""


@dataclass(frozen=True)
class Language:
    """A corpus: the name of its files, the training words used by default, and the SHA-256 of each part."""

    name: str
    size: int
    expected: dict[str, str]


LANGUAGES = {
    "hungarian": Language(
        "hungarian-hgds",
        50_000,
        {
            "train": "6a38a3e6db80c0c51253980fbe939c840cd508d7c058dcaed63107c8258828a8",
            "dev": "0768fcf6fbc303a42959434b9494dec09b40f71d1a468cedad9f0dfa6d9018a6",
            "test": "30b0e5de59a420195bfbbffe75d70262ea0f77a461b3b20548c28c3ba8229b19",
        },
    ),
    "icelandic": Language(
        "icelandic-icepahc",
        25_000,
        {
            "train": "f74a8ba4fb630ed812d6184a198dd04ff7d249ce3ba1fdf4a49b33790b1b91ab",
            "dev": "104d663fbf02fcd1b349e8dc9090a5e7759204e0a633185fe6c5217c99b6d413",
            "test": "4eff0c9542d634de41e7c91c137eec85e8a8d4c79dc15240bb76d2bc20b9b90d",
        },
    ),
}


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/spelling_normalisation")
    corpora.add_download_options(parser, "LANGUAGE/*.txt", HOME, "datasets/historical")
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES), help="(default: both)")
    parser.add_argument("--size", type=corpora.size, metavar="N", help="training words (50000 and 25000)")
    options = parser.parse_args()
    for name in options.languages:
        language = LANGUAGES[name]
        texts, spellings = dict[str, bytes](), dict[str, str]()
        for part, original in PARTS.items():
            words = pairs(read(options.folder, options.url, name, original))
            if part == "train":
                words = words[: options.size or language.size]
                spellings = most_frequent(words)
            else:
                texts[f"{part}.memorised"] = corpora.joined(spellings.get(word, word) for word, _ in words)
            texts[f"{part}.historical"] = corpora.joined(historical for historical, _ in words)
            texts[f"{part}.modern"] = corpora.joined(modern for _, modern in words)
        corpora.write(options.to / name, texts)


def read(folder: Path | None, url: str, name: str, part: str) -> str:
    """Return the original text of a part of a language, from a folder if one is given."""
    language = LANGUAGES[name]
    path = f"{name}/{language.name}.{part}.txt"
    if folder is None:
        return corpora.checked(corpora.download(f"{url}/{path}"), f"{url}/{path}", language.expected[part]).decode()
    if not (folder / path).is_file():
        raise corpora.CorpusError(f"{folder}: has no {path}; --from is the folder datasets/historical of histnorm")
    return corpora.checked((folder / path).read_bytes(), str(folder / path), language.expected[part]).decode()


def pairs(text: str) -> list[tuple[str, str]]:
    r"""Return the words of a table with their modern spelling, preprocessed, without punctuation and empty words.

    >>> pairs("Es\tés\n.\t.\n\n15\t15\nvaꝛoſba\tvárosba\n")
    [('es', 'és'), ('00', '00'), ('vaꝛoſba', 'városba')]
    """
    found = []
    for line in text.split("\n"):
        words = line.rstrip().split("\t")
        if len(words) < 2 or any(word and all(map(_is_punctuation, word)) for word in words):
            continue
        historical, modern = (unicodedata.normalize("NFC", word).lower() for word in words)
        if historical == modern and re.search("[0-9]", historical):
            historical = modern = re.sub(r"\d", "0", historical)
        found.append((historical, modern))
    return found


def most_frequent(words: list[tuple[str, str]]) -> dict[str, str]:
    """Return the most frequent modern spelling of each word; of equally frequent ones, the first.

    >>> most_frequent([("es", "és"), ("es", "is"), ("es", "is"), ("o", "ó"), ("o", "ő")])
    {'es': 'is', 'o': 'ó'}
    """
    counts = defaultdict[str, Counter[str]](Counter)
    for historical, modern in words:
        counts[historical][modern] += 1
    return {historical: spellings.most_common(1)[0][0] for historical, spellings in counts.items()}


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


if __name__ == "__main__":
    corpora.run(main)
