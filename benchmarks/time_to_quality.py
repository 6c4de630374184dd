"""Measure the quality of models trained for a few minutes on a few cores, from raw text, by nmt and other toolkits.

    python benchmarks/time_to_quality.py --minutes 4.5 --cores 0
    python benchmarks/time_to_quality.py --minutes 40 --cores 0 --systems nmt,fairseq \\
        --peer-python fairseq=/opt/fairseq/bin/python --output benchmarks/results/time_to_quality.md
    python benchmarks/time_to_quality.py --minutes 12 --recipe mine.yaml --set training.optimizer.learning_rate=1e-3

Systems train one after another on Multi30k, English to German, then translate test2016 (or --source, scored against
--reference) with beam 5; sacreBLEU scores the translations.

The time includes everything from the start of the first process to the end of the last one before translation. For
nmt these are `nmt preprocess` (normalisation, training the tokenizer, encoding) and `nmt train` (start-up, training,
validation, writing the model). For a peer: `nmt preprocess`, so that the subwords are of the same kind; writing them
as text; the peer's own preparation if it has one; and training, which is killed when the time is over; its last
checkpoint translates. Translation and scoring are not included.

nmt uses the built-in recipe (preset small, bf16, a learning rate that falls to zero over the given time) or --recipe,
whose run, data, tokenizer and decoding sections are replaced. Its training.limits.minutes is the time that remains
after preprocessing, less --reserve; or it trains for --updates. A peer has the same model (sizes, dropout 0.1
everywhere, tied embeddings), Adam, a learning rate that falls with the square root of the update number after
--warmup, and --precision.
"""

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sacrebleu.metrics.bleu import BLEU

from markdown_table import table_row
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.text.lines import read_lines
from peers import PEERS
from peers.child import REPOSITORY, Child, Journal, run
from peers.contract import Corpus, System, Work
from peers.corpora import as_pieces, from_pieces, mean_length, unpack_multi30k, write_pieces
from peers.ours import command, data_sections

OURS = "nmt"
_VALIDATION_PAIRS = 200
_POLL = 0.2
_RECIPE = {
    "model": {"architecture": "transformer", "preset": "small"},
    "training": {
        "update_tokens": 2048,
        "precision": "bf16",
        "optimizer": {"type": "muon", "learning_rate": 8e-3},
        "schedule": {"type": "linear", "warmup": 50},
        "validation": {"every": 10**9, "metric": "loss"},
        "logging": {"every": 10},
    },
}
"""The peers have the sizes of preset small."""


@dataclass(frozen=True)
class Outcome:
    """The result of a system."""

    system: str
    preparation: float
    """Seconds until the start of training."""
    training: float
    """Seconds from the start of training to the finished model."""
    target_tokens: int
    bleu: float
    length_ratio: float
    signature: str


def main() -> None:
    options = _options()
    outcomes = []
    for name in options.systems:
        folder = options.folder.resolve() / name
        if folder.exists():
            shutil.rmtree(folder)
        corpus = Corpus("multi30k", folder / "data")
        unpack_multi30k(options.text, corpus)
        _shorten(corpus, _VALIDATION_PAIRS)
        outcome = _ours(corpus, folder, options) if name == OURS else _peer(name, corpus, folder, options)
        outcomes.append(outcome)
        print("\n".join([*_table([outcome]), ""]), flush=True)
    lines = [f"{options.minutes} minutes, cores {options.cores}", "", *_table(outcomes), "", outcomes[0].signature]
    print("\n".join(lines))
    if options.output:
        options.output.write_text("\n".join(lines) + "\n")


def _ours(corpus: Corpus, folder: Path, options: argparse.Namespace) -> Outcome:
    recipe = folder / "recipe.yaml"
    given: dict[str, Any] = yaml.safe_load(options.recipe.read_text()) if options.recipe else _RECIPE
    replaced = {"run": str(folder / "run"), **data_sections(corpus), "decoding": {"beam_size": 1}}
    recipe.write_text(yaml.safe_dump({**given, **replaced}, sort_keys=False))
    started = time.monotonic()
    run(command("preprocess", recipe), options.cores, folder / "preprocess.log")
    preparation = time.monotonic() - started
    left = options.minutes - (preparation + options.reserve) / 60
    limit = f"updates={options.updates}" if options.updates else f"minutes={left:.3f}"
    settings = [f"training.limits.{limit}", *options.set]
    sets = [text for setting in settings for text in ("--set", setting)]
    training = run(command("train", recipe, *sets), options.cores, folder / "train.log")
    records = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().split("\n")[:-1]]
    source, output = _plain(options.source, folder / "test.source"), folder / "test.output"
    translate = command("translate", folder / "run", "-i", source, "-o", output, "--set", "decoding.beam_size=5")
    run(translate, options.cores, folder / "translate.log")
    tokens = max(record["target_tokens"] for record in records)
    return _scored(OURS, preparation, training, tokens, list(read_lines(output)), options)


