"""Our Transformer → a model of CTranslate2, an engine in C++ (Klein et al. 2020)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SEPARATOR
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.models.embeddings import sinusoidal_encoding
from nmt_cli.models.transformer_layers import new_norm
from nmt_cli.recipe.model import ModelSettings, TransformerSettings

LONGEST = 2048
"""Positions of the table of sine waves: CTranslate2 refuses longer sentences."""

_ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "swiglu": "SWISH"}

_GUIDE = """\
# A translation model for CTranslate2

Made by nmt. Lines are to be normalised and cut into subwords by the two SentencePiece models beside this file:

```python
{normalize_imports}import ctranslate2
import sentencepiece

source = sentencepiece.SentencePieceProcessor(model_file="source.spm")
target = sentencepiece.SentencePieceProcessor(model_file="target.spm")
translator = ctranslate2.Translator(".", compute_type="default")  # "int8" is faster and nearly as good
{tags}

def normalize(line):
    return {normalize}


lines = ["A line to translate."]
found = translator.translate_batch(
    [{before}source.encode(normalize(line), out_type=str) for line in lines],
    beam_size=5,
    length_penalty=1,
    max_input_length=0,
    max_decoding_length=1000,
    disable_unk=True,
    suppress_sequences={silent},
)
for translation in found:
    print(target.decode(translation.hypotheses[0]))
```
"""
_OURS = "from nmt_cli.text.normalization import NORMALIZATIONS\n\n"
_NORMALIZE = {
    "nfkc": ("import unicodedata\n\n", '" ".join(unicodedata.normalize("NFKC", line).split())'),
    "quotes": (_OURS, 'NORMALIZATIONS["quotes"](line)'),
    "punctuation": (_OURS, 'NORMALIZATIONS["punctuation"](line)'),
    "none": ("", "line"),
}
"""What the guide imports and does; what is too long for it is ours, since any difference would cost quality."""


_TAGS = """\
tags = {tags}
before = [tags["{first}"]]  # those that the model was taught to find before such lines; the language comes first
"""


_CONTEXT = """
## Lines in context

