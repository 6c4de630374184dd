"""Measure the BLEU of a trained model by precision, with this toolkit and with CTranslate2, in a process of its own.

    python -m benchmarks.decoders.cost MODEL FOLDER-OF-MULTI30K fp32,int8

prints lines of Markdown.
"""

import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from nmt_cli import console
from nmt_cli.commands.export import export
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.devices import pick_device
from nmt_cli.evaluation.metrics import score
from nmt_cli.recipe.decoding import Evaluation

MAX_LOSS = 0.3
"""Maximum loss of BLEU in int8."""
_BATCH = 64
"""Sentences per batch for CTranslate2."""


def main() -> None:
    """Print BLEU on test2016 in each precision, the loss relative to fp32, and the speed."""
    console.set_quiet(True)
    model, text, precisions = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(",")
    sources, references = (_lines(text / f"test_2016_flickr.{language}.gz") for language in ("en", "de"))
    lines = ["| engine | precision | BLEU | loss | sent/CPU-s |", "| :-- | :-- | --: | --: | --: |"]
    signature, exact = "", dict[str, float]()
    for engine, precision, translated, seconds in _translations(model, sources, ["fp32", *precisions]):
        [bleu] = score(translated, [references], Evaluation(metrics=["bleu"]))
        signature = bleu.signature
        loss = round(exact.setdefault(engine, bleu.value) - bleu.value, 2) + 0.0  # not -0.0
        verdict = "" if loss <= MAX_LOSS else f" (more than {MAX_LOSS})"
        speed = len(sources) / seconds
        lines.append(f"| {engine} | {precision} | {bleu.value:.2f} | {loss:.2f}{verdict} | {speed:.1f} |")
    lines = [f"{model.name} on Multi30k's test2016, with its own settings of search ({signature}):", "", *lines]
    print("\n".join(lines))


def _translations(
    model: Path, sources: list[str], precisions: list[str]
) -> Iterator[tuple[str, str, list[str], float]]:
    """Yield engine, precision, translations and seconds."""
    for precision in dict.fromkeys(precisions):
        translator = open_translator(TranslateOptions((model,), (f"decoding.precision={precision}",)))
        started = time.process_time()
        translated = [translation.best.text for translation in translator.translate(map(Request, sources))]
        yield "nmt", precision, translated, time.process_time() - started
    if find_spec("ctranslate2") and pick_device().type == "cpu":
        for precision in dict.fromkeys(precisions):
            if precision != "bf16":
                yield "ctranslate2", precision, *_by_ctranslate2(model, sources, precision)


def _by_ctranslate2(model: Path, sources: list[str], precision: str) -> tuple[list[str], float]:
    import ctranslate2

    loaded = load_model(model)
    with tempfile.TemporaryDirectory() as folder:
        export(model, "ctranslate2", Path(folder))
        compute = {"fp32": "float32", "int8": "int8"}[precision]
        translator = ctranslate2.Translator(folder, compute_type=compute, intra_threads=torch.get_num_threads())
    names = loaded.tokenizer.source.entries, loaded.tokenizer.target.entries
    numbers = {name: number for number, name in enumerate(names[1])}
    started = time.process_time()
    found = translator.translate_batch(
        [[names[0][token] for token in row] for row in loaded.tokenizer.encode_source(sources)],
        beam_size=loaded.decoding.beam_size,
        length_penalty=loaded.decoding.length_penalty,
        max_batch_size=_BATCH,
        disable_unk=True,
    )
    rows = [[numbers[name] for name in translation.hypotheses[0]] for translation in found]
    return loaded.tokenizer.decode_target(rows), time.process_time() - started


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]


if __name__ == "__main__":
    main()