def _peer(name: str, corpus: Corpus, folder: Path, options: argparse.Namespace) -> Outcome:
    system = PEERS[name](options.pythons[name])
    started = time.monotonic()
    recipe = folder / "recipe.yaml"
    sections = {"run": str(folder / "none"), **data_sections(corpus), "model": {"architecture": "transformer"}}
    recipe.write_text(yaml.safe_dump(sections, sort_keys=False))
    run(command("preprocess", recipe), options.cores, folder / "preprocess.log")
    write_pieces(corpus)
    work = Work(
        corpus,
        options.model,
        options.precision,
        options.batch,
        "cpu",
        mean_length(corpus),
        report_every=5,
        save_every=options.save_every,
        learning_rate=options.learning_rate,
        warmup=options.warmup,
    )
    refusal = system.refusal(work)
    if refusal:
        raise SystemExit(f"{name} cannot do this: {refusal}")
    for number, arguments in enumerate(system.preparation(work, folder)):
        run(arguments, options.cores, folder / f"preparation_{number}.log")
    preparation = time.monotonic() - started
    log = folder / "train.log"
    with Child(system.training(work, folder), options.cores, log) as child:
        tokens = _watch(child, Journal(system.journal(folder, log)), system, 60 * options.minutes - preparation)
        training = child.seconds()
    tokenizer = Tokenizer.load(corpus.prepared / "tokenizer")
    source, output = folder / "test.source", folder / "test.output"
    rows = tokenizer.encode_source(list(read_lines(options.source)))
    source.write_text("".join(f"{line}\n" for line in as_pieces(tokenizer, rows)))
    run(system.translation(work, folder, source, output), options.cores, folder / "translate.log")
    return _scored(name, preparation, training, tokens, from_pieces(tokenizer, list(read_lines(output))), options)


def _watch(child: Child, journal: Journal, system: System, seconds: float) -> int:
    """Kill a training run after some seconds. Return the number of target tokens it was trained on."""
    tokens = 0
    while child.seconds() < seconds:
        if child.ended():
            raise child.failure("training ended before its time")
        for line in journal.new_lines():
            tokens = system.count(line, tokens)
        time.sleep(_POLL)
    child.end()  # without a signal first, so that no system gets extra time for saving
    return tokens


def _scored(
    system: str, preparation: float, training: float, tokens: int, hypotheses: list[str], options: argparse.Namespace
) -> Outcome:
    metric = BLEU()
    found = metric.corpus_score(hypotheses, [list(read_lines(options.reference))])
    ratio = found.sys_len / found.ref_len
    return Outcome(system, preparation, training, tokens, found.score, ratio, str(metric.get_signature()))


def _table(outcomes: list[Outcome]) -> list[str]:
    lines = [
        "| system | minutes | preparation, minutes | target tokens | BLEU | length ratio |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    for outcome in outcomes:
        total = outcome.preparation + outcome.training
        cells = [
            outcome.system,
            f"{total / 60:.2f}",
            f"{outcome.preparation / 60:.2f}",
            f"{outcome.target_tokens:,}",
            f"{outcome.bleu:.2f}",
            f"{outcome.length_ratio:.2f}",
        ]
        lines.append(table_row(cells))
    return lines


def _shorten(corpus: Corpus, pairs: int) -> None:
    """Keep the first pairs of the validation set: validation costs time too."""
    for side in ("source", "target"):
        path = corpus.text("valid", side)
        path.write_bytes(b"".join(line + b"\n" for line in path.read_bytes().split(b"\n")[:pairs]))


def _plain(path: Path, copy: Path) -> Path:
    copy.write_text("".join(f"{line}\n" for line in read_lines(path)))
    return copy


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add, multi30k = parser.add_argument, REPOSITORY.parent / "shared/data/multi30k"
    add("--minutes", type=float, default=4.5, help="time from the first process to the model (default 4.5)")
    add("--cores", default="0", help="cores to run on, such as 0 or 0-3 (default 0); also the number of threads")
    add("--systems", default=OURS, help=f"some of {OURS} (default), {', '.join(PEERS)}; run in this order")
    add("--peer-python", action="append", default=[], metavar="NAME=PATH", help="Python that has the peer; repeatable")
    add("--recipe", type=Path, help="nmt: recipe to use instead of the built-in one")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="nmt: change a setting; repeatable")
    add("--updates", type=int, help="nmt: train for this number of updates instead of a time")
    add(
        "--reserve",
        type=float,
        default=8.0,
        help="nmt: seconds reserved for starting and writing the model (default 8)",
    )
    add("--model", default="small", help="peers: small (default), base, big, lstm or lstm_fed")
    add("--precision", default="fp32", help="peers: fp32 (default) or bf16")
    add("--batch", type=int, default=1024, help="peers: padded tokens per batch (default 1024)")
    add("--learning-rate", type=float, default=1e-3, help="peers: peak learning rate (default 1e-3)")
    add("--warmup", type=int, default=50, help="peers: warm-up updates (default 50)")
    add("--save-every", type=int, default=50, help="peers: updates between checkpoints (default 50)")
    add("--text", type=Path, default=multi30k, help="folder of Multi30k's *.gz files")
    add("--source", type=Path, default=multi30k / "test_2016_flickr.en.gz", help="text to translate")
    add("--reference", type=Path, default=multi30k / "test_2016_flickr.de.gz", help="reference translation of the text")
    add("--folder", type=Path, default=REPOSITORY / "runs/time_to_quality", help="folder for data and runs; emptied")
    add("--output", type=Path, help="write the table to this file")
    options = parser.parse_args()
    options.systems = options.systems.split(",")
    options.pythons = {name: Path(path).absolute() for name, _, path in (e.partition("=") for e in options.peer_python)}
    for name in options.systems:
        if name != OURS and name not in PEERS:
            parser.error(f"unknown system {name}")
        if name != OURS and not options.pythons.get(name, Path()).is_file():
            parser.error(f"--peer-python {name}=PATH must name the Python that has it")
    return options


if __name__ == "__main__":
    main()
