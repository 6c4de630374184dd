"""Export of a tokenizer to the format of the library tokenizers, tokenizer.json, with our ids.

Text never becomes a special token in nmt. So the names of entries that no text becomes end with a line break where
they could otherwise be found in text; no normalised text contains one.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.tokenizing.byte_level import ByteLevelSegmenter
from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind
from nmt_cli.data.tokenizing.sentencepiece_model import SentencePieceModel, read_model
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.huggingface.normalizers import (
    LINE_BREAKS_TO_SPACES,
    Normalizers,
    document_normalizers,
    nmt_normalizers,
    replacement,
    space_normalizers,
)
from nmt_cli.interop.huggingface.tokenizer_json import BYTE_TOKENS, HIDDEN, TARGET_TOKENIZER

_ALGORITHMS = ("unigram", "character", "byte", "bpe")


def write_tokenizers(exported: ExportedModel, folder: Path, max_length: int | None) -> Mapping[str, Any]:
    """Write tokenizer.json and tokenizer_config.json, for the target in a folder of its own if it differs.

    Args:
        max_length: Of a source, in tokens.

    Raises:
        ModelError: The format cannot hold the tokenizer.
    """
    tokenizer = exported.tokenizer
    prefix, after, names = exported.source_prefix, exported.after_source, tokenizer.source.entries
    write_tokenizer_json(tokenizer.source, folder, tokenizer.normalization, max_length, prefix, after)
    if not tokenizer.joint:
        (folder / TARGET_TOKENIZER).mkdir()
        target = folder / TARGET_TOKENIZER
        write_tokenizer_json(tokenizer.target, target, tokenizer.normalization, max_length, (), after)
    return {
        "target_tokenizer": None if tokenizer.joint else TARGET_TOKENIZER,
        "prefix": [names[token] for token in prefix],
        "normalization": None,
    }


def write_tokenizer_json(
    side: Vocabulary,
    folder: Path,
    normalization: str | None,
    max_length: int | None,
    before: Sequence[int],
    after: Sequence[int],
) -> list[str]:
    """Write tokenizer.json and tokenizer_config.json; return the names of the entries, by id.

    Args:
        normalization: Key in NORMALIZATIONS; None: text is documents of normalised lines.
        max_length: Of a text, in tokens.
        before: Special tokens before each text.
        after: The same, after it.

    Raises:
        ModelError: The format cannot hold the tokenizer.
    """
    special, segmenter = side.special_tokens, side.segmenter
    if isinstance(segmenter, ByteLevelSegmenter):
        json, names = _byte_level_json(side, segmenter, normalization)
    else:
        json, names = _sentencepiece_json(side, normalization)
    added = {i: names[i] for i in sorted({*special.ids, *side.tags.values()})}
    json["added_tokens"] = [_added_token(i, name) for i, name in added.items()]
    json["post_processor"] = _post_processor(names, before, after)
    files.write_json(folder / "tokenizer.json", json)
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": names[special.pad],
        "unk_token": names[special.unk],
        "bos_token": names[special.bos],
        "eos_token": names[special.eos],
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "padding_side": "right",
        "model_input_names": ["input_ids", "attention_mask"],
    }
    if max_length is not None:
        settings["model_max_length"] = max_length
    files.write_json(folder / "tokenizer_config.json", settings)
    return names


def _byte_level_json(
    side: Vocabulary, segmenter: ByteLevelSegmenter, normalization: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Return a tokenizer of byte-level BPE, and the names of its entries."""
    names = list(side.entries)
    for i, spelled in zip(side.piece_ids.tolist(), segmenter.spelled, strict=True):
        if i != side.special_tokens.unk:
            names[i] = spelled
    text = {names[i] for i in side.piece_ids.tolist()} - {names[side.special_tokens.unk]}
    hidden = side.special_tokens.ids | set(side.tags.values()) | side.without_piece
    names = [name + HIDDEN if i in hidden and name in text else name for i, name in enumerate(names)]
    merges = segmenter.model.decode().removesuffix("\n").split("\n")[1:]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    json = {
        "version": "1.0",
        "normalizer": None if normalization is None else _sequence(nmt_normalizers(normalization)),
        "pre_tokenizer": byte_level | {"add_prefix_space": segmenter.marks_first_word},
        "decoder": {"type": "Sequence", "decoders": [byte_level, *_line_breaks(normalization)]},
        "model": {
            "type": "BPE",
            "unk_token": names[side.special_tokens.unk],
            "vocab": {name: i for i, name in enumerate(names)},
            "merges": [merge.split(" ") for merge in merges],
        },
    }
    return json, names


def _sequence(steps: Normalizers) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": steps}


def _line_breaks(normalization: str | None, marks_lines: bool = False) -> list[dict[str, Any]]:
    """Return the last steps of a decoder; a document has several lines, perhaps with a mark before each."""
    if normalization is not None:
        return [LINE_BREAKS_TO_SPACES]
    return [replacement("\n ", "\n")] if marks_lines else []


