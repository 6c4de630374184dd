"""Import of Transformers in Marian's own format (Junczys-Dowmunt et al. 2018)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import ForeignModel, Part
from nmt_cli.interop.marian_files import NpzSource, read_yaml
from nmt_cli.interop.vocabularies import entries_by_id, read_sentencepiece, vocabulary_of
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.text.special_tokens import SpecialTokens

_IMPOSSIBLE = -1e4
"""Logit of pad, which Marian does not have: its probability is zero in any precision."""
_LAYER_NORM_EPSILON = 1e-9
_LONGEST_SENTENCE = 200

_ACTIVATIONS = {"relu": "relu", "swish": "silu"}
"""Marian's gelu is an approximation that nmt does not have."""
_NORM_POSITIONS = {("", "dan", ""): "post", ("n", "da", "n"): "pre"}
"""By transformer-preprocess, -postprocess and -postprocess-top."""
_REQUIRED = {
    "type": ("transformer",),
    "transformer-decoder-autoreg": ("self-attention", "rnn"),
    "transformer-postprocess-emb": ("d", ""),
    "transformer-attention-mask": ("default",),
    "transformer-ffn-depth": ("2",),
    "transformer-decoder-ffn-depth": ("0", "2"),
    "transformer-decoder-dim-ffn": ("0",),
    "transformer-tied-layers": ("",),
    "input-types": ("",),
    "lemma-dim-emb": ("0",),
    "factors-dim-emb": ("0",),
    **dict.fromkeys(
        (
            "transformer-train-position-embeddings",
            "transformer-disable-position-embeddings",
            "transformer-alibi-shift",
            "transformer-alibi-trainable",
            "transformer-no-projection",
            "transformer-no-bias",
            "transformer-no-affine",
            "transformer-rnn-projection",
            "transformer-pool",
            "right-left",
            "ulr",
        ),
        ("false",),
    ),
}
"""Options whose other values change the model in ways that nmt does not represent; a missing one is right."""
_REQUIRED_OF_RNN = {"dec-cell": ("ssru",), "layer-normalization": ("false",)}
"""The same, with `transformer-decoder-autoreg: rnn`."""

_ATTENTIONS = {"self_attention": "self", "cross_attention": "context"}


def is_marian(folder: Path) -> bool:
    """Return whether a folder contains a model of this format."""
    return any(folder.glob("*.npz"))


def _model_file(folder: Path) -> tuple[Path, dict[str, str], Path]:
    """Return the model of a folder, the options of its decoder, and where these are."""
    found = sorted({*folder.glob("*.decoder.yml"), *folder.glob("decoder.yml")})
    models = sorted(folder.glob("*.npz"))
    decoder = found[0] if found else folder / "decoder.yml"
    options = read_yaml(decoder.read_bytes(), str(decoder)) if found else {}
    if named := options.get("models", ""):
        models = [folder / Path(name).name for name in named.split("\n")]
    if len(models) != 1 or not models[0].is_file():
        listed = ", ".join(path.name for path in models)
        raise ModelError(f"{decoder}: models: must name one model that is in the folder, not {listed}")
    return models[0], options, decoder


def load(folder: Path, scratch: Path) -> ForeignModel:
    """Describe the model in a folder; see huggingface.load."""
    path, decoder, decoder_path = _model_file(folder)
    for script in ("preprocess.sh", "postprocess.sh"):
        if (folder / script).is_file():
            raise ModelError(
                f"{folder / script}: nmt does not run scripts; remove it if lines are to be translated without it"
            )
    tensors = NpzSource(path)
    options = tensors.options()
    is_recurrent = options.get("transformer-decoder-autoreg") == "rnn"
    for name, known in (_REQUIRED | (_REQUIRED_OF_RNN if is_recurrent else {})).items():
        if (value := options.get(name, known[0])) not in known:
            raise ModelError(f"{path}: {name}: {value} is not supported; supported are {', '.join(known) or 'none'}")
    tokenizer = _tokenizer(folder, decoder.get("vocabs", "").split("\n"), decoder_path)
    settings = _settings(path, options)
    numbers = {
        name: _number(decoder, name, default, decoder_path)
        for name, default in (("beam-size", 12), ("normalize", 0), ("max-length-factor", 3), ("word-penalty", 0))
    }
    ignored = [f"{decoder_path.name}: {name}" for name in ("word-penalty",) if numbers[name] != 0]
    return ForeignModel(
        "Marian",
        settings,
        _parameters(settings, options, tensors),
        tensors,
        tokenizer,
        _LONGEST_SENTENCE,
        decoding={
            "strategy": "beam",
            "beam_size": int(numbers["beam-size"]),
            "length_penalty": numbers["normalize"],
            "max_length_ratio": numbers["max-length-factor"],
            "max_length_offset": numbers["max-length-factor"],  # Marian counts eos as part of the source
        },
        warnings=[f"{each} is not imported" for each in ignored],
    )


