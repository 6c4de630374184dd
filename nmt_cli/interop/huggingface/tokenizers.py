"""The tokenizers of Hugging Face models: SentencePiece or byte-level BPE, with the ids of their vocabularies."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.byte_level import ByteLevelSegmenter, piece_text, serialize_byte_level
from nmt_cli.data.tokenizing.segmenter import Segmenter
from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import read_object
from nmt_cli.interop.huggingface.architecture import special_tokens, token_id, vocabulary_size
from nmt_cli.interop.huggingface.decoder_only import FAMILIES as DECODER_ONLY
from nmt_cli.interop.huggingface.fast_tokenizers import (
    LANGUAGE,
    WITH_LANGUAGE_TOKENS,
    ImportedTokenizer,
    load_exported_language_tokenizer,
    load_fast_tokenizer,
)
from nmt_cli.interop.huggingface.tokenizer_json import TOKENIZER, read_tokenizer_json
from nmt_cli.interop.vocabularies import (
    entries_by_id,
    exported_normalization,
    is_opus_language_tag,
    joint_tokenizer,
    read_merges,
    read_sentencepiece,
    vocabulary_of,
)
from nmt_cli.text.special_tokens import SpecialTokens

_CONFIG = "tokenizer_config.json"
_SIDES = (("source", "src"), ("target", "tgt"))
"""Names of the sides in tokenizer_config.json."""
_FILES = ("source.spm", "spiece.model", "sentencepiece.bpe.model", "merges.txt")
"""Files of tokenizers; a folder without any of them has only `tokenizer.json`."""
_MBART_25_LANGUAGES = [
    *("ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN", "it_IT", "ja_XX"),
    *("kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN"),
    "zh_CN",
]
"""In the order of their ids, as the folders of mBART-25 do not list them."""


def load_tokenizer(folder: Path, config: Mapping[str, Any]) -> ImportedTokenizer:
    """Read the tokenizer of a model.

    Args:
        config: The model's configuration.

    Raises:
        ModelError: A file is missing, or the tokenizer is not supported.
    """
    own = read_object(folder / _CONFIG) if (folder / _CONFIG).is_file() else {}
    family = str(config.get("model_type"))
    if family not in _LOADERS:
        raise ModelError(f"{folder}: model_type: {family} is not supported; supported are {', '.join(_LOADERS)}")
    path = folder / "generation_config.json"
    given = {**config, **(read_object(path) if path.is_file() else {})}
    named = (own.get(f"{side}_lang") or own.get(f"{short}_lang") for side, short in _SIDES)
    source, target = (language if isinstance(language, str) else None for language in named)
    has_files = family in DECODER_ONLY or any((folder / name).is_file() for name in _FILES)
    if (folder / TOKENIZER).is_file() and not has_files:
        return load_fast_tokenizer(folder, given, (source, target))
    is_mbart_25 = _is_mbart_25(config, own)
    order = {
        "source_language_last": is_mbart_25 or (family == "m2m_100" and bool(own.get("legacy_behaviour"))),
        "target_language_first": is_mbart_25,
        "bos": family == "bart",
    }
    tokenizer = _LOADERS[family](folder, config, own)
    names = {i: name for name, i in tokenizer.source.tags.items()}
    target = target or names.get(given.get("decoder_start_token_id" if is_mbart_25 else "forced_bos_token_id") or -1)
    tokens = list(tokenizer.source.tags) if family in WITH_LANGUAGE_TOKENS else None
    return ImportedTokenizer(tokenizer, (source, target), order, tokens)


def _is_mbart_25(config: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    name = str(own.get("tokenizer_class") or config.get("tokenizer_class"))
    return config.get("model_type") == "mbart" and not name.startswith("MBart50")


def _marian(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> Tokenizer:
    """Two SentencePiece models, and a vocabulary for both languages or for each."""
    names = ["vocab.json", "target_vocab.json"] if own.get("separate_vocabs") else ["vocab.json"]
    sizes = [vocabulary_size(folder, config, key) for key in ("vocab_size", "decoder_vocab_size")]
    entries = [
        entries_by_id(folder / name, read_object(folder / name), size) for name, size in zip(names, sizes, strict=False)
    ]
    special = special_tokens(folder, config, entries[0].index("<unk>") if "<unk>" in entries[0] else None)
    segmenters = [read_sentencepiece(folder / name) for name in ("source.spm", "target.spm")]
    tags = {f"2{entry[2:-2]}": i for i, entry in enumerate(entries[0]) if is_opus_language_tag(entry)}
    source, target = (
        vocabulary_of(segmenter, rows, special, tags if rows is entries[0] else {})
        for segmenter, rows in zip(segmenters, (entries[0], entries[-1]), strict=True)
    )
    return Tokenizer(exported_normalization(folder), source, target)


def _t5(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> Tokenizer:
    """Ids are those of SentencePiece; then come the sentinels, of which the first has the highest id."""
    segmenter = read_sentencepiece(folder / "spiece.model")
    pieces = [piece.text for piece in segmenter.pieces]
    count = own.get("extra_ids", 100)
    sentinels = [f"<extra_id_{i}>" for i in reversed(range(count if isinstance(count, int) else 100))]
    known = [*pieces, *sentinels][: vocabulary_size(folder, config, "vocab_size")]
    entries = entries_by_id(folder / "spiece.model", _ids(known), vocabulary_size(folder, config, "vocab_size"))
    return joint_tokenizer(segmenter, entries, special_tokens(folder, config, segmenter.unk))


def _pegasus(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> Tokenizer:
    """Ids are those of SentencePiece plus an offset, except pad and eos."""
    segmenter = read_sentencepiece(folder / "spiece.model")
    offset = own.get("offset", 103)
    if not isinstance(offset, int) or offset < 2:
        raise ModelError(f"{folder / _CONFIG}: offset: {offset!r} is not supported")
    masks = ["<mask_1>", "<mask_2>", *(f"<unk_{i}>" for i in range(2, offset))]
    known = ["<pad>", "</s>", *masks, *(piece.text for piece in segmenter.pieces[2:])]
    entries = entries_by_id(folder / "spiece.model", _ids(known), vocabulary_size(folder, config, "vocab_size"))
    return joint_tokenizer(segmenter, entries, special_tokens(folder, config, offset + segmenter.unk))


def _bart(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> Tokenizer:
    return _byte_level(folder, config, own, None)


def _byte_level(
    folder: Path, config: Mapping[str, Any], own: Mapping[str, Any], special: SpecialTokens | None
) -> Tokenizer:
    """Byte-level BPE; special tokens are those of BART by default."""
    path, merges = folder / "vocab.json", folder / "merges.txt"
    if merges.is_file():
        add_prefix_space = bool(own.get("add_prefix_space"))
        segmenter: Segmenter = ByteLevelSegmenter(serialize_byte_level(read_merges(merges), add_prefix_space))
        ids: dict[str, Any] = {piece_text(entry): i for entry, i in read_object(path).items()}
    else:
        path = folder / TOKENIZER
        read = read_tokenizer_json(path)
        segmenter, ids = read.segmenter, {entry: i for i, entry in read.entries.items()}
    if missing := [piece.text for piece in segmenter.pieces[1:] if piece.text not in ids]:
        raise ModelError(f"{path}: has no entry for {missing[0]!r}, which merges make")
    entries = entries_by_id(path, ids, vocabulary_size(folder, config, "vocab_size"))
    if special is None:
        bos = token_id(folder, config, "bos_token_id")
        special = replace(special_tokens(folder, config, ids.get("<unk>")), bos=bos)
    return joint_tokenizer(segmenter, entries, special)


def _fairseq(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> Tokenizer:
    """mBART and NLLB: ids of SentencePiece plus one, after four special tokens; then the languages."""
    if _is_mbart_25(config, own):  # whose decoder starts with a language
        config = {**config, "decoder_start_token_id": config.get("bos_token_id", 0)}
    segmenter = read_sentencepiece(folder / "sentencepiece.bpe.model")
    first = ["<s>", "<pad>", "</s>", "<unk>"]
    ids = _ids([*first, *(piece.text for piece in segmenter.pieces[3:])])
    return _with_languages(folder, config, own, segmenter, ids)


def _m2m_100(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> Tokenizer:
    """M2M-100 has a vocab.json, NLLB does not."""
    if not (folder / "vocab.json").is_file():
        return _fairseq(folder, config, own)
    segmenter = read_sentencepiece(folder / "sentencepiece.bpe.model")
    return _with_languages(folder, config, own, segmenter, read_object(folder / "vocab.json"))


def _with_languages(
    folder: Path, config: Mapping[str, Any], own: Mapping[str, Any], segmenter: Segmenter, ids: Mapping[str, Any]
) -> Tokenizer:
    """Return a tokenizer whose tags are the languages, by their codes."""
    added = _ids_of_added_tokens(folder, own, len(ids))
    if _is_mbart_25(config, own) and not any(map(LANGUAGE.fullmatch, added)):
        added |= {token: i for i, token in enumerate(_MBART_25_LANGUAGES, len(ids))}
    tokens = {
        token: i
        for token, i in {**added, **ids}.items()
        if LANGUAGE.fullmatch(token) and token not in {piece.text for piece in segmenter.pieces}
    }
    if not tokens:
        raise ModelError(f"{folder}: names no languages in {_CONFIG}, special_tokens_map.json or added_tokens.json")
    entries = entries_by_id(folder / "vocabulary", {**ids, **tokens}, vocabulary_size(folder, config, "vocab_size"))
    tags = {token.strip("_"): i for token, i in tokens.items()}
    vocabulary = vocabulary_of(segmenter, entries, special_tokens(folder, config, entries.index("<unk>")), tags)
    return Tokenizer("none", vocabulary, vocabulary)


def _ids_of_added_tokens(folder: Path, own: Mapping[str, Any], first: int) -> dict[str, Any]:
    """Return the ids of the tokens that a model adds to SentencePiece's; those only listed begin at `first`."""
    path = folder / "added_tokens.json"
    found = read_object(path) if path.is_file() else {}
    decoder = own.get("added_tokens_decoder")
    for i, token in decoder.items() if isinstance(decoder, dict) else ():
        if isinstance(token, dict) and isinstance(token.get("content"), str) and str(i).isdecimal():
            found[token["content"]] = int(i)
    path = folder / "special_tokens_map.json"
    names = (read_object(path) if path.is_file() else own).get("additional_special_tokens")
    listed = [token.get("content") if isinstance(token, dict) else token for token in names or []]
    languages = [token for token in listed if isinstance(token, str) and LANGUAGE.fullmatch(token)]
    return {token: i for i, token in enumerate(languages, first)} | found


