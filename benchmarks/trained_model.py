"""Measure a trained model from lines to lines, at natural lengths: BLEU and speed, beside CTranslate2.

    python benchmarks/trained_model.py MODEL FOLDER-OF-MULTI30K fp32,int8 ROUNDS

prints lines of Markdown. The lines are test2016. Both engines have the same weights and settings of the search, each in
a process of its own; they take turns, and figures are medians over rounds, in processor time without loading. The
output checker is off. CTranslate2 translates batches of 64 lines in our subwords.
"""

import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from markdown_table import table_row
from nmt_cli import console
from nmt_cli.commands.export import export
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.devices import pick_device
from nmt_cli.evaluation.metrics import score
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.lines import read_lines

MAX_LOSS = 0.3
"""Maximum loss of BLEU in int8."""
_SEARCHES = {"beam5": 5, "greedy": 1}
_BATCH = 64
"""Sentences per batch for CTranslate2."""
_COLUMNS = ("search", "precision", "engine", "BLEU", "lines/CPU-s", "ratio")

Translate = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Engine:
    """A process that translates with one search in one precision."""

    name: str
    process: "subprocess.Popen[str]"

    def answer(self) -> dict[str, Any]:
        """Return the translations of test2016 and the processor time in seconds."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def main(model: Path, text: Path, precisions: list[str], num_rounds: int) -> None:
    """Print BLEU on test2016 and speed of both engines in each precision, with beam 5 and greedily."""
    references = list(read_lines(text / "test_2016_flickr.de.gz"))
    rows, signature = [table_row(_COLUMNS), table_row([":--"] * 3 + ["--:"] * 3)], ""
    exact = dict[tuple[str, str], float]()
    for search in _SEARCHES:
        for precision in dict.fromkeys(["fp32", *precisions]):
            engines = [_start(name, model, text, search, precision) for name in _engines(precision)]
            answers = [[engine.answer() for engine in engines] for _ in range(num_rounds)]
            for engine in engines:
                engine.process.communicate()
            seconds = [statistics.median(each["cpu"] for each in found) for found in zip(*answers, strict=True)]
            for engine, answer, each in zip(engines, answers[-1], seconds, strict=True):
                [bleu] = score(answer["texts"], [references], Evaluation(metrics=["bleu"]))
                signature = bleu.signature
                loss = exact.setdefault((search, engine.name), bleu.value) - bleu.value
                verdict = f" (loss over {MAX_LOSS})" if loss > MAX_LOSS else ""
                figures = (f"{bleu.value:.2f}{verdict}", f"{len(references) / each:.0f}", f"{seconds[-1] / each:.2f}")
                rows.append(table_row((search, precision, engine.name, *figures)))
    print(f"{model.name} on Multi30k's test2016, natural lengths, from lines to lines ({signature}):\n")
    print("\n".join(rows))


def serve(name: str, model: Path, text: Path, search: str, precision: str) -> None:
    """Translate test2016 for each line on stdin; see `Engine`."""
    console.set_quiet(True)
    sources = list(read_lines(text / "test_2016_flickr.en.gz"))
    translate = (
        _ours(model, _SEARCHES[search], precision)
        if name == "nmt"
        else _ctranslate2(model, text, _SEARCHES[search], precision)
    )
    translate(sources[:100])
    for _ in sys.stdin:
        started = time.process_time()
        texts = translate(sources)
        print(json.dumps({"cpu": time.process_time() - started, "texts": texts}), flush=True)


def _engines(precision: str) -> list[str]:
    """Return the engines that can be measured; CTranslate2 has no bf16 on a CPU."""
    is_comparable = find_spec("ctranslate2") and pick_device().type == "cpu" and precision != "bf16"
    return ["nmt", "ctranslate2"] if is_comparable else ["nmt"]


def _start(name: str, model: Path, text: Path, search: str, precision: str) -> Engine:
    command = [sys.executable, __file__, "--serve", name, str(model), str(text)]
    pipe = subprocess.PIPE
    return Engine(name, subprocess.Popen([*command, search, precision], stdin=pipe, stdout=pipe, text=True))


def _ours(model: Path, beam_size: int, precision: str) -> Translate:
    settings = (f"beam_size={beam_size}", f"precision={precision}", "check=false")
    translator = open_translator(TranslateOptions((model,), tuple(f"decoding.{each}" for each in settings)))
    return lambda lines: [translation.best.text for translation in translator.translate(map(Request, lines))]


def _ctranslate2(model: Path, text: Path, beam_size: int, precision: str) -> Translate:
    import ctranslate2

    loaded = load_model(model)
    with tempfile.TemporaryDirectory() as folder:
        held_out = [Path(folder, f"valid.{language}") for language in ("en", "de")]
        for path in held_out:
            path.write_bytes(gzip.decompress((text / f"val.{path.suffix[1:]}.gz").read_bytes()))
        export(model, "ctranslate2", Path(folder) / "model", held_out)
        compute = {"fp32": "float32", "int8": "int8"}[precision]
        threads = torch.get_num_threads()
        translator = ctranslate2.Translator(f"{folder}/model", compute_type=compute, intra_threads=threads)
    names = loaded.tokenizer.source.entries, loaded.tokenizer.target.entries
    numbers = {name: number for number, name in enumerate(names[1])}

    def translate(lines: list[str]) -> list[str]:
        found = translator.translate_batch(
            [[names[0][token] for token in row] for row in loaded.tokenizer.encode_source(lines)],
            beam_size=beam_size,
            length_penalty=loaded.decoding.length_penalty,
            max_batch_size=_BATCH,
            disable_unk=True,
        )
        rows = [[numbers[name] for name in translation.hypotheses[0]] for translation in found]
        return loaded.tokenizer.decode_target(rows)

    return translate


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:])
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4]))
