"""Export of a tokenizer as that of Marian in transformers: a SentencePiece model for each side, and a vocabulary.

Its tokens are looked up by their text. So it can hold what tokenizer.json cannot: vocabularies of OPUS-MT, which lack
some pieces of a side, or have characters that only the SentencePiece model of the other side knows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.exporting.sentencepiece_files import token_names, write_tokenizer

FILE = "vocab.json"
_UNKNOWN_LANGUAGE = "und"


def can_represent(exported: ExportedModel) -> bool:
    """Return whether MarianTokenizer can hold the tokenizer; all its translations begin with pad."""
    tokenizer, special = exported.tokenizer, exported.tokenizer.special_tokens
    sides = tokenizer.source, tokenizer.target
    return (
        not tokenizer.joint
        and all(side.segmenter.sentencepiece_model is not None for side in sides)
        and all(names[special.unk] == "<unk>" for names in token_names(tokenizer))
        and special.decoder_start == special.pad
        and exported.after_source == [special.eos]
        and len(exported.source_prefix) <= 1
        and all(side.entries[i] == f">>{name[1:]}<<" for side in sides for name, i in side.tags.items())
    )


def write_marian_tokenizer(exported: ExportedModel, folder: Path, max_length: int) -> Mapping[str, Any]:
    """Write source.spm, target.spm, vocab.json, tokenizer_config.json and normalization.py; return values of the usage.

    Args:
        max_length: Of a source, in tokens.
    """
    tokenizer, special = exported.tokenizer, exported.tokenizer.special_tokens
    write_tokenizer(tokenizer, folder, "transformers")
    names = token_names(tokenizer)
    is_separate = names[0] != names[1]
    for file, entries in zip((FILE, *(["target_vocab.json"] if is_separate else [])), names, strict=False):
        files.write_json(folder / file, {entry: i for i, entry in enumerate(entries)})
    languages = zip(("source_lang", "target_lang"), exported.languages, strict=True)
    settings = {
        "tokenizer_class": "MarianTokenizer",
        **{key: language for key, language in languages if language != _UNKNOWN_LANGUAGE},
        "unk_token": names[0][special.unk],
        "eos_token": names[0][special.eos],
        "pad_token": names[0][special.pad],
        "separate_vocabs": is_separate,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
        "sp_model_kwargs": {},
    }
    files.write_json(folder / "tokenizer_config.json", settings)
    prefix = [names[0][i] for i in exported.source_prefix]
    return {"target_tokenizer": None, "prefix": prefix, "normalization": tokenizer.normalization}


def text_of_source(exported: ExportedModel, line: str) -> str:
    """Return what MarianTokenizer reads for a line: its language and the normalised text."""
    tokenizer = exported.tokenizer
    return "".join(tokenizer.source.entries[i] for i in exported.source_prefix) + tokenizer.normalize(line)
