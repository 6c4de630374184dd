"""JoeyNMT 2.3: a YAML file, started by `joeynmt_reporting.py`, as its log has no token counts."""

from pathlib import Path
from typing import Any

import yaml

from peers.contract import BETAS, CLIP_NORM, DROPOUT, LABEL_SMOOTHING, Lstm, Transformer, Work

_NEVER = 10**8


class JoeyNmt:
    """Batches are counted in padded tokens and mix sentences of all lengths."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def refusal(self, work: Work) -> str | None:
        return "has no mixed precision on a CPU" if work.precision == "bf16" and work.device == "cpu" else None

    def preparation(self, work: Work, folder: Path) -> list[list[str]]:
        return []

    def training(self, work: Work, folder: Path) -> list[str]:
        corpus = work.corpus
        names = ["<unk>", "<pad>", "<s>", "</s>", *corpus.vocabulary.read_text().split("\n")[:-1]]
        (folder / "vocabulary").write_text("".join(f"{name}\n" for name in names))
        side = {"level": "word", "voc_file": str(folder / "vocabulary"), "max_length": 256}
        settings = {
            "name": "benchmark",
            "model_dir": str(folder / "model"),
            "use_cuda": work.device == "cuda",
            "fp16": work.precision == "bf16",
            "data": {
                "train": str(corpus.pieces("train", "source").with_suffix("")),
                "dev": str(corpus.pieces("valid", "source").with_suffix("")),
                "dataset_type": "plain",
                "src": {"lang": "source", **side},
                "trg": {"lang": "target", **side},
            },
            "training": self._training(work),
            "testing": {"beam_size": 5, "batch_size": 64, "batch_type": "sentence", "max_output_length": 128},
            "model": _model(work.size),
        }
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        return self._command("train", folder)

    def _training(self, work: Work) -> dict[str, Any]:
        return {
            "random_seed": 1,
            "optimizer": "adam",
            "adam_betas": list(BETAS),
            "learning_rate": work.learning_rate,
            "learning_rate_min": 0.0,
            "scheduling": "warmupinversesquareroot",
            "learning_rate_warmup": work.warmup,
            "clip_grad_norm": CLIP_NORM,
            "loss": "crossentropy",
            "label_smoothing": LABEL_SMOOTHING,
            "normalization": "tokens",
            "batch_size": work.batch_tokens,
            "batch_type": "token",
            "epochs": _NEVER,
            "updates": _NEVER,
            "validation_freq": work.save_every or _NEVER,
            "logging_freq": work.report_every,
            "overwrite": True,
            "shuffle": True,
            "keep_best_ckpts": 2,
        }

    def journal(self, folder: Path, log: Path) -> Path:
        return log

    def count(self, line: str, so_far: int) -> int:
        return int(line.split()[1]) if line.startswith("target_tokens ") else so_far

    def translation(self, work: Work, folder: Path, source: Path, output: Path) -> list[str]:
        raise NotImplementedError("JoeyNMT's own translation to a file does not work in this version")

    def _command(self, verb: str, folder: Path) -> list[str]:
        program = Path(__file__).with_name("joeynmt_reporting.py")
        return [str(self._python), "-P", str(program), verb, str(folder / "settings.yaml"), "--skip-test"]


def _model(size: Transformer | Lstm) -> dict[str, Any]:
    shared = {"initializer": "xavier_uniform", "embed_initializer": "normal", "embed_init_weight": 0.02}
    if isinstance(size, Lstm):
        embeddings = {"embedding_dim": size.width // 2, "dropout": DROPOUT}
        cell = {"type": "recurrent", "rnn_type": "lstm", "num_layers": 1, "embeddings": embeddings, "dropout": DROPOUT}
        return {
            **shared,
            "tied_embeddings": True,
            "tied_softmax": False,
            "encoder": {**cell, "hidden_size": size.width // 2, "bidirectional": True},
            "decoder": {
                **cell,
                "hidden_size": size.width,
                "hidden_dropout": DROPOUT,
                "init_hidden": "bridge",
                "input_feeding": size.feeding,
                "attention": "bahdanau",
            },
        }
    layers = {
        "type": "transformer",
        "num_layers": size.layers,
        "num_heads": size.heads,
        "embeddings": {"embedding_dim": size.width, "scale": True, "dropout": DROPOUT},
        "hidden_size": size.width,
        "ff_size": size.feed_forward,
        "dropout": DROPOUT,
        "layer_norm": "pre",
    }
    return {**shared, "tied_embeddings": True, "tied_softmax": True, "encoder": layers, "decoder": layers}
