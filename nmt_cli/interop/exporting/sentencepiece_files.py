"""A tokenizer as files for programs that know SentencePiece: its models, and the normalisation before them."""

import runpy
import shutil
from pathlib import Path

import sentencepiece

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.text import normalization

_SENTENCEPIECE_FILES = ("source.spm", "target.spm")
_NORMALIZATION = "normalization.py"


def write_tokenizer(tokenizer: Tokenizer, folder: Path, program: str) -> None:
    """Write source.spm, target.spm and normalization.py; ModelError if a side is not a SentencePiece model."""
    for name, side in zip(_SENTENCEPIECE_FILES, (tokenizer.source, tokenizer.target), strict=True):
        content = side.segmenter.sentencepiece_model
        if content is None:
            raise ModelError(
                f"tokenizer.algorithm: {side.segmenter.name} is not supported by {program}, which uses SentencePiece"
            )
        (folder / name).write_bytes(content)
    shutil.copyfile(normalization.__file__, folder / _NORMALIZATION)


class ExportedText:
    """Text in the tokens of an export, by the files of `write_tokenizer`."""

    def __init__(self, tokenizer: Tokenizer, folder: Path, source_names: list[str], target_names: list[str]) -> None:
        """`source_names` and `target_names` are the names of the tokens in the export, by id."""
        normalizations = runpy.run_path(str(folder / _NORMALIZATION))["NORMALIZATIONS"]
        self._normalize = normalizations[tokenizer.normalization]
        self._source, self._target = (
            sentencepiece.SentencePieceProcessor(model_file=str(folder / name)) for name in _SENTENCEPIECE_FILES
        )
        self._ids, self._unk = {name: i for i, name in enumerate(source_names)}, tokenizer.special_tokens.unk
        self._target_names = target_names

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        """See TargetProgram."""
        rows = [self._source.encode(self._normalize(line), out_type=str) for line in lines]
        return [[self._ids.get(piece, self._unk) for piece in row] for row in rows]

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        """See TargetProgram."""
        texts = [self._target.decode([self._target_names[token] for token in row]) for row in rows]
        return [normalization.one_line(text) for text in texts]


def token_names(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """Return the names of the entries of the source and the target vocabulary, by id.

    CTranslate2 knows tokens by their names alone, so special tokens and tags get names that no piece has.
    """
    sides = tokenizer.source, tokenizer.target
    source, target = (sorted({*side.special_tokens.ids, *side.tags.values()}) for side in sides)
    pieces = {
        piece
        for side, others in zip(sides, (source, target), strict=True)
        for token, piece in enumerate(side.entries)
        if token not in others
    }
    return _renamed(sides[0].entries, source, pieces), _renamed(sides[1].entries, target, pieces)


def _renamed(entries: list[str], others: list[int], pieces: set[str]) -> list[str]:
    """Rename the entries `others` to names that differ from all pieces and from each other."""
    names, used = list(entries), set(pieces)
    for token in others:
        while names[token] in used:
            names[token] += "special"
        used.add(names[token])
    return names
