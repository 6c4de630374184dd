"""What precisions cost a trained model in BLEU."""

import gzip
import time
from pathlib import Path

from nmt_cli.commands.translators import TranslatorOptions, open_translator
from nmt_cli.decoding.requests import Request
from nmt_cli.evaluation.metrics import score
from nmt_cli.recipe.decoding import Evaluation

ALLOWED = 0.3
"""BLEU that int8 may cost."""


def cost_of_precisions(model: Path, text: Path, precisions: list[str]) -> list[str]:
    """Lines of Markdown: BLEU on Multi30k's test2016, English to German, in each precision, and its loss to fp32."""
    sources, references = (_lines(text / f"test_2016_flickr.{language}.gz") for language in ("en", "de"))
    lines = ["| precision | BLEU | loss | seconds |", "| :-- | --: | --: | --: |"]
    found: dict[str, float] = {}
    for precision in dict.fromkeys(["fp32", *precisions]):
        translator = open_translator(TranslatorOptions([model], [f"decoding.precision={precision}"]))
        started = time.process_time()
        translated = [translation.best.text for translation in translator.translate(map(Request, sources))]
        seconds = time.process_time() - started
        [bleu] = score(translated, [references], Evaluation(metrics=["bleu"]))
        found[precision] = bleu.value
        loss = found["fp32"] - found[precision]
        verdict = "" if loss <= ALLOWED else f" (more than {ALLOWED})"
        lines.append(f"| {precision} | {found[precision]:.2f} | {loss:.2f}{verdict} | {seconds:.1f} |")
        print(lines[-1], flush=True)
    return [f"BLEU of {model} on Multi30k's test2016, as `nmt translate` translates it ({bleu.signature}):", "", *lines]


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split("\n")[:-1]
