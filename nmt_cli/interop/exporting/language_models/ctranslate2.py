"""Export of a language model to CTranslate2, whose class is Generator."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmt_cli.interop.exporting.ctranslate2 import (
    import_specs,
    layer_arguments,
    set_ends,
    set_layer,
    take_output,
)
from nmt_cli.interop.exporting.huggingface.tokenizer import write_tokenizer_json
from nmt_cli.interop.exporting.language_models.generation import ProgramSettings
from nmt_cli.interop.exporting.language_models.text import DocumentTokenizer, settings_of, write_normalization
from nmt_cli.interop.exporting.model import ExportedModel, UnusedParameters
from nmt_cli.models.transformer.layers import norm_epsilon

SETTINGS = ProgramSettings(
    {
        "beam_size": "beam_size",
        "length_penalty": "length_penalty",
        "min_length": "min_length",
        "no_repeat_ngram_size": "no_repeat_ngram_size",
        "temperature": "sampling_temperature",
        "top_k": "sampling_topk",
        "top_p": "sampling_topp",
    },
    fixed={"early_stopping": True},
)
"""Arguments of `Generator.generate_batch`."""


def write(exported: ExportedModel, folder: Path) -> Mapping[str, Any]:
    """Write a model in fp32, its tokenizer and its normalisation; see ExportFormat."""
    specs, settings = import_specs(), settings_of(exported, "CTranslate2")
    parameters = UnusedParameters(dict(exported.model.named_parameters()))
    decoder = specs.TransformerDecoderSpec(
        settings.layers, with_encoder_attention=False, **layer_arguments(specs, settings)
    )
    decoder.embeddings.weight = parameters.take("embeddings.target.weight")
    take_output(parameters, decoder)
    set_ends(decoder, settings, parameters, "", "decoder_norm")
    for index, layer in enumerate(decoder.layer):
        set_layer(layer, settings, parameters, f"decoder.{index}")
    parameters.require_none("CTranslate2")
    special, side = exported.tokenizer.special_tokens, exported.tokenizer.target
    names = write_tokenizer_json(side, folder, None, exported.longest_sentence, (special.decoder_start,), ())
    spec = specs.TransformerDecoderModelSpec(decoder)
    spec.register_vocabulary(names)
    spec.config.unk_token, spec.config.bos_token = names[special.unk], names[special.decoder_start]
    spec.config.eos_token = names[special.eos]
    spec.config.layer_norm_epsilon = norm_epsilon(settings)
    spec.validate()
    spec.optimize()  # tied weights are stored once
    spec.save(str(folder))
    return {**write_normalization(exported, folder), "settings": SETTINGS.translated(exported)}


class CTranslate2Generator:
    """An exported language model, loaded by CTranslate2."""

    def __init__(self, exported: ExportedModel, folder: Path) -> None:
        import ctranslate2

        self._generator = ctranslate2.Generator(str(folder), compute_type="float32")
        self._text, self._special = DocumentTokenizer(exported, folder), exported.tokenizer.special_tokens

    def encode(self, documents: list[str]) -> list[list[int]]:
        """See LanguageProgram."""
        return self._text.encode(documents)

    def decode(self, rows: list[list[int]]) -> list[str]:
        """See LanguageProgram."""
        return self._text.decode(rows)

    def score(self, rows: list[list[int]]) -> list[list[float]]:
        """See LanguageProgram."""
        special = self._special
        names = [[self._text.name(i) for i in (special.decoder_start, *row, special.eos)] for row in rows]
        return [each.log_probs for each in self._generator.score_batch(names)]