def _number(options: Mapping[str, str], name: str, default: float, path: Path) -> float:
    try:
        return float(options.get(name, default))
    except ValueError as error:
        raise ModelError(f"{path}: {name}: {options[name]} is not a number") from error


def _settings(path: Path, options: Mapping[str, str]) -> TransformerSettings:
    norm = tuple(options.get(f"transformer-{name}", "") for name in ("preprocess", "postprocess", "postprocess-top"))
    activation = options.get("transformer-ffn-activation", "swish")
    if norm not in _NORM_POSITIONS or activation not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise ModelError(
            f"{path}: transformer-preprocess, -postprocess and -postprocess-top {norm}, with"
            f" transformer-ffn-activation {activation}, are not supported; {', '.join(map(str, _NORM_POSITIONS))}"
            f" with {known} are"
        )
    is_tied, is_shared = (options.get(f"tied-embeddings{name}") == "true" for name in ("", "-src"))
    if options.get("tied-embeddings-all") == "true":
        is_tied = is_shared = True
    tying = {(True, True): "all", (True, False): "decoder", (False, True): "input", (False, False): "none"}
    try:
        return TransformerSettings.model_validate(
            {
                "architecture": "transformer",
                "width": int(options["dim-emb"]),
                "feed_forward": int(options["transformer-dim-ffn"]),
                "encoder_layers": int(options["enc-depth"]),
                "decoder_layers": int(options["dec-depth"]),
                "heads": int(options["transformer-heads"]),
                "decoder_self_attention": (
                    "ssru" if options.get("transformer-decoder-autoreg") == "rnn" else "softmax"
                ),
                "activation": _ACTIVATIONS[activation],
                "norm": {"position": _NORM_POSITIONS[norm], "epsilon": _LAYER_NORM_EPSILON},
                "positions": {"type": "sinusoidal", "spacing": "t2t"},
                "tied_embeddings": tying[is_tied, is_shared],
                "output_bias": True,
            }
        )
    except KeyError as error:
        raise ModelError(f"{path}: the option {error.args[0]} is missing") from error
    except (ValidationError, ValueError) as error:
        raise ModelError(f"{path}: the options of its architecture are not valid: {error}") from error


def _parameters(
    settings: TransformerSettings, options: Mapping[str, str], tensors: NpzSource
) -> dict[str, Sequence[Part]]:
    """Return the tensors of each parameter; pad, which also begins translations, is a row of zeros at the end."""
    pad_row = Part("<pad>", constant=torch.zeros(1, settings.width))
    is_shared, is_tied = settings.tied_embeddings in ("all", "input"), settings.tied_embeddings in ("all", "decoder")
    found: dict[str, Sequence[Part]] = {
        "embeddings.source.weight": [Part("encoder_Wemb"), pad_row],
        "embeddings.target.weight": [Part("Wemb" if is_shared else "decoder_Wemb"), pad_row],
    }
    matrix, bias = "decoder_ff_logit_out_W", "decoder_ff_logit_out_b"
    is_stored = f"{matrix}t" in tensors.shapes
    projection = Part(f"{matrix}t") if is_stored else Part(matrix, is_transposed=True)
    found["output.projection.weight"] = [projection, pad_row]
    if options.get("output-omit-bias") == "true":
        target = "Wemb" if is_shared else "decoder_Wemb"
        size = tensors.shapes[projection.name][0 if is_stored else 1] if not is_tied else tensors.shapes[target][0]
        first = Part("no bias", constant=torch.zeros(size, 1))
    else:
        first = Part(bias, is_transposed=True)
    found["output.bias"] = found["output.projection.bias"] = [
        first,
        Part("<pad>", constant=torch.full((1, 1), _IMPOSSIBLE)),
    ]
    suffix = "_pre" if settings.norm.position == "pre" else ""
    for side, count in (("encoder", settings.encoder_layers), ("decoder", settings.decoder_layers)):
        for layer in range(count):
            is_recurrent = side == "decoder" and settings.decoder_self_attention == "ssru"
            found |= _layer(f"{side}.{layer}", f"{side}_l{layer + 1}", suffix, is_recurrent)
        found |= _norm(f"{side}_norm", f"{side}_top")
    return found


