"""Tensors → logits: the models, behind one contract."""

from collections.abc import Callable
from typing import Any

from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.models.ctc import Ctc
from nmt_cli.models.decoder_only import DecoderOnly
from nmt_cli.models.decoder_only.translator import DecoderOnlyTranslator
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.pointer import PointerGeneratorLayer
from nmt_cli.models.rnn import Rnn
from nmt_cli.models.transformer import Transformer
from nmt_cli.models.transformer.hierarchical import HierarchicalTransformer
from nmt_cli.models.transformer.local import LocalTransformer
from nmt_cli.recipe.model import CtcSettings, DecoderOnlySettings, ModelSettings, RnnSettings, TransformerSettings


def _decoder_only(
    settings: DecoderOnlySettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer]
) -> DecoderOnly:
    model = DecoderOnlyTranslator if settings.reads_source else DecoderOnly
    return model(settings, vocabulary, output_layer)


TRANSFORMERS: dict[str, type[Transformer]] = {
    "flat": Transformer,
    "hierarchical": HierarchicalTransformer,
    "local": LocalTransformer,
}
"""By `model.encoder.type`."""


def _transformer(
    settings: TransformerSettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer]
) -> Transformer:
    return TRANSFORMERS[settings.encoder.type](settings, vocabulary, output_layer)


MODELS: dict[type[Any], Callable[[Any, VocabularySpec, type[OutputLayer]], Model]] = {
    TransformerSettings: _transformer,
    RnnSettings: Rnn,
    CtcSettings: Ctc,
    DecoderOnlySettings: _decoder_only,
}

OUTPUT_LAYERS: dict[str, type[OutputLayer]] = {"softmax": OutputLayer, "pointer_generator": PointerGeneratorLayer}


def build(settings: ModelSettings, vocabulary: VocabularySpec) -> Model:
    """Return a model with random parameters, drawn from torch's default generator."""
    return MODELS[type(settings)](settings, vocabulary, OUTPUT_LAYERS[settings.output.type])
