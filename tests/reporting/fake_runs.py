"""Files of runs and prepared data, written without any training."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.data.preparation.manifest import FORMAT_VERSION, MANIFEST_KIND, fingerprint_of
from nmt_cli.recipe.loading import resolved_yaml
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import RunDirectory

HOSTILE = '<script>alert("x")</script><img src=http://example.org/a.png onerror=alert(1)> & \u202e {{ 7 * 7 }}'
"""Text that a page must not interpret."""


@dataclass
class FakeRun:
    """A run whose files tests may change."""

    path: Path

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.path)

    def journal(self, records: Iterable[dict[str, Any]]) -> None:
        self.run.metrics.write_text("".join(f"{json.dumps(record)}\n" for record in records))

    def evaluate(self, name: str, sentences: list[dict[str, Any]], **content: Any) -> Path:
        folder = self.run.evaluation(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hypotheses.jsonl").write_text("".join(f"{json.dumps(sentence)}\n" for sentence in sentences))
        score = {"name": "BLEU", "score": 38.25, "signature": "nrefs:1|tok:13a", "confidence_low": 36.5}
        scores = [score | {"confidence_high": 40.0}, {"name": "chrF2", "score": 61.5, "signature": "nrefs:1|nc:6"}]
        scores_json = {
            "test_set": name,
            "scores": scores,
            "exact_match": 12.5,
            "sentences": len(sentences),
            "warnings": [],
        }
        scores_json["provenance"] = {"model": "aa", "source": "bb", "references": ["cc"]}
        files.write_json(folder / "scores.json", scores_json | content)
        return folder


def sentence(number: int, hypothesis: str, reference: str, source: str = "a source") -> dict[str, Any]:
    texts = {"source": source, "hypothesis": hypothesis, "references": [reference]}
    return {"id": number, **texts, "log_probability": -1.5, "score": -0.5}


def training(update: int, **values: Any) -> dict[str, Any]:
    position = {
        "time": 1.7e9 + update,
        "update": update,
        "epoch": update / 100,
        "target_tokens": 50 * update,
        "kind": "train",
    }
    defaults = {
        "loss": 8 / (1 + update / 50),
        "learning_rate": 1e-3,
        "gradient_norm": 1.0,
        "target_tokens_per_second": 900.0,
    }
    return position | defaults | {"memory_bytes": 2**30} | values


def validation(update: int, bleu: float, name: str = "dev") -> dict[str, Any]:
    position = {
        "time": 1.7e9 + update,
        "update": update,
        "epoch": update / 100,
        "target_tokens": 50 * update,
        "kind": "valid",
    }
    return position | {"set": name, "num_not_improved": 0, "loss": 5 - bleu / 10, "bleu": bleu, "chrf": 2 * bleu}


def write_prepared(folder: Path) -> str:
    """Write prepared data of two training corpora and return its fingerprint."""
    corpora = {}
    for name, lengths in (("train/large", [3, 4, 4, 9]), ("train/small", [2]), ("valid/dev", [5])):
        (folder / name).mkdir(parents=True)
        (folder / name / "source.bin").write_bytes(bytes(2 * sum(lengths)))
        kept, histogram = len(lengths), {str(length): lengths.count(length) for length in sorted({*lengths})}
        corpora[name] = {
            "read": kept + 3,
            "kept": kept,
            "dropped": {"empty": 2, "too_long": 1},
            "examples": {
                "empty": [{"record": record, "source": "", "target": f"alone {record}"} for record in (2, 1002)],
                "too_long": [{"record": 4, "source": "<b>long & …", "target": "lang …"}],
            },
            "shards": [kept],
            "prefix": [],
            "lengths": {"source": histogram, "target": histogram},
        }
    words = {"empty": "a side is empty", "too_long": "a side has more than 9 subwords"}
    about = {
        "kind": MANIFEST_KIND,
        "format": FORMAT_VERSION,
        "settings": {},
        "adapted": {},
        "inputs": {},
        "reasons": words,
    }
    files.write_manifest(folder, {**about, "corpora": corpora})
    return fingerprint_of(files.read_json(folder / files.MANIFEST))


def write_run(folder: Path, data: str = "aa", prepared: str = "prepared") -> FakeRun:
    """Write a finished run of two corpora with a journal and an evaluated test set, but no model."""
    corpus = {"source": "x.en", "target": "x.de"}
    recipe = Recipe.model_validate(
        {
            "run": "runs/small",
            "data": {
                "source_language": "en",
                "target_language": "de",
                "prepared": prepared,
                "train": {"large": corpus, "small": corpus},
                "valid": {"dev": corpus},
                "test": {"test": {"source": "x.en", "target": "x.de"}},
            },
            "model": {"architecture": "transformer", "preset": "tiny"},
            "training": {"validation": {"metric": "bleu"}},
        }
    )
    written = FakeRun(folder)
    folder.mkdir(parents=True)
    written.run.resolved.write_text(resolved_yaml(recipe))
    written.run.recipe.write_text("# as given\nrun: runs/small\n")
    summary = {"format": 1, "nmt": "0.1.0", "status": "finished", "started": "2026-01-02", "command": ["nmt", "train"]}
    measured = {"update": 300, "best": [[30.0, 200], [29.0, 300]], "seconds": 3725, "reason": "the limit is reached"}
    environment = {"environment": {"device": "CPU, 1 thread", "torch": "2.13.0"}}
    files.write_json(written.run.summary, summary | measured | environment | {"data": data})
    started = {"time": 1.7e9, "update": 0, "epoch": 0, "target_tokens": 0, "kind": "event", "event": "started"}
    updates = [training(step) for step in range(50, 301, 50)]
    scores = [validation(100, 20.0), validation(200, 30.0), validation(300, 29.0)]
    written.journal([started, *updates, *scores])
    pairs = [("Ein Hund rennt.", "Ein Hund läuft."), ("Zwei Kinder.", "Zwei Kinder."), ("", "Nichts.")]
    written.evaluate("test", [sentence(number, *pair) for number, pair in enumerate(pairs)])
    return written
