"""Small models in the formats of other toolkits, made by hand."""

import io
import json
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from sentencepiece import SentencePieceTrainer
from torch import Tensor

from nmt_cli.data.tokenizing.sentencepiece_model import read_model
from nmt_cli.text.normalization import OPUS_REPLACEMENTS

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


def write_npz(
    folder: Path,
    tying: Sequence[str] = ("-all",),
    norm: str = "post",
    languages: Sequence[str] = (),
    target_lines: Sequence[str] = LINES,
    **options: str,
) -> None:
    """Write a random model in Marian's own format, with one layer on each side and 60 pieces of each side.

    With other `target_lines`, the vocabulary of both sides lacks a piece of each, as in OPUS-MT.
    """
    folder.mkdir()
    models = [sentencepiece(60, lines) for lines in (LINES, target_lines)]
    for name, model in zip(("source.spm", "target.spm"), models, strict=True):
        (folder / name).write_bytes(model)
    missing = -1 if models[0] != models[1] else None
    sides = [read_model(model).pieces[3:missing] for model in models]
    pieces = ["</s>", "<unk>", *dict.fromkeys(piece.text for side in sides for piece in side)]
    pieces += [f">>{language}<<" for language in languages]
    vocabulary = "".join(f"{json.dumps(piece)}: {i}\n" for i, piece in enumerate(pieces))
    (folder / "vocab.yml").write_text(vocabulary, encoding="utf-8")
    decoder = "models:\n  - model.npz\nvocabs:\n  - vocab.yml\n  - vocab.yml\nbeam-size: 6\nnormalize: 0.6\n"
    (folder / "decoder.yml").write_text(decoder, encoding="utf-8")
    size, width, inner, suffix = len(pieces), 16, 24, "_pre" if norm == "pre" else ""
    shapes: dict[str, tuple[int, ...]] = {"decoder_ff_logit_out_b": (1, size)}
    if "-all" in tying or "-src" in tying:
        shapes["Wemb"] = (size, width)
    else:
        shapes |= {"encoder_Wemb": (size, width), "decoder_Wemb": (size, width)}
    if not {"-all", ""} & set(tying):
        shapes["decoder_ff_logit_out_W"] = (width, size)
    for side, attentions in (("encoder", ["self"]), ("decoder", ["self", "context"])):
        norms = ["ffn_ffn", *(f"{attention}_Wo" for attention in attentions)]
        shapes |= {f"{side}_l1_{each}_ln_{kind}{suffix}": (1, width) for each in norms for kind in ("scale", "bias")}
        shapes |= {f"{side}_l1_{each}_W{letter}": (width, width) for each in attentions for letter in "qkvo"}
        shapes |= {f"{side}_l1_{each}_b{letter}": (1, width) for each in attentions for letter in "qkvo"}
        shapes |= {f"{side}_l1_ffn_W1": (width, inner), f"{side}_l1_ffn_b1": (1, inner)}
        shapes |= {f"{side}_l1_ffn_W2": (inner, width), f"{side}_l1_ffn_b2": (1, width)}
        if norm == "pre":
            shapes |= {f"{side}_top_ln_{kind}": (1, width) for kind in ("scale", "bias")}
    before, after, top = ("n", "da", "n") if norm == "pre" else ("", "dan", "")
    settings = {"dim-emb": width, "transformer-dim-ffn": inner, "enc-depth": 1, "dec-depth": 1, "transformer-heads": 2}
    settings |= {"transformer-preprocess": before, "transformer-postprocess": after, "transformer-postprocess-top": top}
    settings |= {"type": "transformer", "transformer-ffn-activation": "swish", **options}
    settings |= {f"tied-embeddings{name}": "true" for name in tying}
    text = "".join(f"{name}: {json.dumps(value)}\n" for name, value in settings.items()).encode() + bytes(9)
    arrays = {name: tensor.numpy() for name, tensor in random_tensors(shapes).items()}
    np.savez(folder / "model.npz", **arrays, **{"special:model.yml": np.frombuffer(text, np.int8)})


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


def write_nllb(folder: Path) -> None:
    """Write a random model in the layout of NLLB: SentencePiece BPE, ids shifted by one, languages at the end."""
    folder.mkdir()
    model = sentencepiece(60, model_type="bpe")
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    languages = ["deu_Latn", "eng_Latn", "fra_Latn"]
    write_json(folder / "special_tokens_map.json", {"additional_special_tokens": languages, "mask_token": "<mask>"})
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "NllbTokenizer", "src_lang": "eng_Latn"})
    size = 61 + len(languages) + 3  # one for the mask, and two without a name
    special = {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "vocab_size": size}
    write_json(folder / "config.json", MARIAN | special | {"model_type": "m2m_100", "activation_function": "relu"})
    shapes = {name: shape for name, shape in marian_shapes(size).items() if name != "final_logits_bias"}
    norms = [f"model.{side}.layer_norm" for side in ("encoder", "decoder")]
    shapes |= {f"{norm}.{kind}": (16,) for norm in norms for kind in ("weight", "bias")}
    save_file(random_tensors(shapes), folder / "model.safetensors")


PREPROCESS = r"""#!/bin/bash
#
# USAGE preprocess.sh source-langid target-langid spmodel [noflags] < input > output

SPMENCODE=`which spm_encode || echo "${PWD}/tools/marian-dev/build/spm_encode"`

if [ "$4" == "noflags" ]; then
    SIGNS |
	perl -C -pe 's/\p{C}/ /g;' |
	sed 's/  */ /g;s/^ *//g;s/ *$//g' |
	${SPMENCODE} --model $3
else
    SIGNS |
	perl -C -pe  's/(?!\n)\p{C}/ /g;' |
	perl -CIOE -pe 's/[\x{2060}\x{200B}\x{feff}]//g' |\
	sed 's/  */ /g;s/^ *//g;s/ *$//g' |
	${SPMENCODE} --model $3 |
	sed "s/^/>>$2<< /"
fi
""".replace("\t", "    ")


def write_opus_scripts(folder: Path) -> None:
    """Write the usual scripts of OPUS-MT."""
    escaped = {sign: text.replace(".", "\\.") if sign == "…" else text for sign, text in OPUS_REPLACEMENTS.items()}
    signs = "sed " + " \\\n    ".join(f"-e 's/{sign}/{text}/g'" for sign, text in escaped.items() if text != "'")
    signs += ' \\\n    -e "s/’/\\\'/g"'
    (folder / "preprocess.sh").write_text(PREPROCESS.replace("SIGNS", signs), encoding="utf-8")
    (folder / "postprocess.sh").write_text("#!/bin/bash\n\nsed 's/ //g;s/▁/ /g;s/^ *//'\n", encoding="utf-8")