This model was taught each line together with those before it in its document, as many as `data.context.sentences`
said. So their pieces stand before those of the line, the word `{source}` after each:
`[*before, *pieces of the line before, "{source}", *pieces of the line]`. With `data.context.target`, the translation
has `{target}` between its sentences, and what follows the last one is the translation of the line. Without it, the
translation is that of the line alone, and `["{target}"]` belongs to `suppress_sequences`.
"""


def export(settings: ModelSettings, weights: Mapping[str, Tensor], tokenizer: Tokenizer, folder: Path) -> None:
    """Write into a folder all that CTranslate2 needs, in fp32, with SentencePiece models and a guide, README.md.

    ModelError names the setting that CTranslate2 knows nothing of; ResourceError if it is not installed.
    """
    specs = _import_specs()
    if not isinstance(settings, TransformerSettings):
        raise ModelError(
            f"model.architecture: {settings.architecture} is unknown to CTranslate2; it needs a transformer"
        )
    if tokenizer.factors.names:
        raise ModelError(f"data.factors: CTranslate2 cannot be told the {', '.join(tokenizer.factors.names)} of a word")
    models = tokenizer.source.segmenter.sentencepiece_model, tokenizer.target.segmenter.sentencepiece_model
    if models[0] is None or models[1] is None:
        name = tokenizer.source.segmenter.name if models[0] is None else tokenizer.target.segmenter.name
        raise ModelError(f"tokenizer.algorithm: {name} is not supported by CTranslate2, which uses SentencePiece")
    spec = specs.TransformerSpec(_encoder(specs, settings, weights), _decoder(specs, settings, weights))
    source, target = words(tokenizer)
    special = tokenizer.special_tokens
    pad, start = target[special.pad], target[special.bos]
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    spec.config.unk_token, spec.config.bos_token = target[special.unk], target[special.bos]
    spec.config.eos_token, spec.config.decoder_start_token = target[special.eos], target[special.decoder_start]
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = cast(float, new_norm(settings).eps)
    spec.validate()
    spec.optimize()  # tied weights are stored once
    spec.save(str(folder))
    (folder / "source.spm").write_bytes(models[0])
    (folder / "target.spm").write_bytes(models[1])
    imports, normalized = _NORMALIZE[tokenizer.normalization]
    tags = {name: source[number] for name, number in tokenizer.source.tags.items() if name != SEPARATOR}
    unsaid = [target[number] for name, number in tokenizer.target.tags.items() if name != SEPARATOR]
    guide = _GUIDE.format(
        normalize_imports=imports,
        normalize=normalized,
        silent=[[word] for word in (pad, start, *unsaid)],
        tags=_TAGS.format(tags=tags, first=next(iter(tags))) if tags else "",
        before="before + " if tags else "",
    )
    if SEPARATOR in tokenizer.source.tags:
        sides = (source, tokenizer.source), (target, tokenizer.target)
        one, other = (names[side.tag_id(SEPARATOR)] for names, side in sides)
        guide += _CONTEXT.format(source=one, target=other)
    (folder / "README.md").write_text(guide, encoding="utf-8")


def words(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """Names for the entries of both vocabularies, by number.

    CTranslate2 knows words by their names alone, so special tokens and tags have names that no piece has.
    """
    sides = tokenizer.source, tokenizer.target
    no_pieces = [{*side.special_tokens.ids, *side.tags.values()} for side in sides]
    pieces = {
        piece
        for side, others in zip(sides, no_pieces, strict=True)
        for number, piece in enumerate(side.entries)
        if number not in others
    }
    source, target = (
        _named(side.entries, sorted(others), pieces) for side, others in zip(sides, no_pieces, strict=True)
    )
    return source, target


def _named(vocabulary: list[str], others: list[int], pieces: set[str]) -> list[str]:
    """A vocabulary whose entries at `others` have names of their own."""
    named, taken = list(vocabulary), set(pieces)
    for number in others:
        while named[number] in taken:
            named[number] += "special"
        taken.add(named[number])
    return named


def _import_specs() -> Any:
    try:
        from ctranslate2 import specs
    except ImportError as error:
        raise ResourceError("CTranslate2 is not installed; pip install 'nmt-cli[ctranslate2]'") from error
    return specs


def _encoder(specs: Any, settings: TransformerSettings, weights: Mapping[str, Tensor]) -> Any:
    spec = specs.TransformerEncoderSpec(
        settings.encoder_layers, multi_query_attention=settings.key_value_heads == 1, **_arguments(specs, settings)
    )
    target = "embeddings.target.weight"
    spec.embeddings[0].weight = _array(weights.get("embeddings.source.weight", weights[target]))
    _set_outside(spec, settings, weights, "encoder_norm")
    for number, layer in enumerate(spec.layer):
        _set_layer(layer, weights, f"encoder.{number}")
    return spec


def _decoder(specs: Any, settings: TransformerSettings, weights: Mapping[str, Tensor]) -> Any:
    spec = specs.TransformerDecoderSpec(settings.decoder_layers, **_arguments(specs, settings))
    spec.embeddings.weight = _array(weights["embeddings.target.weight"])
    spec.projection.weight = spec.embeddings.weight
    if settings.tied_embeddings == "none":
        _set_linear(spec.projection, weights, "output.projection")
    _set_outside(spec, settings, weights, "decoder_norm")
    for number, layer in enumerate(spec.layer):
        name = f"decoder.{number}"
        _set_layer(layer, weights, name)
        for place, part in enumerate(("query", "key_value", "output")):
            _set_linear(layer.attention.linear[place], weights, f"{name}.cross_attention.{part}")
        _set_norm(layer.attention.layer_norm, weights, f"{name}.cross_attention_residual.norm")
    return spec


def _arguments(specs: Any, settings: TransformerSettings) -> dict[str, Any]:
    """What encoder and decoder are both told."""
    return {
        "num_heads": settings.heads,
        "num_heads_kv": settings.key_value_heads,
        "pre_norm": settings.norm.place == "pre",
        "rms_norm": settings.norm.type == "rms",
        "activation": specs.Activation[_ACTIVATIONS[settings.activation]],
        "ffn_glu": settings.activation == "swiglu",
        "rotary_dim": 0 if settings.positions.type == "rotary" else None,
        "rotary_interleave": False,  # pairs are (i, i + d/2)
    }


def _set_outside(spec: Any, settings: TransformerSettings, weights: Mapping[str, Tensor], norm: str) -> None:
    """Positions before the layers, and the norm after them."""
    spec.scale_embeddings = True  # by the square root of the width
    if settings.positions.type == "rotary":
        if hasattr(spec, "position_encodings"):
            del spec.position_encodings
    else:
        spec.position_encodings.encodings = _array(sinusoidal_encoding(torch.arange(LONGEST), settings.width))
    if settings.norm.place == "pre":
        _set_norm(spec.layer_norm, weights, norm)


def _set_layer(spec: Any, weights: Mapping[str, Tensor], name: str) -> None:
    """What layers of encoder and decoder have in common."""
    for place, part in enumerate(("query_key_value", "output")):
        _set_linear(spec.self_attention.linear[place], weights, f"{name}.self_attention.{part}")
    _set_norm(spec.self_attention.layer_norm, weights, f"{name}.self_attention_residual.norm")
    _set_norm(spec.ffn.layer_norm, weights, f"{name}.feed_forward_residual.norm")
    inner, outer = f"{name}.feed_forward.inner", f"{name}.feed_forward.outer"
    _set_linear(spec.ffn.linear_1, weights, outer)
    if hasattr(spec.ffn, "linear_0_noact"):
        gate, passed = spec.ffn.linear_0, spec.ffn.linear_0_noact
        gate.weight, passed.weight = map(_array, weights[f"{inner}.weight"].chunk(2))
        gate.bias, passed.bias = map(_array, weights[f"{inner}.bias"].chunk(2))
    else:
        _set_linear(spec.ffn.linear_0, weights, inner)


def _set_linear(spec: Any, weights: Mapping[str, Tensor], name: str) -> None:
    spec.weight, spec.bias = _array(weights[f"{name}.weight"]), _array(weights[f"{name}.bias"])


def _set_norm(spec: Any, weights: Mapping[str, Tensor], name: str) -> None:
    spec.gamma = _array(weights[f"{name}.weight"])
    if hasattr(spec, "beta"):
        spec.beta = _array(weights[f"{name}.bias"])


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    return tensor.detach().float().cpu().contiguous().numpy()
