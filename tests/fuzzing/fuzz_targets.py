"""What is fuzzed: for each loader, the files that it reads, and the commands that load and use them."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt_cli import files
from nmt_cli.cli import main

RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  train: {digits: {source: train.en, target: train.de}}
  valid: {dev: {source: dev.en, target: dev.de}}
  test: {test: {source: dev.en, target: dev.de}}
tokenizer: {vocabulary_size: 28, byte_fallback: false}
model:
  {architecture: transformer, preset: tiny, encoder_layers: 1, decoder_layers: 1, width: 16, feed_forward: 16, heads: 2}
training:
  update_tokens: 100
  batch_tokens: 100
  limits: {updates: 3}
  validation: {every: 2, metric: loss}
decoding: {beam_size: 1, check: false}
"""
CORPORA = """\
run: other
data:
  source_language: en
  target_language: de
  prepared: prepared_corpora
  on_error: ON_ERROR
  train:
    plain: {source: corpus.en, target: corpus.de, alignment: corpus.align, score: corpus.score}
    table: {format: tsv, file: corpus.tsv, source: en, target: de, alignment: links}
    objects: {format: jsonl, file: corpus.jsonl, source: pair.en, target: pair.de, alignment: links}
    memory: {format: tmx, file: corpus.tmx}
  valid: {dev: {source: dev.en, target: dev.de}}
  filters:
    - {type: length, max: 500}
    - {type: unmatched, kinds: [url]}
tokenizer: {algorithm: byte}
model: {architecture: transformer, preset: tiny}
"""
TMX_UNIT = (
    '<tu><tuv xml:lang="en"><seg>{}<ph x="1">&lt;b/&gt;</ph> &amp; {}</seg></tuv>'
    '<tuv xml:lang="de"><seg>{}</seg></tuv></tu>'
)
_ENGLISH = ["one", "two", "three", "four", "five"]
_GERMAN = ["eins", "zwei", "drei", "vier", "fünf"]


@dataclass(frozen=True)
class Target:
    """A loader."""

    files: Sequence[str]
    """Files or patterns; one of them is changed in each case."""
    commands: Sequence[str]
    """Run after the change. CHANGED stands for the content of the changed file."""
    signed: bool = False
    """Whether the manifest of the file's folder is adapted to the change in half of the cases."""


_TRANSLATE = "translate run/model -i in.en -o out.de"
TARGETS = {
    "recipe": Target(["recipe.yaml", "corpora.yaml"], ["show recipe.yaml", "preprocess corpora.yaml --dry-run"]),
    "--set": Target(["options/*"], ["preprocess recipe.yaml --dry-run --set CHANGED"]),
    "tokenizer": Target(
        ["run/tokenizer/*"], ["show run/tokenizer", "translate run/checkpoints/step_3 -i in.en -o out.de"]
    ),
    "model folder": Target(
        ["run/model/*.*", "run/model/tokenizer/*"],
        ["show run/model --check", _TRANSLATE, "export run/model --to ctranslate2 -o ct"],
        True,
    ),
    "prepared index": Target(
        ["prepared/*.json", "prepared/*/*/*.json"], ["show prepared", "train recipe.yaml --dry-run"], True
    ),
    "checkpoint state": Target(
        ["run/checkpoints/step_3/*.json", "run/checkpoints/step_3/optimizer*", "run/run.json", "run/resolved.yaml"],
        ["show run/checkpoints/step_3", "train recipe.yaml --set training.limits.updates=4"],
        True,
    ),
    "run": Target(
        ["run/*.json*", "run/.lock", "run/checkpoints/*.json", "run/evaluation/test/*"],
        ["runs run", "show run", "report run --attention 1 -o report.html", "stop run"],
    ),
    "hypotheses": Target(
        ["run/evaluation/test/*", "other.de"],
        [
            "show run/evaluation/test/hypotheses.jsonl",
            "compare run/evaluation/test other.de --resamples 10 --html page.html",
            "evaluate --hypothesis other.de --reference dev.de",
        ],
    ),
    "glossary": Target(
        ["glossary.tsv", "phrases.txt"],
        [f"{_TRANSLATE} --glossary glossary.tsv --bad-words phrases.txt --format jsonl"],
    ),
    "TMX": Target(["corpus.tmx"], ["preprocess corpora.yaml --nproc 1", "preprocess skip.yaml --nproc 1"]),
    "JSON lines": Target(["corpus.jsonl"], ["preprocess corpora.yaml --nproc 1", "preprocess skip.yaml --nproc 1"]),
    "TSV": Target(["corpus.tsv", "corpus.en"], ["preprocess corpora.yaml --nproc 1", "preprocess skip.yaml --nproc 1"]),
    "alignments": Target(
        ["corpus.align", "corpus.score"], ["preprocess corpora.yaml --nproc 1", "preprocess skip.yaml --nproc 1"]
    ),
    "markup": Target(["markup.txt"], ["translate run/model -i markup.txt -o out.de --markup xml --protect [0-9]+"]),
    "requests": Target(
        ["requests.jsonl"],
        [
            "translate run/model -i requests.jsonl -o out.de --input-format jsonl --format jsonl",
            "score run/model --source in.en --target requests.jsonl",
        ],
    ),
}


