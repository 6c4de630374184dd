"""Export to Bergamot (Bogoychev et al. 2021), the fork of Marian inside Firefox: quantised .bin and one vocabulary."""

import math
import shutil
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sentencepiece
import torch
from torch import Tensor, nn

from nmt_cli.data.shortlist import Shortlist
from nmt_cli.data.tokenizing.segmenter import Piece, PieceKind
from nmt_cli.data.tokenizing.sentencepiece_model import read_model, serialize_model
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.marian import Arrays, MarianModel, as_yaml, model_options, search_options
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.marian_files import OPTIONS
from nmt_cli.interop.marian_parameters import parameter_parts
from nmt_cli.models.contract import DecoderInput, ModelInputs
from nmt_cli.text import normalization

_EXACT, _QUANTIZED, _VOCABULARY = "model.bin", "model.intgemm.alphas.bin", "vocab.spm"
_SHORTLIST = "lex.s2t.bin"
_ALIGNMENT = 256
_FLOAT32, _INT8, _INTGEMM8 = 0x404, 0x101, 0x4101
"""Types of tensors in a .bin file; the last is that of Bergamot, and unknown to Marian."""
_LARGEST = 127.0
_EMBEDDINGS, _BIAS = "Wemb", "decoder_ff_logit_out_b"
_SCALE = "_QuantMultA"
_NUM_CALIBRATION_PAIRS = 200
_SHORTLIST_MAGIC = 0xF11A48D5013417F5
_UINT64 = 2**64 - 1
_MIN_SHORTLIST_VOCABULARY = 500
"""Entries from which a shortlist helps. Engines fill its tokens up to a multiple of eight, if as many are left."""


