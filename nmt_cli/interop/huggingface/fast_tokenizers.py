"""Tokenizers of folders that have only `tokenizer.json`, which transformers calls fast: exports, and newer models."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SEPARATOR
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError
from nmt_cli.interop.huggingface.architecture import special_tokens, token_id, vocabulary_size
from nmt_cli.interop.huggingface.tokenizer_json import TARGET_TOKENIZER, TOKENIZER, JsonTokenizer, read_tokenizer_json
from nmt_cli.interop.vocabularies import entries_by_id, exported_normalization, is_opus_language_tag
from nmt_cli.text.special_tokens import SpecialTokens

LANGUAGE = re.compile("[a-z]{2,3}_[A-Z][A-Za-z]{1,3}|__[a-z]{2,3}__")
"""Tokens of languages in mBART (de_DE), NLLB (deu_Latn) and M2M-100 (__de__)."""
WITH_LANGUAGE_TOKENS = ("mbart", "m2m_100")
"""Families with a token for each language."""


@dataclass(frozen=True)
class ImportedTokenizer:
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


def load_fast_tokenizer(
    folder: Path, config: Mapping[str, Any], languages: tuple[str | None, str | None]
) -> ImportedTokenizer:
    """Read `tokenizer.json`, and that of the target side of an export whose sides differ.

    Args:
        config: The model's configuration and generation settings.
        languages: Source and target language, if they are named.

    Raises:
        ModelError: A file is damaged, or the tokenizer is not supported.
    """
    paths = [path for path in (folder / TOKENIZER, folder / TARGET_TOKENIZER / TOKENIZER) if path.is_file()]
    sides = [read_tokenizer_json(path) for path in paths]
    first, family, start = sides[0], config.get("model_type"), _token(config, "decoder_start")
    tags = _tags(first, config)
    is_source_last = any(i in tags for i in first.after)
    is_target_first = start in tags or (family == "mbart" and is_source_last)
    special = _special_tokens(folder, first, config, is_target_first=is_target_first)
    added = {*first.before, *first.after}
    if unknown := added - tags.keys() - {special.bos, special.eos}:
        raise ModelError(f"{paths[0]}: post_processor: adds {first.entries[min(unknown)]!r}, which is not supported")
    ids = {name: i for i, name in sorted(tags.items())}
    vocabularies = [
        Vocabulary(side.segmenter, _entries(path, side, special, vocabulary_size(folder, config, key)), special, ids)
        for path, side, key in zip(paths, sides, ("vocab_size", "decoder_vocab_size"), strict=False)
    ]
    forced_id = start if is_target_first else _token(config, "forced_bos")
    forced = None if forced_id is None else tags.get(forced_id)
    has_language_tokens = forced is not None or (family in WITH_LANGUAGE_TOKENS and bool(tags))
    (source, target), chosen = languages, next((tags[i] for i in sorted(added) if i in tags), None)
    if has_language_tokens:
        source, target = source or chosen, target or forced
    elif chosen is not None:
        target = target or chosen.removeprefix("2")
    order = {
        "source_language_last": is_source_last,
        "target_language_first": is_target_first,
        "bos": special.bos in first.before,
    }
    return ImportedTokenizer(
        Tokenizer(first.normalization, vocabularies[0], vocabularies[-1]),
        (source, target),
        order,
        [name for name in ids if name != SEPARATOR] if has_language_tokens else None,
        special.eos in first.after,
    )


def load_exported_language_tokenizer(folder: Path, config: Mapping[str, Any]) -> Tokenizer:
    """Read `tokenizer.json` of a language model that nmt has exported; ModelError as `load_fast_tokenizer`."""
    path = folder / TOKENIZER
    side = read_tokenizer_json(path)
    pad, bos, eos = (token_id(folder, config, f"{name}_token_id") for name in ("pad", "bos", "eos"))
    special = SpecialTokens(pad, eos if side.unk is None else side.unk, bos, eos, bos)
    tags = {side.entries[i].strip("<>"): i for i in sorted(side.added - special.ids)}
    entries = _entries(path, side, special, vocabulary_size(folder, config, "vocab_size"))
    vocabulary = Vocabulary(side.segmenter, entries, special, tags)
    return Tokenizer(exported_normalization(folder), vocabulary, vocabulary)


def _token(config: Mapping[str, Any], name: str) -> int | None:
    """Return the id of a special token; None if the configuration has none, or several."""
    value = config.get(f"{name}_token_id")
    return value if type(value) is int else None


def _tags(side: JsonTokenizer, config: Mapping[str, Any]) -> dict[int, str]:
    """Return the names of tags by id: tokens of languages, and in an export all added tokens that are not special."""
    tags = {i: name for i in side.added if (name := _language_of(side.entries[i])) is not None}
    if side.is_exported:
        special = {_token(config, name) for name in ("pad", "bos", "eos", "decoder_start")} | {side.unk}
        tags |= {i: side.entries[i].strip("<>") for i in side.added - special - tags.keys()}
    return tags


def _language_of(entry: str) -> str | None:
    """Return the tag that a token of a language or a target language becomes; None for other tokens."""
    if is_opus_language_tag(entry):
        return f"2{entry[2:-2]}"
    return entry.strip("<>_") if LANGUAGE.fullmatch(entry.strip("<>")) else None


def _special_tokens(
    folder: Path, side: JsonTokenizer, config: Mapping[str, Any], *, is_target_first: bool
) -> SpecialTokens:
    """Return the special tokens; decoder_start is not read if the token of a language takes its place."""
    bos = _token(config, "bos")
    if is_target_first:
        config = {**config, "decoder_start_token_id": bos or 0}
    special = special_tokens(folder, config, side.unk)
    # Other models have a bos that they do not use.
    is_used = bos is not None and (side.is_exported or bos in side.before)
    return replace(special, bos=token_id(folder, config, "bos_token_id")) if is_used else special


def _entries(path: Path, side: JsonTokenizer, special: SpecialTokens, size: int) -> list[str]:
    """Return the entries by id. A special token may have the name of a piece."""
    entries = entries_by_id(path, {entry: i for i, entry in side.entries.items() if i not in special.ids}, size)
    for i in special.ids & side.entries.keys():
        entries[i] = side.entries[i]
    return entries
