"""Imported models compute and translate what they do in transformers itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_models import LINES, sentencepiece, write_json
from test_ctranslate2 import ODD_LINES
from torch import Tensor

from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import create_translator
from nmt_cli.data.tokenizing.sentencepiece_model import read_model
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.decoding.translator import Translator
from nmt_cli.interop.huggingface.tokenizers import load_tokenizer
from nmt_cli.models.contract import DecoderInput

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Recommended")]

SIZES = {
    "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 64, "init_std": 0.1,
    "num_hidden_layers": 2,
}  # fmt: skip
T5 = {
    "d_model": 16, "d_kv": 6, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2, "vocab_size": 168,
    "initializer_factor": 1.0, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0,
}  # fmt: skip
SPECIAL = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
NLLB_LANGUAGES = ["eng_Latn", "fra_Latn", "zho_Hans"]


def write_marian(folder: Path) -> dict[str, Any]:
    models = [sentencepiece(60), sentencepiece(50, [line.upper() for line in LINES])]
    for name, model in zip(("source.spm", "target.spm"), models, strict=True):
        (folder / name).write_bytes(model)
    pieces = sorted({piece.text for model in models for piece in read_model(model).pieces[3:]})
    entries = ["</s>", "<unk>", *pieces, "<pad>"]
    write_json(folder / "vocab.json", {entry: i for i, entry in enumerate(entries)})
    pad = len(entries) - 1
    special = {"pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad, "bos_token_id": None}
    return SIZES | special | {"vocab_size": len(entries), "activation_function": "swish", "scale_embedding": True}


def write_bart(folder: Path) -> dict[str, Any]:
    from tokenizers.implementations import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(LINES, 330, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False)
    tokenizer.save_model(str(folder))
    # Without it, transformers adds a mask.
    return SIZES | SPECIAL | {"vocab_size": tokenizer.get_vocab_size() + 1, "forced_bos_token_id": 0}


def write_mbart(folder: Path, version: str = "") -> dict[str, Any]:
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece(60))
    languages = 25
    if version:
        from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

        write_json(folder / "special_tokens_map.json", {"additional_special_tokens": FAIRSEQ_LANGUAGE_CODES})
        languages = len(FAIRSEQ_LANGUAGE_CODES)
    first = {"forced_bos_token_id": 61 + 7} if version else {"decoder_start_token_id": 61 + 7}
    return SIZES | SPECIAL | {"vocab_size": 62 + languages, "scale_embedding": True} | first


def write_m2m_100(folder: Path) -> dict[str, Any]:
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece(60))
    pieces = [piece.text for piece in read_model((folder / "sentencepiece.bpe.model").read_bytes()).pieces[3:]]
    entries = ["<s>", "<pad>", "</s>", "<unk>", *pieces]
    write_json(folder / "vocab.json", {entry: i for i, entry in enumerate(entries)})
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

    languages = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    write_json(folder / "special_tokens_map.json", {"additional_special_tokens": languages})
    first = len(entries) + languages.index("__fr__")
    size = len(entries) + len(languages) + 8
    return SIZES | SPECIAL | {"vocab_size": size, "scale_embedding": True, "forced_bos_token_id": first}


def write_nllb(folder: Path) -> dict[str, Any]:
    (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece(60, model_type="bpe"))
    return SIZES | SPECIAL | {"vocab_size": 65, "scale_embedding": True, "forced_bos_token_id": 62}


def write_spiece(folder: Path) -> None:
    (folder / "spiece.model").write_bytes(sentencepiece(60, pad_id=0, eos_id=1, unk_id=2, bos_id=-1))


def write_pegasus(folder: Path) -> dict[str, Any]:
    write_spiece(folder)
    special = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "bos_token_id": None}
    return SIZES | special | {"vocab_size": 163, "scale_embedding": True, "activation_function": "relu"}


def write_t5(folder: Path, **settings: Any) -> dict[str, Any]:
    write_spiece(folder)
    return T5 | settings


@dataclass(frozen=True)
class Family:
    model: str
    """Prefix of the classes in transformers."""
    write: Callable[[Path], dict[str, Any]]
    """Writes the tokenizer into a folder and returns the configuration."""
    tokenizer: dict[str, Any]
    """Its configuration."""


GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
LANGUAGES = {"src_lang": "en_XX", "tgt_lang": "fr_XX"}
NLLB = {"tokenizer_class": "NllbTokenizer", "src_lang": "eng_Latn", "tgt_lang": "fra_Latn"}
NLLB["added_tokens_decoder"] = {
    str(i): {"content": token, "special": True} for i, token in enumerate([*NLLB_LANGUAGES, "<mask>"], 61)
}
FAMILIES = {
    "marian": Family("Marian", write_marian, {"source_lang": "en", "target_lang": "fr"}),
    "bart": Family("Bart", write_bart, {}),
    "mbart-25": Family("MBart", write_mbart, {"tokenizer_class": "MBartTokenizer", **LANGUAGES}),
    "mbart-50": Family("MBart", lambda f: write_mbart(f, "50"), {"tokenizer_class": "MBart50Tokenizer", **LANGUAGES}),
    "m2m-100": Family("M2M100", write_m2m_100, {"src_lang": "en", "tgt_lang": "fr"}),
    "nllb": Family("M2M100", write_nllb, NLLB),
    "nllb-legacy": Family("M2M100", write_nllb, {**NLLB, "legacy_behaviour": True}),
    "pegasus": Family("Pegasus", write_pegasus, {}),
    "t5": Family("T5", write_t5, {}),
    "t5-1.1": Family("T5", lambda f: write_t5(f, **GATED), {}),
    "mt5": Family("MT5", lambda f: write_t5(f, **GATED), {}),
    "umt5": Family("UMT5", lambda f: write_t5(f, **GATED), {}),
}
SETTINGS = ["decoding.check=false", "decoding.max_length_ratio=20", "decoding.split_sentences_above=null"]
SOURCES = [" ".join(line.split()[: 3 + i % 3]) for i, line in enumerate(LINES[:8])]
GENERATION = {"num_beams": 3, "max_length": 9, "length_penalty": 0.0, "early_stopping": False, "min_length": 5}


def imported(folder: Path) -> Translator:
    import_model(folder, folder / "imported")
    return create_translator(load_model(folder / "imported", SETTINGS))


def sentences(translator: Translator) -> list[SentenceInput]:
    tags, rows = translator.tags, translator.tokenizer.encode_source(SOURCES)
    return [SentenceInput(1, row, tags=tags.ids(), prompt=tags.prompt(), suffix=tags.suffix) for row in rows]


def train(model: Any, inputs: dict[str, Tensor], targets: Tensor, first: int) -> None:
    """Fit the tokens of all targets from `first` on a little, so that translations end and no two are nearly equal."""
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(30):
        logits = model(**inputs, decoder_input_ids=targets[:, :-1]).logits[:, first - 1 :]
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets[:, first:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("name", FAMILIES)
def test_tokens_logits_and_translations_are_equal(tmp_path: Path, name: str) -> None:
    transformers = pytest.importorskip("transformers")
    family = FAMILIES[name]
    config = family.write(tmp_path)
    write_json(tmp_path / "tokenizer_config.json", family.tokenizer)
    torch.manual_seed(1)
    model_class = getattr(transformers, f"{family.model}{'MTModel' * (name == 'marian') or 'ForConditionalGeneration'}")
    theirs = model_class(getattr(transformers, f"{family.model}Config")(**config)).eval()
    theirs.generation_config.update(**GENERATION, forced_bos_token_id=config.get("forced_bos_token_id"))
    theirs.save_pretrained(tmp_path)
    translator = imported(tmp_path)
    ours, special = translator.generator.model_inputs(sentences(translator)), translator.tokenizer.special_tokens
    start = translator.tags.prompt() or (special.decoder_start,)
    rows = translator.tokenizer.encode_target(
        [line[::-1].upper() if name == "marian" else line[::-1] for line in SOURCES]
    )
    targets = torch.tensor(
        [[*start, *row[: 2 + i % 4], *[special.eos] * 4][: len(start) + 6] for i, row in enumerate(rows)]
    )
    tokenizer_class = transformers.T5Tokenizer if name == "umt5" else transformers.AutoTokenizer
    tokenizer = tokenizer_class.from_pretrained(tmp_path)
    tokenized = tokenizer(SOURCES, padding=True, return_tensors="pt")
    inputs = {key: tokenized[key] for key in ("input_ids", "attention_mask")}
    assert ours.ids is not None and ours.lengths is not None
    assert [row[:length].tolist() for row, length in zip(ours.ids, ours.lengths, strict=True)] == [
        row[mask.bool()].tolist() for row, mask in zip(*inputs.values(), strict=True)
    ]
    tokenizer.save_pretrained(tmp_path / "fast")
    if (tmp_path / "fast" / "tokenizer.json").is_file() and name != "mbart-25":  # of which the normalisation is missing
        again = load_tokenizer(tmp_path / "fast", theirs.config.to_dict()).tokenizer
        assert again.encode_source([*LINES, *ODD_LINES]) == translator.tokenizer.encode_source([*LINES, *ODD_LINES])
    train(theirs, inputs, targets, len(start))
    theirs.save_pretrained(tmp_path)

    translator = imported(tmp_path)

    model = load_model(tmp_path / "imported").model
    with torch.inference_mode():
        logits = model.logits(model.decode(model.encode(ours), DecoderInput(targets)))
        expected_logits = theirs(**inputs, decoder_input_ids=targets).logits.flatten(0, 1)
    assert (logits - expected_logits).abs().max() <= 1e-6 * expected_logits.abs().max()
    suppressed = sorted({*translator.generator._suppress_tokens} - {*start})
    generated = [row[len(start) :].tolist() for row in theirs.generate(**inputs, suppress_tokens=suppressed)]
    searched = translator.generator.search(sentences(translator), translator._strategy)
    found = [[*best.tokens, *[special.eos] * best.has_eos] for best, *_ in searched]
    expected = [row[: (*row, special.eos).index(special.eos) + 1] for row in generated]
    assert any(row[-1] == special.eos for row in expected)
    assert found == expected