def write(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write a model in fp32 and in int8, its vocabulary, a configuration and its normalisation; see ExportFormat.

    Raises:
        ModelError: Bergamot does not support the model, its tokenizer or one of its parameters.
    """
    model, tokenizer = MarianModel.of(exported, "Bergamot"), exported.tokenizer
    if model.settings.tied_embeddings != "all" or not tokenizer.joint:
        raise ModelError(
            "model.tied_embeddings: all and tokenizer.joint: true are needed by Bergamot, with one vocabulary"
        )
    if model.settings.norm.position != "post":
        raise ModelError(f"model.norm.position: {model.settings.norm.position} is not supported by Bergamot, only post")
    if tokenizer.source.tags:
        raise ModelError(f"Bergamot does not support tags before lines: {', '.join(tokenizer.source.tags)}")
    if exported.held_out is None:
        raise ModelError("Bergamot needs lines to measure activations for int8; give them by --held-out SOURCE TARGET")
    order = _order(exported, model)
    (folder / _VOCABULARY).write_bytes(_vocabulary(exported, model, order))
    shutil.copyfile(normalization.__file__, folder / "normalization.py")
    arrays = dict(model.arrays)
    arrays[_EMBEDDINGS] = arrays[_EMBEDDINGS][order]
    if _BIAS in arrays:
        arrays[_BIAS] = arrays[_BIAS][:, order]
    arrays[OPTIONS] = np.frombuffer(model_options(model), np.int8)
    (folder / _EXACT).write_bytes(to_binary(arrays))
    (folder / _QUANTIZED).write_bytes(to_binary(arrays, activation_scales(exported, exported.held_out)))
    options = search_options(exported) | {
        "models": [_QUANTIZED],
        "vocabs": [_VOCABULARY] * 2,
        "relative-paths": True,
        "gemm-precision": "int8shiftAlphaAll",
        "skip-cost": True,
        "max-length-break": 128,
        "mini-batch-words": 1024,
        "workspace": 128,
        "alignment": "soft",
        "quiet": True,
    }
    if (shortlist := _shortlist(exported)) is not None:
        (folder / _SHORTLIST).write_bytes(binary_shortlist(shortlist, order, len(_first_rows(exported))))
        options["shortlist"] = [_SHORTLIST, False]  # false: without checking the whole file
    (folder / "config.yml").write_text(as_yaml(options), encoding="utf-8")
    return {"normalization": tokenizer.normalization, "shortlist": _SHORTLIST if shortlist else None}


def to_binary(arrays: Arrays, scales: Mapping[str, float] | None = None) -> bytes:
    """Return the content of a .bin file, sorted by name.

    Args:
        arrays: Marian's tensors, by name.
        scales: 127 / max|activation| of the inputs of each matrix. If given, all matrices are quantised to int8.
    """
    arrays = dict(arrays)
    if scales is not None:
        arrays |= {f"{name}{_SCALE}": np.array([[scale]], np.float32) for name, scale in scales.items()}
    tensors = list[tuple[str, tuple[int, ...], int, bytes]]()
    for name, array in sorted(arrays.items()):
        if name == OPTIONS:
            tensors.append((name, array.shape, _INT8, array.tobytes()))
        elif scales is not None and name in scales:
            content = _quantized(array if name == _EMBEDDINGS else array.T)
            tensors.append((name, array.shape, _INTGEMM8, content))
        else:
            tensors.append((name, array.shape, _FLOAT32, array.astype("<f4").tobytes()))
    names = b"".join(name.encode() + b"\0" for name, _, _, _ in tensors)
    contents = [content + bytes(-len(content) % _ALIGNMENT) for _, _, _, content in tensors]
    head = struct.pack("<QQ", 1, len(tensors))
    for (name, shape, kind, _), content in zip(tensors, contents, strict=True):
        head += struct.pack("<4Q", len(name.encode()) + 1, kind, len(shape), len(content))
    head += names + b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, shape, _, _ in tensors)
    padding = -(len(head) + 8) % _ALIGNMENT
    return b"".join([head, struct.pack("<Q", padding), bytes(padding), *contents])


def binary_shortlist(shortlist: Shortlist, order: Sequence[int], num_first: int) -> bytes:
    """Return the content of a shortlist file: for each source id, the ascending target ids of its translations.

    Args:
        order: nmt's id of each row.
        num_first: Number of rows that any translation may contain.
    """
    new_ids = np.empty(len(order), np.int64)
    new_ids[order] = np.arange(len(order))
    rows = [np.sort(new_ids[shortlist.translations[i]]) for i in order]
    counts = np.array(list(map(len, rows)), np.int64)
    sizes = num_first, counts.max(), len(order) + 1, counts.sum()
    body = struct.pack("<4Q", *sizes) + np.append(0, np.cumsum(counts)).astype("<u8").tobytes()
    body += np.concatenate(rows).astype("<u4").tobytes()
    return struct.pack("<2Q", _SHORTLIST_MAGIC, _checksum(body)) + body


def _checksum(content: bytes) -> int:
    """Return Marian's hash of 64-bit words; bytes after the last of them do not count."""
    found = 0
    for value in np.frombuffer(content, "<u8", len(content) // 8).tolist():
        found ^= (value + 0x9E3779B9 + (found << 6) + (found >> 2)) & _UINT64
    return found


def _quantized(matrix: npt.NDArray[Any]) -> bytes:
    """Return a matrix in int8, and behind it the factor that it was multiplied by."""
    factor = np.float32(_LARGEST) / np.abs(matrix).max()
    rounded = np.clip(np.rint(matrix * factor), -_LARGEST, _LARGEST).astype(np.int8)
    return bytes(rounded.tobytes() + np.float32(factor).tobytes())


@torch.inference_mode()
def activation_scales(exported: ExportedModel, pairs: tuple[Sequence[str], Sequence[str]]) -> dict[str, float]:
    """Return 127 / max|activation| of the inputs of Marian's matrices, by name, measured on translations of lines.

    The output layer, whose matrix is that of the embeddings, is called `none` with a shortlist.
    """
    model, special = exported.model, exported.model.vocabulary.special_tokens
    device, largest = next(model.parameters()).device, defaultdict[str, float](float)

    def note(name: str, values: Tensor) -> None:
        largest[name] = max(largest[name], float(values.abs().max()))

    modules = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs[0]))
        for name, module in modules.items()
    ]
    sources, targets = (list(side[:_NUM_CALIBRATION_PAIRS]) for side in pairs)
    rows = exported.tokenizer.encode_source(sources), exported.tokenizer.encode_target(targets)
    for source, target in zip(*rows, strict=True):
        encoded = model.encode(ModelInputs.from_ids(torch.tensor([[*source, special.eos]], device=device)))
        target_input = DecoderInput(torch.tensor([[special.decoder_start, *target]], device=device))
        note("output", model.decode(encoded, target_input).hidden_states)
    for hook in hooks:
        hook.remove()
    settings = exported.transformer("Bergamot", is_marian=True)
    parts = parameter_parts(settings)
    scales = dict.fromkeys(("none", _EMBEDDINGS), _scale(largest["output"]))
    for module in modules:
        scales |= {part.name: _scale(largest[module]) for part in parts[f"{module}.weight"]}
    return scales


