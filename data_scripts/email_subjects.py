"""Make the Annotated Enron Subject Line Corpus (Zhang & Tetreault 2019) ready for training: emails with their subjects.

    git clone https://github.com/ryanzhumich/AESLC
    python data_scripts/email_subjects.py --from AESLC/enron_subject_line

writes {train,valid,test}.{body,subject} to data/email_subjects, one email a line, in lower case, with punctuation
separated from words. The first 80 words of each body are kept (--words), and the subject of the author, not those of
the annotators. The split of the corpus is kept. {valid,test}.first_words contain the first 10 words of each body
(--first-words), a baseline. The corpus has the licence CC BY-NC-SA 4.0.
"""

import re
from pathlib import Path

import corpora

PARTS = {"train": "train", "valid": "dev", "test": "test"}
"""Parts of our corpus, and their folders in the original."""
MARK = "\n\n@subject\n"
TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/email_subjects")
    parser.add_argument(
        "--from", type=Path, dest="origin", required=True, metavar="DIR", help="folder with train, dev and test"
    )
    parser.add_argument("--words", type=corpora.size, default=80, metavar="N", help="words of a body (80)")
    parser.add_argument("--first-words", type=corpora.size, default=10, metavar="N", help="words of the baseline (10)")
    options = parser.parse_args()
    texts = {}
    for part, folder in PARTS.items():
        emails = [read(path) for path in sorted((options.origin / folder).glob("*.subject"))]
        if not emails:
            raise corpora.CorpusError(f"{options.origin / folder}: has no file *.subject")
        bodies = [separate(body) for body, _ in emails]
        texts[f"{part}.body"] = corpora.joined(first(body, options.words) for body in bodies)
        texts[f"{part}.subject"] = corpora.joined(separate(subject) for _, subject in emails)
        if part != "train":
            texts[f"{part}.first_words"] = corpora.joined(first(body, options.first_words) for body in bodies)
    corpora.write(options.to, texts)


def read(path: Path) -> tuple[str, str]:
    """Return the body and the author's subject of an email."""
    try:
        body, mark, rest = path.read_bytes().decode().partition(MARK)
    except UnicodeDecodeError as error:
        raise corpora.CorpusError(f"{path}: is not UTF-8: {error.reason}") from error
    if not mark:
        raise corpora.CorpusError(f"{path}: must be a body, an empty line, @subject and a subject")
    return body, rest.partition("\n")[0]


def separate(text: str) -> str:
    """Return a text in lower case and one line, with spaces around its punctuation.

    >>> separate("Re: Let's meet at 10:30\\nThanks!")
    "re : let's meet at 10 : 30 thanks !"
    """
    return " ".join(TOKEN.findall(text.lower()))


def first(text: str, count: int) -> str:
    """Return the first words of a text; punctuation counts, too."""
    return " ".join(text.split(" ")[:count])


if __name__ == "__main__":
    corpora.run(main)
