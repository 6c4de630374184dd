"""Small models in the formats of other toolkits, made by hand."""

import io
import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from sentencepiece import SentencePieceTrainer
from torch import Tensor

from nmt_cli.data.tokenizing.sentencepiece_model import read_model

WORDS = ["".join(letters) for letters in product("bdgk", "aeiou", "lmnr", ("", "s", "ton"))]
LINES = [" ".join(WORDS[first::17]) for first in range(60)]


def sentencepiece(size: int, lines: Iterable[str] = LINES, **options: Any) -> bytes:
    """A SentencePiece model of the lines with its own normalisation, nmt_nfkc."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=size, minloglevel=3, **options
    )
    return model.getvalue()


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def random_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        name: 1 + 0.1 * torch.randn(shape) if "norm" in name and name.endswith("weight") else 0.3 * torch.randn(shape)
        for name, shape in shapes.items()
    }


def marian_shapes(size: int, width: int = 16, feed_forward: int = 24) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of a MarianMTModel with one layer on each side."""
    square, vector = (width, width), (width,)
    shapes: dict[str, tuple[int, ...]] = {"model.shared.weight": (size, width), "final_logits_bias": (1, size)}
    for side, attentions in (("encoder", ["self_attn"]), ("decoder", ["self_attn", "encoder_attn"])):
        layer = f"model.{side}.layers.0"
        for attention in attentions:
            for part in ("q", "k", "v", "out"):
                shapes |= {
                    f"{layer}.{attention}.{part}_proj.weight": square,
                    f"{layer}.{attention}.{part}_proj.bias": vector,
                }
        for norm in [*(f"{attention}_layer_norm" for attention in attentions), "final_layer_norm"]:
            shapes |= {f"{layer}.{norm}.weight": vector, f"{layer}.{norm}.bias": vector}
        shapes |= {f"{layer}.fc1.weight": (feed_forward, width), f"{layer}.fc1.bias": (feed_forward,)}
        shapes |= {f"{layer}.fc2.weight": (width, feed_forward), f"{layer}.fc2.bias": vector}
    return shapes


MARIAN = {
    "model_type": "marian",
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "activation_function": "swish",
    "scale_embedding": True,
    "max_position_embeddings": 64,
    "eos_token_id": 0,
}


def write_marian(folder: Path) -> dict[str, Tensor]:
    """Write a random model in the layout of OPUS-MT on Hugging Face; return its tensors."""
    folder.mkdir()
    models = [sentencepiece(60), sentencepiece(50, [line.upper() for line in LINES])]
    for name, model in zip(("source.spm", "target.spm"), models, strict=True):
        (folder / name).write_bytes(model)
    pieces = sorted({piece.text for model in models for piece in read_model(model).pieces[3:]})
    entries = ["</s>", "<unk>", *pieces, ">>deu<<", ">>fra<<", "<pad>"]
    write_json(folder / "vocab.json", {entry: i for i, entry in enumerate(entries)})
    write_json(folder / "tokenizer_config.json", {"source_lang": "en", "target_lang": "deu"})
    pad = len(entries) - 1
    write_json(
        folder / "config.json",
        MARIAN | {"vocab_size": len(entries), "pad_token_id": pad, "decoder_start_token_id": pad},
    )
    write_json(
        folder / "generation_config.json",
        {"num_beams": 3, "max_length": 40, "bad_words_ids": [[pad]], "repetition_penalty": 1.5},
    )
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A model\n", encoding="utf-8")
    tensors = random_tensors(marian_shapes(len(entries)))
    tensors["model.shared.weight"][pad] = 0
    save_file(tensors, folder / "model.safetensors")
    return tensors
