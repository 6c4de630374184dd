"""Make the Django corpus of descriptions and Python code (Oda et al. 2015) ready for training.

    git clone https://github.com/odashi/ase15-django-dataset
    python data_scripts/django_code.py --from ase15-django-dataset/django

reads all.anno and all.code, and writes {train,valid,test}.{description,code} to data/django_code: lines 1 to 16,000,
16,001 to 17,000 and 17,001 to 18,805. In descriptions, punctuation is separated from words, as it is in the code, so
that names can be copied; quoted strings stay as they are. The corpus has the MIT licence.
"""

import re
from pathlib import Path

import corpora

EXPECTED = {
    "all.anno": "86b38c7bf6ffe2882d4603f799e92f48ddaab8a7d9b2af41bba923e59b41800a",
    "all.code": "d20b345fd3cdcf8d54b9cd123b3de4078f8f9a3c6bfc9fed9cd215bc857f99db",
}
SETS = {"train": (0, 16_000), "valid": (16_000, 17_000), "test": (17_000, 18_805)}
TOKEN = re.compile(r"""(?<!\w)'(?:\\.|[^'\\])*'(?!\w)|(?<!\w)"(?:\\.|[^"\\])*"(?!\w)|\w+|[^\w\s]""")


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/django_code")
    parser.add_argument(
        "--from", type=Path, dest="folder", metavar="DIR", required=True, help="folder with all.anno and all.code"
    )
    options = parser.parse_args()
    descriptions, code = (_read(options.folder / name, digest) for name, digest in EXPECTED.items())
    texts = {}
    for name, (first, end) in SETS.items():
        texts[f"{name}.description"] = corpora.joined(separate(line) for line in descriptions[first:end])
        texts[f"{name}.code"] = corpora.joined(" ".join(line.split()) for line in code[first:end])
    corpora.write(options.to, texts)


def separate(description: str) -> str:
    """Separate the punctuation of a description from its words; strings in quotes stay as they are.

    >>> separate("call params.get with string 'a, b', substitute it for self.x.")
    "call params . get with string 'a, b' , substitute it for self . x ."
    """
    return " ".join(" ".join(TOKEN.findall(description)).split())


def _read(path: Path, digest: str) -> list[str]:
    """Return the lines of a file; CorpusError if it is missing or not the published one."""
    if not path.is_file():
        raise corpora.CorpusError(f"{path}: is missing; clone https://github.com/odashi/ase15-django-dataset")
    text = corpora.checked(path.read_bytes(), str(path), digest)
    return [line.decode() for line in corpora.lines(text)]


if __name__ == "__main__":
    corpora.run(main)
