"""Measure search with a shortlist: speed, size, coverage, and BLEU of a trained model.

    python benchmarks/shortlist.py --model RUN --test valid.en valid.de --corpus train.en train.de
    python benchmarks/shortlist.py --random small,base --test valid.en valid.de --corpus train.en train.de

The model is copied, and gets a shortlist made from the corpus. Random models have a tokenizer of the given size learned
from the corpus; their translations are as long as the sources. Speed is lines per second of CPU time on one thread,
from lines to lines, the best of several rounds, in which the systems take turns. In batches means that all lines are
translated together; alone, one line at a time.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from sacrebleu.metrics.bleu import BLEU

from markdown_table import table_row
from nmt_cli.commands.model_config import named_model
from nmt_cli.commands.shortlist import ShortlistOptions, write_shortlist
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.translator import Translator
from nmt_cli.text.lines import read_lines
from random_model import save_random_model

SEARCHES = {"greedy": ("beam_size=1",), "beam 5": ("beam_size=5",)}
PRECISIONS = ("fp32", "int8")


def main() -> None:
    """Print Markdown tables."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--model", type=Path)
    arguments.add_argument("--random", default="", help="presets, separated by commas")
    arguments.add_argument("--vocabulary", type=int, default=32_000)
    arguments.add_argument("--test", type=Path, nargs=2, required=True)
    arguments.add_argument("--corpus", type=Path, nargs=2, required=True)
    arguments.add_argument("--lines", type=int, default=1000)
    arguments.add_argument("--alone", type=int, default=100, help="lines that are also translated one at a time")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--best", default="50", help="values of nmt shortlist --best, separated by commas")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    test = [list(read_lines(path))[: chosen.lines] for path in chosen.test]
    with tempfile.TemporaryDirectory() as scratch:
        models = {preset: Path(scratch) / preset for preset in filter(None, chosen.random.split(","))}
        for preset, folder in models.items():
            settings = {
                "tokenizer": {"vocabulary_size": chosen.vocabulary, "algorithm": "bpe"},
                "model": {"architecture": "transformer", "preset": preset, "tied_embeddings": "all"},
            }
            save_random_model(folder, *(list(read_lines(path)) for path in chosen.corpus), settings)
        if chosen.model is not None:
            models["trained"] = Path(shutil.copytree(named_model(chosen.model).files.folder, Path(scratch) / "trained"))
        for name, folder in models.items():
            for best in map(int, chosen.best.split(",")):
                began = time.process_time()
                made = write_shortlist(folder, chosen.corpus, ShortlistOptions(best=best))
                seconds = time.process_time() - began
                print(
                    f"\n{name}, --best {best}: {made.mean_size:.0f} subwords for a sentence, {made.coverage:.2%} of"
                    f" those of references; {made.sentences:,} pairs in {seconds:.0f} s\n"
                )
                print("| search | precision | batches | alone | batches, short | alone, short | BLEU | short |")
                print("|:--|:--|--:|--:|--:|--:|--:|--:|", flush=True)
                for row in measure(folder, test, chosen.rounds, chosen.alone, is_random=name != "trained"):
                    print(table_row(row), flush=True)


def measure(folder: Path, test: list[list[str]], rounds: int, alone: int, *, is_random: bool) -> Iterator[list[str]]:
    """Yield the rows of a table."""
    length = ("max_length_ratio=1", "max_length_offset=0") if is_random else ()
    for search, settings in SEARCHES.items():
        for precision in PRECISIONS:
            shared = ("check=false", f"precision={precision}", *settings, *length)
            systems = [open_system(folder, *shared), open_system(folder, *shared, "shortlist=true")]
            batched, single, texts = [0.0, 0.0], [0.0, 0.0], [list[str](), list[str]()]
            for _ in range(rounds):
                for index, system in enumerate(systems):
                    speed, texts[index] = translate(system, [test[0]])
                    batched[index] = max(batched[index], speed)
                    speed, _ = translate(system, [[line] for line in test[0][:alone]])
                    single[index] = max(single[index], speed)
            scores = ["", ""] if is_random else [f"{bleu(text, test[1]):.2f}" for text in texts]
            speeds = [f"{batched[0]:.0f}", f"{single[0]:.1f}"]
            speeds += [f"{own[1]:.{digits}f} ({own[1] / own[0]:.2f})" for own, digits in ((batched, 0), (single, 1))]
            yield [search, precision, *speeds, *scores]


def open_system(folder: Path, *settings: str) -> Translator:
    """Return a translator with these settings of `decoding`."""
    return open_translator(TranslateOptions((folder,), tuple(f"decoding.{each}" for each in settings)))


def translate(translator: Translator, windows: list[list[str]]) -> tuple[float, list[str]]:
    """Return lines per second of CPU time, and the translations."""
    began, texts = time.process_time(), list[str]()
    for window in windows:
        texts += [each.best.text for each in translator.translate_window([Request(line) for line in window])]
    return len(texts) / (time.process_time() - began), texts


def bleu(hypotheses: list[str], references: list[str]) -> float:
    """Return BLEU with sacreBLEU's defaults."""
    return float(BLEU().corpus_score(hypotheses, [references]).score)


if __name__ == "__main__":
    main()