def _scale(largest: float) -> float:
    if not 0 < largest < math.inf:
        raise ModelError(
            f"the model's activations are {largest} on the lines of --held-out, so they have no int8 scale"
        )
    return _LARGEST / largest


def _shortlist(exported: ExportedModel) -> Shortlist | None:
    """Return the shortlist, unless the vocabulary is too small for one."""
    return exported.shortlist if exported.tokenizer.target_size >= _MIN_SHORTLIST_VOCABULARY else None


def _first_rows(exported: ExportedModel) -> list[int]:
    """Return nmt's id of the first rows, where Bergamot expects </s>, <unk> and the frequent tokens."""
    special = exported.tokenizer.special_tokens
    shortlist = _shortlist(exported)
    frequent = [] if shortlist is None else shortlist.frequent.tolist()
    return [special.eos, special.unk, *(i for i in frequent if i not in special.ids)]


def _order(exported: ExportedModel, model: MarianModel) -> list[int]:
    """Return nmt's id of each row."""
    first = _first_rows(exported)
    others = set(range(len(model.source))).difference(first)
    return [*first, *sorted(others)]


def _vocabulary(exported: ExportedModel, model: MarianModel, order: list[int]) -> bytes:
    """Return a SentencePiece model whose ids are those of the rows, and which splits text as the tokenizer does."""
    side = exported.tokenizer.source
    if (content := side.segmenter.sentencepiece_model) is None:
        raise ModelError(
            f"tokenizer.algorithm: {side.segmenter.name} is not supported by Bergamot, which uses SentencePiece"
        )
    parsed, special = read_model(content), side.special_tokens
    known = {piece.text: piece for i, piece in enumerate(parsed.pieces) if i != side.segmenter.unk}
    pieces = []
    for i in order:
        if i in special.ids:
            kind = PieceKind.UNKNOWN if i == special.unk else PieceKind.CONTROL
            pieces.append(Piece(model.source[i], 0.0, kind))
        else:
            pieces.append(known.get(side.entries[i], Piece(side.entries[i], 0.0, PieceKind.UNUSED)))
    used = (PieceKind.NORMAL, PieceKind.USER_DEFINED, PieceKind.BYTE)
    if lost := [text for text, piece in known.items() if piece.kind in used and text not in set(side.entries)]:
        raise ModelError(f"subwords of the tokenizer have no row in the model, which Bergamot needs: {lost[0]}")
    return serialize_model(replace(parsed, pieces=pieces))


class BergamotProgram:
    """An export, loaded by fxtranslate, which computes like Firefox but gives no scores."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        import fxtranslate  # noqa: F401

        self._order = _order(exported, MarianModel.of(exported, "Bergamot"))
        self._ids = {token: i for i, token in enumerate(self._order)}
        self._normalize = exported.tokenizer.normalize
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / _VOCABULARY))

    def encode_source(self, lines: list[str]) -> list[list[int]]:
        rows = self._processor.encode([self._normalize(line) for line in lines])
        return [[self._order[i] for i in row] for row in rows]

    def decode_target(self, rows: list[list[int]]) -> list[str]:
        return list(map(normalization.one_line, self._processor.decode([[self._ids[i] for i in row] for row in rows])))

    def score(self, sources: list[list[int]], targets: list[list[int]]) -> None:
        return None
