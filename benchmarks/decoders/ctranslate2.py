"""CTranslate2, on the output of `nmt export`."""

import json
import sys
from pathlib import Path
from typing import Any

import ctranslate2

from benchmarks.decoders.answering import Decode, Rows, serve

_COMPUTE = {
    "cpu": {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"},
    "cuda": {"fp32": "float32", "bf16": "float16", "int8": "int8_float16"},
}


def load(settings: dict[str, Any]) -> Decode:
    folder = Path(settings["exported"])
    device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    compute = _COMPUTE[device][settings["precision"]]
    if compute not in ctranslate2.get_supported_compute_types(device):
        sys.exit(f"has no {compute} on this device")
    translator = ctranslate2.Translator(
        str(folder), device=device, compute_type=compute, intra_threads=settings["threads"]
    )
    names = json.loads((folder / "shared_vocabulary.json").read_text())

    def decode(rows: Rows, length: int, beam: int) -> None:
        found = translator.translate_batch(
            [[names[token] for token in row[:-1]] for row in rows],  # CTranslate2 appends eos itself
            beam_size=beam,
            min_decoding_length=length,
            max_decoding_length=length,
            max_input_length=0,
        )
        assert all(len(translation.hypotheses[0]) == length for translation in found)

    return decode


if __name__ == "__main__":
    serve(load)