def _ids(entries: Iterable[str]) -> dict[str, int]:
    return {entry: i for i, entry in enumerate(entries)}


def _llama(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> Tokenizer:
    """SentencePiece, or as GPT-2."""
    path = folder / "tokenizer.model"
    if not path.is_file():
        return _gpt2(folder, config, own)
    segmenter = read_sentencepiece(path)
    pieces = _ids(piece.text for piece in segmenter.pieces)
    entries = entries_by_id(path, pieces, vocabulary_size(folder, config, "vocab_size"))
    bos, eos = (token_id(folder, config, name) for name in ("bos_token_id", "eos_token_id"))
    return joint_tokenizer(segmenter, entries, SpecialTokens(eos, segmenter.unk, bos, eos, bos))


def _gpt2(folder: Path, config: Mapping[str, Any], own: Mapping[str, Any]) -> Tokenizer:
    """Byte-level BPE, whose text begins with bos, and has no unknown tokens; or the tokenizer of an export of nmt."""
    if not (folder / "merges.txt").is_file() and (folder / files.MANIFEST).is_file():
        return load_exported_language_tokenizer(folder, config)
    bos, eos = (token_id(folder, config, name) for name in ("bos_token_id", "eos_token_id"))
    return _byte_level(folder, config, own, SpecialTokens(eos, eos, bos, eos, bos))


_LOADERS: dict[str, Callable[[Path, Mapping[str, Any], Mapping[str, Any]], Tokenizer]] = {
    "marian": _marian,
    "bart": _bart,
    "mbart": _fairseq,
    "m2m_100": _m2m_100,
    "pegasus": _pegasus,
    "t5": _t5,
    "mt5": _t5,
    "umt5": _t5,
    "gpt2": _gpt2,
    **dict.fromkeys(("llama", "mistral", "qwen2"), _llama),
}
"""By `model_type`."""
