"""The special tokens of Hugging Face models, and the tokens of their languages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.text.special_tokens import SpecialTokens

_LANGUAGE_PREFIX = ">>"
LANGUAGE = re.compile("[a-z]{2,3}_[A-Z][A-Za-z]{1,3}|__[a-z]{2,3}__")
"""Tokens of languages in mBART (de_DE), NLLB (deu_Latn) and M2M-100 (__de__)."""
WITH_LANGUAGE_TOKENS = ("mbart", "m2m_100")
"""Families with a token for each language."""


@dataclass(frozen=True)
class ReadTokenizer:
    """The tokenizer of a folder, and how its model uses special tokens."""

    tokenizer: Tokenizer
    languages: tuple[str | None, str | None]
    """Source and target language, if they are named."""
    token_order: Mapping[str, bool]
    """See ForeignModel."""
    language_tokens: list[str] | None
    """See ForeignModel."""
    source_eos: bool = True
    """See ForeignModel."""


def is_language_token(entry: str) -> bool:
    """Return whether a vocabulary entry selects a target language, as `>>deu<<` does in OPUS-MT."""
    return entry.startswith(_LANGUAGE_PREFIX) and entry.endswith("<<") and len(entry) > 4


def vocabulary_size(folder: Path, config: Mapping[str, Any], key: str) -> int:
    """Return the size of a side's vocabulary, by default that of both sides; ModelError if it is not valid."""
    size = config.get(key, config.get("vocab_size"))
    if not isinstance(size, int) or not 1 <= size <= 2**22:
        raise ModelError(f"{folder / 'config.json'}: {key}: must be the number of vocabulary entries, not {size!r}")
    return size


def special_tokens(folder: Path, config: Mapping[str, Any], unk: int | None) -> SpecialTokens:
    """Return the special tokens; a model without a start token of its own starts with pad."""
    pad, eos = (token_id(folder, config, name) for name in ("pad_token_id", "eos_token_id"))
    start = pad if config.get("decoder_start_token_id") is None else token_id(folder, config, "decoder_start_token_id")
    return SpecialTokens(pad, token_id(folder, {**config, "<unk>": unk}, "<unk>"), start, eos, start)


def token_id(folder: Path, config: Mapping[str, Any], name: str) -> int:
    """Return the id of a token that a configuration names; ModelError if it is not valid."""
    token = config.get(name)
    if type(token) is not int or not 0 <= token < vocabulary_size(folder, config, "vocab_size"):
        raise ModelError(f"{folder}: {name}: {token!r} is not an entry of the vocabulary")
    return token
