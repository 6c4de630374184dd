"""Marian, called from Python: the program that verifies exports to Marian and imports from it."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.marian import DECODER_FILE, MODEL_FILE
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.exporting.sentencepiece_files import ExportedText, token_names
from nmt_cli.interop.marian_files import read_yaml

_MAX_SECONDS = 900
"""Longest time of Marian for scores."""


class MarianProgram:
    """An export, loaded by Marian from Python, and SentencePiece."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        import pymarian  # noqa: F401

        names = token_names(exported.tokenizer)
        self._folder, self._text, self._names = folder, ExportedText(exported.tokenizer, folder, *names), names
        self._before = exported.source_prefix
        self._vocabularies = read_yaml((folder / DECODER_FILE).read_bytes(), DECODER_FILE)["vocabs"].split("\n")

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        return self._text.encode_source(lines)

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        return self._text.decode_target(rows)

    def score(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        """See TargetProgram."""
        rows = [[*self._before, *row] for row in sources], targets
        tokens = [[[names[i] for i in row] for row in each] for names, each in zip(self._names, rows, strict=True)]
        return word_scores(self._folder / MODEL_FILE, [self._folder / name for name in self._vocabularies], tokens)


def word_scores(
    model: Path, vocabularies: Sequence[Path], tokens: Sequence[Sequence[Sequence[str]]]
) -> list[list[float]]:
    """Return the log-probabilities of the tokens and eos of each target, by Marian, which prints five decimals.

    Args:
        vocabularies: Of both sides, in YAML.
        tokens: The names of the tokens of all sources, and of all targets.

    Raises:
        ModelError: Marian cannot read the model.
    """
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch) / "source", Path(scratch) / "target"]
        for path, rows in zip(paths, tokens, strict=True):
            path.write_text("".join(" ".join(row) + "\n" for row in rows), encoding="utf-8")
        options = [
            "--model",
            model,
            "--vocabs",
            *vocabularies,
            "--train-sets",
            *paths,
            "--word-scores",
            "--cpu-threads",
            1,
        ]
        try:
            finished = subprocess.run(
                [sys.executable, "-P", "-m", "pymarian", "score", *map(str, options)],
                capture_output=True,
                text=True,
                timeout=_MAX_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(f"Marian took more than {_MAX_SECONDS} seconds to score {model}") from error
    if finished.returncode:
        reasons = [line.partition("Error: ")[2] for line in finished.stderr.split("\n") if "Error: " in line]
        raise ModelError(f"Marian cannot read {model}: {'; '.join(reasons)}")
    lines = finished.stdout.removesuffix("\n").split("\n")
    return [[float(score) for score in line.partition("WordScores= ")[2].split()] for line in lines]
