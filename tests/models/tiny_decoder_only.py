"""Decoder-only models of a few parameters, with random biases."""

from torch import Tensor, nn, randint
from torch import manual_seed as seed

from nmt_cli.models import build
from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.recipe.model import DecoderOnlySettings

VOCAB_SIZE = 13
SIZES = {"width": 16, "feed_forward": 24, "layers": 2, "heads": 4}


def tiny_decoder_only(**changes: object) -> Model:
    seed(1)
    settings = DecoderOnlySettings.model_validate({"architecture": "decoder_only", **SIZES, **changes})
    model = build(settings, VocabularySpec(VOCAB_SIZE, VOCAB_SIZE)).eval()
    for weight in model.parameters():
        if not weight.any():  # biases are zero at first
            nn.init.normal_(weight, std=0.1)
    return model


def random_ids(*shape: int, first: int = 0) -> Tensor:
    return randint(first, VOCAB_SIZE, shape)
