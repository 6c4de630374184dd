"""Prepare the pronunciation task of SIGMORPHON 2021: words in letters, with their pronunciation in phones.

    git clone https://github.com/sigmorphon/2021-task1
    python data_scripts/pronunciation.py --from 2021-task1/data/medium
    python data_scripts/pronunciation.py --from 2021-task1/data/medium --languages fre bul

writes {train,valid,test}.{letters,phones} to data/pronunciation/LANGUAGE, separated by spaces, so that each letter and
each phone is a word. The task's own split is kept. --from is a folder of its tables LANGUAGE_{train,dev,test}.tsv. The
data is from Wiktionary, under CC BY-SA 3.0.
"""

from pathlib import Path

import corpora

PARTS = {"train": "train", "valid": "dev", "test": "test"}
"""Parts of our corpus, and what the task calls them."""


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/pronunciation")
    parser.add_argument("--from", type=Path, dest="origin", required=True, metavar="DIR", help="folder of the tables")
    parser.add_argument("--languages", nargs="+", metavar="CODE", help="such as fre (default: all in the folder)")
    options = parser.parse_args()
    languages = options.languages or sorted(
        path.name.removesuffix("_train.tsv") for path in options.origin.glob("*_train.tsv")
    )
    if not languages:
        raise corpora.CorpusError(f"{options.origin}: has no file LANGUAGE_train.tsv")
    for language in languages:
        texts = {}
        for part, name in PARTS.items():
            letters, phones = read_table(options.origin / f"{language}_{name}.tsv")
            texts |= {f"{part}.letters": letters, f"{part}.phones": phones}
        corpora.write(options.to / language, texts)


def read_table(path: Path) -> tuple[bytes, bytes]:
    """Return the words of a table, in letters, and their pronunciations, one word a line."""
    letters, phones = list[str](), list[str]()
    for number, line in enumerate(corpora.lines(path.read_bytes()), 1):
        try:
            word, pronunciation = line.decode().split("\t")
        except UnicodeDecodeError as error:
            raise corpora.CorpusError(f"{path}:{number}: is not UTF-8: {error.reason}") from error
        except ValueError as error:
            raise corpora.CorpusError(f"{path}:{number}: must be a word, a tab and its pronunciation") from error
        letters.append(" ".join(word.replace(" ", "")))
        phones.append(" ".join(pronunciation.split()))
    return corpora.joined(letters), corpora.joined(phones)


if __name__ == "__main__":
    corpora.run(main)