def _sentencepiece_json(side: Vocabulary, normalization: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return a tokenizer that does what SentencePiece does, and the names of its entries."""
    segmenter = side.segmenter
    content = segmenter.sentencepiece_model
    if content is None or segmenter.name not in _ALGORITHMS:
        raise ModelError(
            f"tokenizer.algorithm: {segmenter.name} cannot be exported to tokenizer.json; supported are"
            f" {', '.join(_ALGORITHMS)}"
        )
    model = read_model(content)
    if not model.escape_whitespaces or model.treat_whitespace_as_suffix:
        raise ModelError("the tokenizer cannot be exported: its SentencePiece model does not mark beginnings of words")
    names = _names(side, segmenter.name)
    json = {
        "version": "1.0",
        "normalizer": _sequence(_normalizers(normalization, model)),
        "pre_tokenizer": _pre_tokenizer(side, segmenter.name),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                replacement(HIDDEN, ""),
                replacement(WORD_START, " "),
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": int(model.add_dummy_prefix), "stop": 0},
                *_line_breaks(normalization, marks_lines=model.add_dummy_prefix),
            ],
        },
        "model": _bpe(side, names) if segmenter.name == "bpe" else _unigram(side, names),
    }
    return json, names


def _names(side: Vocabulary, algorithm: str) -> list[str]:
    """Return a name for each entry, by id; those of entries that no text becomes cannot occur in text."""
    pieces = {i: text for text, i in side.ids_by_text(*PieceKind).items() if i not in side.tags.values()}
    names = [pieces.get(i, entry) for i, entry in enumerate(side.entries)]
    hidden = side.special_tokens.ids | set(side.tags.values()) | side.without_piece
    hidden |= set(side.ids_by_text(PieceKind.UNUSED).values())
    text = {name for i, name in enumerate(names) if i not in hidden}
    # BPE only finds what its merges make.
    return [
        name + HIDDEN if i in hidden and (algorithm != "bpe" or name in text) else name for i, name in enumerate(names)
    ]


def _unigram(side: Vocabulary, names: list[str]) -> dict[str, Any]:
    """Also of characters: each piece is one."""
    pieces = dict(zip(side.piece_ids.tolist(), side.segmenter.pieces, strict=True))
    kept = [piece for i, piece in pieces.items() if piece.kind == PieceKind.NORMAL and i != side.special_tokens.unk]
    _require_ids(side)
    least = min(piece.score for piece in kept)
    scores = [least] * len(names)
    for i, piece in pieces.items():
        if piece.kind in (PieceKind.NORMAL, PieceKind.USER_DEFINED) and i != side.special_tokens.unk:
            scores[i] = piece.score
    return {
        "type": "Unigram",
        "unk_id": side.special_tokens.unk,
        "vocab": [[name, score] for name, score in zip(names, scores, strict=True)],
        "byte_fallback": bool(side.byte_values()),
    }


def _require_ids(side: Vocabulary) -> None:
    """Raise ModelError for pieces that are not entries of the vocabulary."""
    kinds = PieceKind.NORMAL, PieceKind.USER_DEFINED
    for piece, i in zip(side.segmenter.pieces, side.piece_ids.tolist(), strict=True):
        if i == side.special_tokens.unk and piece.kind in kinds:
            raise ModelError(f"the tokenizer cannot be exported: its piece {piece.text!r} is not in the vocabulary")


def _bpe(side: Vocabulary, names: list[str]) -> dict[str, Any]:
    """Merges are the pairs of pieces that make a piece, best first."""
    _require_ids(side)
    if symbols := side.ids_by_text(PieceKind.USER_DEFINED):
        raise ModelError(f"tokenizer.symbols: {' '.join(symbols)}: cannot be exported with algorithm bpe")
    pieces = [piece for piece in side.segmenter.pieces if piece.kind == PieceKind.NORMAL]
    known = {piece.text for piece in pieces}

    def pairs(piece: Piece) -> list[list[str]]:
        splits = [[piece.text[:at], piece.text[at:]] for at in range(1, len(piece.text))]
        return [split for split in splits if known.issuperset(split)]

    ranked = sorted((piece for piece in pieces if len(piece.text) > 1), key=lambda piece: -piece.score)
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": names[side.special_tokens.unk],
        "fuse_unk": True,
        "byte_fallback": bool(side.byte_values()),
        "ignore_merges": False,
        "vocab": {name: i for i, name in enumerate(names)},
        "merges": [pair for piece in ranked for pair in pairs(piece)],
    }


def _pre_tokenizer(side: Vocabulary, algorithm: str) -> dict[str, Any] | None:
    """Keep the user's symbols whole, and keep text that looks like a byte token from becoming one."""
    symbols = sorted(side.ids_by_text(PieceKind.USER_DEFINED), key=len, reverse=True)
    patterns = ["|".join(map(re.escape, symbols))] if symbols else []
    if side.byte_values() and algorithm != "bpe":
        patterns.append(BYTE_TOKENS)
    splits = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in patterns
    ]
    return {"type": "Sequence", "pretokenizers": splits} if splits else None


def _normalizers(normalization: str | None, model: SentencePieceModel) -> Normalizers:
    """Return the normalisation of nmt, then that of the SentencePiece model."""
    if normalization is None:
        if model.charsmap:
            raise ModelError("the tokenizer cannot be exported: its SentencePiece model normalises line breaks, too")
        return document_normalizers(
            remove_extra_whitespaces=model.remove_extra_whitespaces, add_dummy_prefix=model.add_dummy_prefix
        )
    found = nmt_normalizers(normalization)
    if model.charsmap:
        encoded = base64.b64encode(model.charsmap).decode()
        found.append({"type": "Precompiled", "precompiled_charsmap": encoded})
    spaces = space_normalizers(
        remove_extra_whitespaces=model.remove_extra_whitespaces, add_dummy_prefix=model.add_dummy_prefix
    )
    return found + spaces


def _post_processor(names: list[str], prefix: Sequence[int], after: Sequence[int]) -> dict[str, Any]:
    single: list[dict[str, Any]] = [{"SpecialToken": {"id": names[i], "type_id": 0}} for i in prefix]
    single.append({"Sequence": {"id": "A", "type_id": 0}})
    single += [{"SpecialToken": {"id": names[i], "type_id": 0}} for i in after]
    tokens = {names[i]: {"id": names[i], "ids": [i], "tokens": [names[i]]} for i in (*prefix, *after)}
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def _added_token(i: int, name: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": i, "content": name, **flags, "special": True}
