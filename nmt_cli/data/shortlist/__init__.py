"""Lexical shortlists: the target tokens that may occur in the translation of given source tokens."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nmt_cli import files
from nmt_cli.data.arrays import Array, Integers, RaggedArray, concatenate_ranges
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError

_TOKENIZER = "tokenizer"
"""Key of the metadata: the fingerprint of the tokenizer that the ids are of."""
_NAMES = {"offsets", "translations", "frequent"}


@dataclass(frozen=True)
class Shortlist:
    """The likely translations of each source token, and tokens that may occur in any translation."""

    translations: RaggedArray
    """Target ids for each source id."""
    frequent: Integers
    """Frequent target ids, most frequent first."""
    target_size: int

    def target_tokens(self, sources: Iterable[Iterable[int]], required: Iterable[int] = ()) -> Integers:
        """Return the target ids that the translations of some sources may contain, in ascending order.

        Args:
            sources: Source ids.
            required: Further target ids.
        """
        is_listed = np.zeros(self.target_size, np.bool_)
        is_listed[self.frequent] = True
        is_listed[[*required]] = True
        tokens: Array = np.array([*{token for source in sources for token in source}], np.int64)
        starts = self.translations.offsets[tokens]
        lengths = self.translations.offsets[tokens + 1] - starts
        is_listed[self.translations.values[concatenate_ranges(starts, lengths)]] = True
        return np.flatnonzero(is_listed)

    def save(self, path: Path, tokenizer: Tokenizer) -> None:
        """Write the shortlist as safetensors, atomically."""
        arrays: dict[str, Array] = {
            "offsets": self.translations.offsets.astype(np.int64),
            "translations": self.translations.values.astype(np.int32),
            "frequent": self.frequent.astype(np.int32),
        }
        with files.new_file(path) as file:
            file.write(save(arrays, {_TOKENIZER: tokenizer.fingerprint}))

    @classmethod
    def load(cls, path: Path, tokenizer: Tokenizer) -> "Shortlist":
        """Read a shortlist for a tokenizer; ModelError if it is damaged, or belongs to another one."""
        with files.read_errors(path, ModelError):
            files.open_regular(path).close()
        try:
            with safe_open(path, framework="numpy") as opened:
                metadata, names = opened.metadata() or {}, set(opened.keys())
                arrays: dict[str, Any] = {name: opened.get_tensor(name) for name in names & _NAMES}
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: is not a valid safetensors file: {error}") from error
        if metadata.get(_TOKENIZER) != tokenizer.fingerprint:
            raise ModelError(f"{path}: is the shortlist of another vocabulary; make one with nmt shortlist")
        if names != _NAMES or not _are_valid(arrays, tokenizer):
            raise ModelError(f"{path}: is not a shortlist of this version of nmt, or is damaged")
        translations = RaggedArray(arrays["offsets"], arrays["translations"].astype(np.int64))
        return cls(translations, arrays["frequent"].astype(np.int64), tokenizer.target_size)


def _are_valid(arrays: dict[str, Array], tokenizer: Tokenizer) -> bool:
    """Whether types, shapes and ids are those of a shortlist for the tokenizer."""
    offsets, ids = arrays["offsets"], [arrays["translations"], arrays["frequent"]]
    return (
        offsets.dtype == np.int64
        and offsets.shape == (tokenizer.source_size + 1,)
        and all(each.dtype == np.int32 and each.ndim == 1 for each in ids)
        and all(not each.size or 0 <= each.min() <= each.max() < tokenizer.target_size for each in ids)
        and offsets[0] == 0
        and bool((offsets[1:] >= offsets[:-1]).all())
        and offsets[-1] == len(arrays["translations"])
    )
