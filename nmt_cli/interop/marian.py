"""Import of Transformers in Marian's own format (Junczys-Dowmunt et al. 2018)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.interop import opus_packages
from nmt_cli.interop.foreign import ForeignModel, Part
from nmt_cli.interop.marian_files import NpzSource, read_yaml
from nmt_cli.interop.marian_parameters import (
    ACTIVATIONS,
    LAYER_NORM_EPSILON,
    NORM_POSITIONS,
    OUTPUT,
    parameter_parts,
)
from nmt_cli.interop.vocabularies import (
    entries_by_id,
    exported_normalization,
    is_opus_language_tag,
    read_sentencepiece,
    vocabulary_of,
)
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.text.special_tokens import SpecialTokens

_LONGEST_SENTENCE = 200

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
"""Options whose other values change the model in ways that nmt does not represent; a missing option is accepted."""
_REQUIRED_OF_RNN = {"dec-cell": ("ssru",), "layer-normalization": ("false",)}
"""The same, with `transformer-decoder-autoreg: rnn`."""


def is_marian(folder: Path) -> bool:
    """Return whether a folder contains a model of this format."""
    return any(folder.glob("*.npz"))


def model_file(folder: Path) -> tuple[Path, dict[str, str], Path]:
    """Return the .npz file of a folder, the options of its decoder.yml, and the path of that."""
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
    path, decoder, decoder_path = model_file(folder)
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
        _parameters(path, settings, options, tensors.shapes),
        tensors,
        tokenizer,
        _LONGEST_SENTENCE,
        languages=opus_packages.languages_of(folder),
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
    if norm not in NORM_POSITIONS or activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ModelError(
            f"{path}: transformer-preprocess, -postprocess and -postprocess-top {norm}, with"
            f" transformer-ffn-activation {activation}, are not supported; {', '.join(map(str, NORM_POSITIONS))}"
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
                "activation": ACTIVATIONS[activation],
                "norm": {"position": NORM_POSITIONS[norm], "epsilon": LAYER_NORM_EPSILON},
                "positions": {"type": "sinusoidal", "spacing": "t2t"},
                "decoder_start": "zeros",
                "tied_embeddings": tying[is_tied, is_shared],
                "output_bias": True,
            }
        )
    except KeyError as error:
        raise ModelError(f"{path}: the option {error.args[0]} is missing") from error
    except (ValidationError, ValueError) as error:
        raise ModelError(f"{path}: the options of its architecture are not valid: {error}") from error


def _parameters(
    path: Path, settings: TransformerSettings, options: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, list[Part]]:
    has_transposed_output, omitted_bias = f"{OUTPUT}t" in shapes, None
    if options.get("output-omit-bias") == "true":
        name, axis = (f"{OUTPUT}t", 0) if has_transposed_output else (OUTPUT, 1)
        if settings.tied_embeddings in ("all", "decoder"):
            name, axis = "Wemb" if settings.tied_embeddings == "all" else "decoder_Wemb", 0
        if name not in shapes:
            raise ModelError(f"{path}: tensor {name} is missing")
        omitted_bias = shapes[name][axis]
    return parameter_parts(settings, has_transposed_output, omitted_bias)


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
        tags = {f"2{entry[2:-2]}": i for i, entry in enumerate(entries) if is_opus_language_tag(entry)}
        sides.append((segmenter, [*entries, "<pad>"], special, tags))
    if sides[0][2] != sides[1][2]:
        raise ModelError(f"{decoder}: vocabs: the two vocabularies differ in size or special tokens: not supported")
    source, target = (vocabulary_of(*side) for side in sides)
    return Tokenizer(
        _normalization(folder), source, source if paths[0] == paths[-1] and paths[0].suffix == ".spm" else target
    )


def _normalization(folder: Path) -> str:
    """Return the normalisation before SentencePiece: that of OPUS-MT's scripts, or that of a model exported by nmt."""
    name = opus_packages.normalization_of(folder)
    return exported_normalization(folder) if name == "none" else name
