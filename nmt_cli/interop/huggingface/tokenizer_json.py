"""Tokenizers in the format of the library tokenizers, `tokenizer.json`, as transformers and exports of nmt write it.

Unigram and BPE models with the rules of SentencePiece become SentencePiece models again. Byte-level BPE has the rules
of GPT-2. Whatever else a file describes is refused.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from nmt_cli.data.tokenizing.byte_level import ByteLevelSegmenter, piece_text, serialize_byte_level
from nmt_cli.data.tokenizing.segmenter import WORD_START, Piece, PieceKind, Segmenter
from nmt_cli.data.tokenizing.segmenters import SEGMENTERS
from nmt_cli.data.tokenizing.sentencepiece_model import serialize_pieces, serialize_settings
from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import read_object
from nmt_cli.interop.huggingface.normalizers import (
    EXTRA_SPACES,
    Normalizers,
    document_normalizers,
    space_normalizers,
    split_normalization,
    substitution,
)

TOKENIZER = "tokenizer.json"
TARGET_TOKENIZER = "target_tokenizer"
"""Folder of the tokenizer of the target side, in exports whose sides have tokenizers of their own."""
HIDDEN = "\r"
"""End of the names of entries that text must not become, in exports; no normalised text contains it."""
BYTE_TOKENS = "(?<=<)(?=0x[0-9A-F]{2}>)"
"""Pattern by which exports split text such as `<0x41>`, so that it does not become the token of a byte."""
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_SPACES = [
    EXTRA_SPACES,
    substitution(" {2,}", WORD_START),
    {"type": "Strip", "strip_left": False, "strip_right": True},
]
"""Steps by which transformers approximates SentencePiece's removal of extra spaces."""
_METASPACE: Mapping[str, Any] = {
    "type": "Metaspace",
    "replacement": WORD_START,
    "prepend_scheme": "always",
    "add_prefix_space": True,
    "split": True,
}
_UNSUPPORTED = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
"""Options of BPE."""
_MAX_PIECE_LENGTH = 1024
"""In characters; the time to check the merges of a piece is quadratic in its length."""


@dataclass(frozen=True)
class JsonTokenizer:
    """What a file describes."""

    segmenter: Segmenter
    entries: Mapping[int, str]
    """By id."""
    unk: int | None
    added: frozenset[int]
    """Ids of tokens that text does not become: special tokens and tags."""
    normalization: str
    """Key in NORMALIZATIONS."""
    before: Sequence[int]
    """Tokens before each text."""
    after: Sequence[int]
    is_exported: bool
    """Whether nmt has written the file."""


def read_tokenizer_json(path: Path) -> JsonTokenizer:
    """Read a file; ModelError if it is missing or damaged, or describes what nmt cannot represent."""
    content = read_object(path)
    try:
        return _parsed(path, content)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: is damaged: {error!r}") from error


def _parsed(path: Path, content: Mapping[str, Any]) -> JsonTokenizer:
    model, splitter, added = content["model"], content["pre_tokenizer"] or {}, content["added_tokens"]
    if model["type"] not in ("Unigram", "BPE"):
        raise ModelError(f"{path}: model: {model['type']} is not supported; supported are Unigram and BPE")
    if visible := [token["content"] for token in added if not token["special"]]:
        raise ModelError(f"{path}: added_tokens: {visible[0]!r}: is not special, which is not supported")
    is_unigram = model["type"] == "Unigram"
    names = {i: name for name, i in model["vocab"].items()} if not is_unigram else dict(enumerate(_names(model)))
    names |= {int(token["id"]): str(token["content"]) for token in added}
    ids, texts = frozenset(int(token["id"]) for token in added), set(names.values())
    named = {name: i for i, name in names.items()}
    unk = model["unk_id"] if is_unigram else named.get(model.get("unk_token"))
    normalizer = content["normalizer"]
    steps = normalizer["normalizers"] if normalizer and normalizer["type"] == "Sequence" else [normalizer]
    normalization, steps = split_normalization([step for step in steps if step])
    is_byte_level = splitter.get("type") == "ByteLevel"
    if is_byte_level:
        segmenter: Segmenter = _byte_level(path, model, splitter, steps)
    else:
        segmenter = _sentencepiece(path, names, ids - {unk}, unk, content, steps)
    entries = {}
    for i, name in names.items():
        bare = name.removesuffix(HIDDEN)
        entry = bare if i in ids or bare not in texts else name
        entries[i] = piece_text(entry) if is_byte_level and i not in ids else entry
    if is_byte_level and unk is None:
        unk = named.get("<unk>")
    before, after = _special_tokens_around(path, content["post_processor"])
    if missing := [i for i in (*before, *after) if i not in names]:
        raise ModelError(f"{path}: post_processor: adds the token {missing[0]!r}, which is not an entry")
    decoder = content["decoder"] or {}
    is_exported = decoder.get("type") == "Sequence"
    return JsonTokenizer(segmenter, entries, unk, ids, normalization, before, after, is_exported)


