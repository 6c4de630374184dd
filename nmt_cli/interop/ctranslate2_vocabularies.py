"""The vocabularies beside a model of CTranslate2, and the tokenizers that nmt makes of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import WORD_START
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError
from nmt_cli.interop.vocabularies import read_sentencepiece, vocabulary_of, word_segmenter
from nmt_cli.text.special_tokens import SpecialTokens

_MAX_SIZE = 2**28
_SIDES = ("source", "target")


def load_tokenizer(
    folder: Path, sizes: Sequence[int], config: Mapping[str, Any]
) -> tuple[Tokenizer, tuple[list[int], list[int]]]:
    """Read both vocabularies and their SentencePiece models.

    Args:
        sizes: Rows of the embeddings of each side.
        config: Contents of config.json.

    Returns:
        The tokenizer, and for each side the row in CTranslate2 of each id in nmt, which moves special tokens to the
            front if their ids differ between the sides.

    Raises:
        ModelError: A file is missing, or does not fit the model.
    """
    defaults = {"unk": "<unk>", "bos": "<s>", "eos": "</s>"}
    unk, bos, eos = (str(config.get(f"{name}_token", default)) for name, default in defaults.items())
    sides = [_entries(folder, side, size, unk) for side, size in zip(_SIDES, sizes, strict=True)]
    pad = next((name for name in ("<blank>", "<pad>") if all(name in entries for entries in sides)), unk)
    start = str(config.get("decoder_start_token", bos))
    roles = {"pad": pad, "unk": unk, "bos": bos, "eos": eos, "decoder_start": start}
    names = list(dict.fromkeys(roles.values()))
    for side, entries in zip(_SIDES, sides, strict=True):
        if missing := [name for name in names if name not in entries]:
            raise ModelError(f"{folder}: the {side} vocabulary has no entry {missing[0]}")
    firsts = [[entries.index(name) for name in names] for entries in sides]
    if firsts[0] == firsts[1]:
        orders = [list(range(size)) for size in sizes]
    else:
        orders = [
            [*first, *(i for i in range(size) if i not in first)] for first, size in zip(firsts, sizes, strict=True)
        ]
    sides = [[entries[i] for i in order] for entries, order in zip(sides, orders, strict=True)]
    special = SpecialTokens(**{role: sides[0].index(name) for role, name in roles.items()})
    source, target = (_vocabulary(folder, side, rows, special) for side, rows in zip(_SIDES, sides, strict=True))
    is_joint = source.entries == target.entries and source.segmenter.model == target.segmenter.model
    return Tokenizer("none", source, source if is_joint else target), (orders[0], orders[1])


def _entries(folder: Path, side: str, size: int, unk: str) -> list[str]:
    names = [f"{each}_vocabulary.{kind}" for each in (side, "shared") for kind in ("json", "txt")]
    path = next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
    if not path.is_file() or path.stat().st_size > _MAX_SIZE:
        raise ModelError(f"{path}: is missing, or too large to be a vocabulary")
    if path.suffix == ".json":
        entries = files.read_json(path, ModelError)
    else:
        entries = path.read_bytes().decode(errors="replace").removesuffix("\n").split("\n")
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ModelError(f"{path}: is not a list of strings")
    if unk not in entries and size == len(entries) + 1:
        entries = [*entries, unk]  # old models do not list it
    if size != len(entries) or len(set(entries)) != len(entries):
        raise ModelError(f"{path}: must have {size:,} different entries, as the model has, not {len(entries):,}")
    return entries


def _vocabulary(folder: Path, side: str, entries: list[str], special: SpecialTokens) -> Vocabulary:
    """Return the vocabulary of a side; without a SentencePiece model, tokens are separated by spaces."""
    for name in (f"{side}.spm", "sentencepiece.model"):
        if (folder / name).is_file():
            return vocabulary_of(read_sentencepiece(folder / name), entries, special, {})
    if any(WORD_START in entry for entry in entries):
        raise ModelError(f"{folder}: has SentencePiece's tokens, but neither {side}.spm nor sentencepiece.model")
    words = [entry if i in special.ids else WORD_START + entry for i, entry in enumerate(entries)]
    segmenter = word_segmenter([word for i, word in enumerate(words) if i not in special.ids])
    return vocabulary_of(segmenter, words, special, {})
