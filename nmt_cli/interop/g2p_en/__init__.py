"""Import of g2p_en (Park & Kim 2019), which converts English spelling to phonemes: a GRU without attention, in npz."""

from pathlib import Path

import torch

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import SPECIAL_ENTRIES, Vocabulary
from nmt_cli.errors import ModelError
from nmt_cli.interop.foreign import ForeignModel, Part
from nmt_cli.interop.marian_files import NpzSource
from nmt_cli.interop.vocabularies import character_segmenter, word_segmenter
from nmt_cli.recipe.model import RnnSettings

_FILE = "checkpoint20.npz"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH")
_OTHERS = "B CH D DH F G HH JH K L M N NG P R S SH T TH UW UW0 UW1 UW2 V W Y Z ZH"
_PHONEMES = sorted([*(f"{vowel}{stress}" for vowel in _VOWELS for stress in "012"), *_OTHERS.split()])
"""Those of ARPAbet, in the order of their ids; the stress of a vowel is a digit."""
_MAX_LENGTH = 20


def is_g2p_en(folder: Path) -> bool:
    """Return whether a folder contains this model: that of the package, or one with its file."""
    return (folder / _FILE).is_file()


def load(folder: Path, scratch: Path) -> ForeignModel:
    """Describe the model. Sources are words in small letters, targets are phonemes separated by spaces.

    Raises:
        ModelError: The file is damaged, or is another model.
    """
    tensors = NpzSource(folder / _FILE, has_options=False)
    shapes = tensors.shapes
    if "enc_w_hh" not in shapes or "enc_emb" not in shapes or len(shapes["enc_w_hh"]) != 2 != len(shapes["enc_emb"]):
        raise ModelError(f"{tensors.path}: is not the model of g2p_en, which has enc_emb and enc_w_hh")
    width, embedding_width = shapes["enc_w_hh"][1], shapes["enc_emb"][-1]
    settings = RnnSettings.model_validate(
        {
            "architecture": "rnn",
            "cell": "gru",
            "width": width,
            "embedding_width": embedding_width,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "bidirectional": False,
            "attention": "none",
            "bridge": "copy",
            "tied_embeddings": "none",
        }
    )
    parameters = {
        # Sources have no bos: its row is new.
        "embeddings.source.weight": [
            Part("enc_emb", rows=(0, 2)),
            Part("bos", constant=torch.zeros(1, embedding_width)),
            Part("enc_emb", rows=(2, None)),
        ],
        "embeddings.target.weight": [Part("dec_emb")],
        "output.projection.weight": [Part("fc_w")],
        "output.projection.bias": [Part("fc_b")],
    }
    for ours, theirs in (("encoder.layers.0", "enc"), ("decoder.0.cells", "dec")):
        for kind, other in (("weight", "w"), ("bias", "b")):
            for inputs in ("ih", "hh"):
                parameters[f"{ours}.{kind}_{inputs}_l0"] = [Part(f"{theirs}_{other}_{inputs}")]
    words = [f"▁{phoneme}" for phoneme in _PHONEMES]
    source = Vocabulary(character_segmenter(_LETTERS), [*SPECIAL_ENTRIES, *_LETTERS])
    target = Vocabulary(word_segmenter(words), [*SPECIAL_ENTRIES, *words])
    return ForeignModel(
        "g2p_en",
        settings,
        parameters,
        tensors,
        Tokenizer("none", source, target),
        longest_sentence=100,
        languages=("en", None),
        decoding={
            "strategy": "beam",
            "beam_size": 1,
            "max_length": _MAX_LENGTH,
            "max_length_ratio": 100,
            "check": False,
        },
    )