def build_world() -> None:
    """Write valid files of every kind into the working directory."""
    for name, count in (("train", 60), ("dev", 6), ("corpus", 8)):
        for language, words in (("en", _ENGLISH), ("de", _GERMAN)):
            rows = (" ".join(words[(i * 7 + k * (1 + i % 3)) % 5] for k in range(1 + i % 4)) for i in range(count))
            Path(f"{name}.{language}").write_text("".join(f"{row}\n" for row in rows))
    pairs = [("one 2 <b>", "eins 2 <b>"), ("two three", "zwei drei"), ("four\u00a0five", "vier fünf")]
    write = {
        "recipe.yaml": RECIPE,
        "corpora.yaml": CORPORA.replace("ON_ERROR", "stop"),
        "skip.yaml": CORPORA.replace("ON_ERROR", "skip"),
        "in.en": "one two\nthree\n",
        "other.de": Path("dev.de").read_text(),
        "corpus.align": "0-0\n" * 8,
        "corpus.score": "0.5\n" * 8,
        "corpus.tsv": "en\tde\tlinks\n" + "".join(f"{source}\t{target}\t0-0\n" for source, target in pairs),
        "corpus.jsonl": "".join(
            f'{{"pair": {{"en": "{source}", "de": "{target}"}}, "links": "0-0", "id": [1.10, null]}}\n'
            for source, target in pairs
        ),
        "corpus.tmx": '<?xml version="1.0" encoding="utf-8"?>\n<tmx version="1.4"><header srclang="en"/><body>\n'
        + "\n".join(TMX_UNIT.format(source.split()[0], 3, target.split()[0]) for source, target in pairs)
        + "\n</body></tmx>\n",
        "glossary.tsv": "one\teins\nTwo\tzwei\nthree\tdrei\tDrei\n# x\ty\n",
        "phrases.txt": "vier\nfünf eins\n",
        "markup.txt": 'one <b>two</b> <img a="b"/> 12\n&lt;three&gt; <i><u>four</u></i> five\n',
        "requests.jsonl": '{"source": "one two", "prefix": "eins", "id": 1.10}\n'
        '{"source": "three", "required": ["drei"], "forbidden": ["vier"]}\n',
    }
    for name, text in write.items():
        Path(name).write_text(text)
    Path("options").mkdir()
    for index, option in enumerate(
        (
            "seed=2",
            "training.optimizer={type: sgd, momentum: 0.5}",
            "data.filters.1.max=7",
            "data.train.digits.weight=1e3",
        )
    ):
        Path(f"options/{index}").write_text(option)
    for command in (
        "preprocess recipe.yaml --nproc 1",
        "train recipe.yaml",
        "evaluate recipe.yaml",
        "preprocess corpora.yaml --nproc 1",
    ):
        if (code := run_command(command)) != 0:
            raise AssertionError(f"nmt {command}: exit code {code}")
    shutil.rmtree("prepared_corpora")


def run_command(command: str, changed: str = "") -> int:
    """Run nmt in this process and return its exit code; exceptions that would be a traceback are raised."""
    sys.argv = ["nmt", *(changed if word == "CHANGED" else word for word in command.split(" "))]
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def sign(path: Path) -> None:
    """Adapt the hashes in the manifest of the file's folder, or of a folder around it."""
    for folder in list(path.parents)[:-1]:
        manifest = folder / files.MANIFEST
        if manifest.is_file() and path != manifest:
            content = files.read_json(manifest)
            entry = content["files"].get(str(path.relative_to(folder)))
            if entry is not None:
                entry.update(bytes=path.stat().st_size, sha256=files.sha256(path))
                manifest.write_bytes(files.json_bytes(content))
