"""Vocabularies of other toolkits, whose ids are kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import Piece, PieceKind, Segmenter
from nmt_cli.data.tokenizing.segmenters import SEGMENTERS
from nmt_cli.data.tokenizing.sentencepiece_model import read_model, serialize_pieces, serialize_settings
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import read_object
from nmt_cli.text.normalization import NORMALIZATIONS
from nmt_cli.text.special_tokens import SpecialTokens

_MAX_SIZE = 256 * 2**20


def is_opus_language_tag(entry: str) -> bool:
    """Return whether a vocabulary entry selects a target language, as `>>deu<<` does in OPUS-MT."""
    return entry.startswith(">>") and entry.endswith("<<") and len(entry) > 4


def read_sentencepiece(path: Path) -> Segmenter:
    """Read a SentencePiece model and keep it as it is, its normalisation included."""
    if not path.is_file() or path.stat().st_size > _MAX_SIZE:
        raise ModelError(f"{path}: is missing, or too large to be a SentencePiece model")
    content = path.read_bytes()
    try:
        return SEGMENTERS[read_model(content).algorithm](content)
    except Exception as error:  # SentencePiece raises untyped errors
        raise ModelError(f"{path}: is not a SentencePiece model, or is damaged") from error


def read_merges(path: Path) -> list[list[str]]:
    """Read the `merges.txt` of a byte-level BPE: a pair of pieces in each line, after a line with the version."""
    if not path.is_file() or path.stat().st_size > _MAX_SIZE:
        raise ModelError(f"{path}: is missing, or too large to be a list of merges")
    lines = path.read_text("utf-8", errors="replace").split("\n")
    merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    if wrong := next((merge for merge in merges if len(merge) != 2), None):
        raise ModelError(f"{path}: {' '.join(wrong)!r} is not a pair of pieces")
    return merges


def exported_normalization(folder: Path) -> str:
    """Return the normalisation before SentencePiece that an export of nmt names, else `none`."""
    path = folder / files.MANIFEST
    name = read_object(path).get("normalization", "none") if path.is_file() else "none"
    if name not in NORMALIZATIONS:
        raise ModelError(f"{path}: normalization: {name!r} is not known")
    return str(name)


def vocabulary_of(
    segmenter: Segmenter, entries: list[str], special: SpecialTokens, tags: Mapping[str, int]
) -> Vocabulary:
    """Return a vocabulary whose entries may be pieces of another segmenter: they are decoded, but never encoded.

    Names such as `<mask>` and `<row_5>` are not text and are never generated.
    """
    known = {piece.text for piece in segmenter.pieces}
    others = {*special.ids, *tags.values()}
    missing = [entry for i, entry in enumerate(entries) if i not in others and entry not in known and entry[:1] != "<"]
    if segmenter.name == "unigram":  # in BPE, they would change the merges
        segmenter = segmenter.with_pieces([Piece(entry, 0.0, PieceKind.UNUSED) for entry in missing])
    return Vocabulary(segmenter, entries, special, tags)


def joint_tokenizer(segmenter: Segmenter, entries: list[str], special: SpecialTokens) -> Tokenizer:
    """Return a tokenizer with one vocabulary for both sides."""
    vocabulary = Vocabulary(segmenter, entries, special)
    return Tokenizer("none", vocabulary, vocabulary)


def entries_by_id(path: Path, ids: Mapping[str, Any], size: int) -> list[str]:
    """Return the entries by id; rows without an entry get names that text cannot become."""
    entries = dict[int, str]()
    for entry, i in ids.items():
        if type(i) is not int or not 0 <= i < size or i in entries:
            raise ModelError(f"{path}: {entry!r}: its id {i!r} is used twice, or not below {size:,}")
        entries[i] = entry
    return [entries.get(i, f"<row_{i}>") for i in range(size)]


def word_segmenter(words: Sequence[str]) -> Segmenter:
    """Return a segmenter of words, each beginning with ▁, for text whose tokens are separated by spaces."""
    return SEGMENTERS["word"](_serialize(words) + serialize_settings("word", remove_extra_whitespaces=True))


def character_segmenter(characters: Sequence[str]) -> Segmenter:
    """Return a segmenter of characters that does not mark the first word of a line; spaces are unknown."""
    settings = serialize_settings("character", add_dummy_prefix=False)
    return SEGMENTERS["character"](_serialize(characters) + settings)


def _serialize(pieces: Sequence[str]) -> bytes:
    known = [Piece("<unk>", 0.0, PieceKind.UNKNOWN), *(Piece(piece, -float(i)) for i, piece in enumerate(pieces))]
    return serialize_pieces(known)
