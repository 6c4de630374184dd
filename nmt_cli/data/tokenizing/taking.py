"""SentencePiece models from elsewhere → a tokenizer."""

from dataclasses import replace
from pathlib import Path

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.model_file import Entry, Kind, ModelFile, more_entries, other_habits, read_model, written
from nmt_cli.data.tokenizing.subwords import SPECIAL, Subwords
from nmt_cli.errors import ModelError

_SIDES = ("source.model", "target.model")
_LARGEST_FILE = 256 * 2**20


def is_sentencepiece(path: Path) -> bool:
    """Whether a path is that of a file, or of a folder with a model for each side that is no tokenizer of ours."""
    return path.is_file() or (not Tokenizer.is_saved_in(path) and all((path / name).is_file() for name in _SIDES))


def take_sentencepiece(path: Path) -> Tokenizer:
    """The tokenizer of one model for both sides, or of a folder that holds one for each; ModelError if it is none.

    Its pieces keep their order, behind our special tokens; its own, such as `<s>`, are left out.
    """
    models = [_read(file) for file in ([path] if path.is_file() else [path / name for name in _SIDES])]
    sides = [_side(model) for model in models]
    composes = any(model.has_charsmap for model in models)
    return Tokenizer("nfkc" if composes else "none", sides[0], sides[-1])


def _read(path: Path) -> ModelFile:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ModelError(f"{path}: is too large to be a SentencePiece model")
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        model = read_model(content)
        Subwords(content, SPECIAL)
    except Exception as error:  # SentencePiece raises whatever comes to hand
        raise ModelError(f"{path}: is no SentencePiece model, or is damaged") from error
    if model.marks_behind or not model.marks_spaces:
        raise ModelError(f"{path}: does not mark the beginnings of words, as a tokenizer must here")
    return model


def _side(model: ModelFile) -> Subwords:
    entries = [replace(entry, kind=Kind.UNUSED) if "▁" in entry.text[1:] else entry for entry in model.entries]
    segmenter = written(replace(model, entries=entries)) + other_habits(first_word=True)
    if all(entry.text != "▁" for entry in entries):
        space = Entry("▁", min(entry.score for entry in entries) - 1)
        entries, segmenter = [*entries, space], segmenter + more_entries([space])
    said = {Kind.NORMAL, Kind.SYMBOL, Kind.BYTE}
    return Subwords(segmenter, [*SPECIAL, *(entry.text for entry in entries if entry.kind in said)])