def _names(model: Mapping[str, Any]) -> list[str]:
    return [str(name) for name, _ in model["vocab"]]


def _byte_level(
    path: Path, model: Mapping[str, Any], splitter: Mapping[str, Any], steps: Normalizers
) -> ByteLevelSegmenter:
    unsupported = [name for name in (*_UNSUPPORTED, "byte_fallback") if model.get(name)]
    if model["type"] != "BPE" or steps or unsupported or splitter.get("use_regex", True) is not True:
        raise ModelError(f"{path}: is not a byte-level BPE with the rules of GPT-2")
    segmenter = ByteLevelSegmenter(serialize_byte_level(_merges(model), bool(splitter["add_prefix_space"])))
    known = set(model["vocab"])
    if missing := [spelled for spelled in segmenter.spelled[1:] if spelled not in known]:
        raise ModelError(f"{path}: has no entry for {missing[0]!r}, which merges make")
    return segmenter


def _merges(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    return [(str(left), str(right)) for left, right in pairs]


def _sentencepiece(
    path: Path,
    names: Mapping[int, str],
    others: frozenset[int],
    unk: int | None,
    content: Mapping[str, Any],
    steps: Normalizers,
) -> Segmenter:
    """Return a SentencePiece model with the pieces of a file.

    Args:
        names: By id.
        others: Ids that are not pieces.
        steps: Normalisation after that of nmt.
    """
    model, splitter = content["model"], content["pre_tokenizer"]
    charsmap = b""
    if steps and steps[0]["type"] == "Precompiled":
        charsmap, steps = base64.b64decode(steps[0]["precompiled_charsmap"] or "", validate=True), steps[1:]
    spaces = _spaces(steps, splitter, has_charsmap=bool(charsmap))
    if spaces is None or unk is None or any(model.get(name) for name in _UNSUPPORTED):
        raise ModelError(f"{path}: normalizer, pre_tokenizer or model: do not have the rules of SentencePiece")
    symbols = _symbols(splitter)
    has_bytes, algorithm = bool(model.get("byte_fallback")), "unigram" if model["type"] == "Unigram" else "bpe"
    pieces = [Piece(names[unk], 0.0, PieceKind.UNKNOWN)]
    kept = {i: name for i, name in names.items() if i not in others and i != unk}
    if has_bytes:
        pieces += [Piece(name, 0.0, PieceKind.BYTE) for name in kept.values() if _BYTE.fullmatch(name)]
        kept = {i: name for i, name in kept.items() if not _BYTE.fullmatch(name)}
    if algorithm == "unigram":
        scores = [float(score) for _, score in model["vocab"]]
        pieces += [_unigram_piece(name, scores[i], symbols) for i, name in kept.items() if not _is_unused(name)]
    else:
        pieces += _bpe_pieces(path, list(kept.values()), _merges(model))
    settings = serialize_settings(algorithm, charsmap=charsmap, byte_fallback=has_bytes, **spaces)
    try:
        return SEGMENTERS[algorithm](serialize_pieces(pieces) + settings)
    except RuntimeError as error:  # of SentencePiece
        raise ModelError(f"{path}: does not have the pieces of a SentencePiece model") from error


def _spaces(steps: Normalizers, splitter: Any, *, has_charsmap: bool) -> dict[str, bool] | None:
    """Return how spaces are treated, as fields of SentencePieceModel; None if not as by SentencePiece."""
    for removes_extra in (False, True):
        for adds_prefix in (False, True):
            spaces = {"remove_extra_whitespaces": removes_extra, "add_dummy_prefix": adds_prefix}
            if steps in (space_normalizers(**spaces), document_normalizers(**spaces)):
                return spaces
    parts = splitter["pretokenizers"] if splitter and splitter["type"] == "Sequence" else [splitter]
    is_metaspace = bool(parts[-1]) and all(_METASPACE.get(key) == value for key, value in parts[-1].items())
    # Without a charsmap, other spaces than U+0020 would not separate words.
    if is_metaspace and parts[:-1] in ([], [{"type": "WhitespaceSplit"}]) and has_charsmap:
        return {"remove_extra_whitespaces": True} if all(step in _SPACES for step in steps) else None
    return None


def _symbols(splitter: Any) -> set[str]:
    """Return the user's symbols, which an export keeps whole by a pattern."""
    patterns = [
        part["pattern"]["Regex"]
        for part in (splitter or {}).get("pretokenizers", [])
        if part["type"] == "Split" and part["pattern"]["Regex"] != BYTE_TOKENS
    ]
    escaped = [symbol for pattern in patterns for symbol in re.findall(r"(?:\\.|[^|\\])+", pattern, re.DOTALL)]
    return {re.sub(r"\\(.)", r"\1", symbol, flags=re.DOTALL) for symbol in escaped}


def _is_unused(name: str) -> bool:
    """Return whether an entry of an export is never generated, such as a row without a name."""
    return name.endswith(HIDDEN) and name.startswith("<")


def _unigram_piece(name: str, score: float, symbols: set[str]) -> Piece:
    if name.endswith(HIDDEN):
        return Piece(name.removesuffix(HIDDEN), 0.0, PieceKind.UNUSED)
    return Piece(name, score, PieceKind.USER_DEFINED if name in symbols else PieceKind.NORMAL)


def _bpe_pieces(path: Path, names: Sequence[str], merges: Sequence[tuple[str, str]]) -> list[Piece]:
    """Return pieces whose scores give the merges: SentencePiece joins any two pieces that make another one."""
    made = [text for text, _ in groupby(left + right for left, right in merges)]
    if any(len(text) > _MAX_PIECE_LENGTH for text in made):
        raise ModelError(f"{path}: merges: make pieces of more than {_MAX_PIECE_LENGTH} characters")
    pieces = [*made, *(name for name in names if len(name) == 1)]
    known, expected = set(pieces), set[tuple[str, str]]()
    for text in made:
        splits = ((text[:at], text[at:]) for at in range(1, len(text)))
        expected |= {split for split in splits if known.issuperset(split)}
    if len(made) != len(set(made)) or set(merges) != expected or not known <= set(names):
        raise ModelError(f"{path}: merges: are not those of a SentencePiece model")
    return [Piece(text, -float(rank)) for rank, text in enumerate(pieces)]


def _special_tokens_around(path: Path, post_processor: Any) -> tuple[list[int], list[int]]:
    """Return the tokens before and after each text."""
    match post_processor:
        case None | {"type": "ByteLevel"}:
            return [], []
        case {"type": "RobertaProcessing", "cls": [_, int(first)], "sep": [_, int(last)]}:
            return [first], [last]
        case {"type": "TemplateProcessing", "single": list(items), "special_tokens": dict(tokens)}:
            ids = [tokens[item["SpecialToken"]["id"]]["ids"] if "SpecialToken" in item else None for item in items]
            middle = ids.index(None)
            return [i for each in ids[:middle] for i in each or []], [i for each in ids[middle:] for i in each or []]
        case _:
            raise ModelError(f"{path}: post_processor: {post_processor.get('type')} is not supported")