def _layer(ours: str, theirs: str, suffix: str, is_recurrent: bool) -> dict[str, Sequence[Part]]:
    found: dict[str, Sequence[Part]] = {}

    def add(name: str, *parts: str) -> None:
        weights, biases = zip(*(part.split() for part in parts), strict=True)
        found[f"{ours}.{name}.weight"] = [Part(f"{theirs}_{each}", is_transposed=True) for each in weights]
        found[f"{ours}.{name}.bias"] = [Part(f"{theirs}_{each}", is_transposed=True) for each in biases]

    for attention, name in _ATTENTIONS.items():
        if is_recurrent and attention == "self_attention":
            found[f"{ours}.{attention}.input.weight"] = [Part(f"{theirs}_rnn_W", is_transposed=True)]
            add(f"{attention}.forget_gate", "rnn_Wf rnn_bf")
            found |= _norm(f"{ours}.{attention}_residual.norm", f"{theirs}_rnn_ffn", suffix)
            continue
        query, key, value, output = (f"{name}_W{letter} {name}_b{letter}" for letter in "qkvo")
        if attention == "self_attention":
            add(f"{attention}.query_key_value", query, key, value)
        else:
            add(f"{attention}.query", query)
            add(f"{attention}.key_value", key, value)
        add(f"{attention}.output", output)
        found |= _norm(f"{ours}.{attention}_residual.norm", f"{theirs}_{name}_Wo", suffix)
    add("feed_forward.inner", "ffn_W1 ffn_b1")
    add("feed_forward.outer", "ffn_W2 ffn_b2")
    return found | _norm(f"{ours}.feed_forward_residual.norm", f"{theirs}_ffn_ffn", suffix)


def _norm(ours: str, theirs: str, suffix: str = "") -> dict[str, Sequence[Part]]:
    return {
        f"{ours}.{name}": [Part(f"{theirs}_ln_{kind}{suffix}")]
        for name, kind in (("weight", "scale"), ("bias", "bias"))
    }


def _tokenizer(folder: Path, vocabularies: Sequence[str], decoder: Path) -> Tokenizer:
    """Read the vocabularies that the decoder's options name, and the SentencePiece model of each side."""
    paths = [folder / Path(name).name for name in vocabularies if name]
    if not paths:
        paths = sorted({*folder.glob("vocab.*"), *folder.glob("*.vocab.yml")})[:1]
    if not paths or not all(path.is_file() for path in paths) or len(paths) > 2:
        raise ModelError(f"{decoder}: vocabs: must name one or two vocabularies that are in the folder")
    sides = []
    for path, name in zip((paths[0], paths[-1]), ("source.spm", "target.spm"), strict=True):
        segmenter = read_sentencepiece(path if path.suffix == ".spm" else folder / name)
        if path.suffix == ".spm":
            ids: Mapping[str, Any] = {piece.text: i for i, piece in enumerate(segmenter.pieces)}
        else:
            known = read_yaml(path.read_bytes(), str(path))
            ids = {entry: int(i) if i.isdecimal() else i for entry, i in known.items()}
        entries = entries_by_id(path, ids, len(ids))
        if "</s>" not in ids or "<unk>" not in ids:
            raise ModelError(f"{path}: has no entries </s> and <unk>")
        pad = len(entries)
        special = SpecialTokens(pad=pad, unk=ids["<unk>"], bos=pad, eos=ids["</s>"], decoder_start=pad)
        tags = {f"2{entry[2:-2]}": i for i, entry in enumerate(entries) if entry[:2] == ">>" and entry[-2:] == "<<"}
        sides.append((segmenter, [*entries, "<pad>"], special, tags))
    if sides[0][2] != sides[1][2]:
        raise ModelError(f"{decoder}: vocabs: the two vocabularies differ in size or special tokens: not supported")
    source, target = (vocabulary_of(*side) for side in sides)
    return Tokenizer("none", source, source if paths[0] == paths[-1] and paths[0].suffix == ".spm" else target)
