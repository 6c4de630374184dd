"""OpenNMT-py 3 and its successor eole: settings files with different sections, the same kind of log."""

import re
from pathlib import Path
from typing import Any

import yaml

from peers.contract import BETAS, CLIP_NORM, DROPOUT, LABEL_SMOOTHING, Lstm, Transformer, Work, last_checkpoint

_REPORT = re.compile(r" Step +(\d+)/.*bsz: +\d+/ *(\d+)/")
_NEVER = 10**8


class _OpenNmt:
    """Common part of both. Batches are counted in padded tokens of the longer side."""

    def __init__(self, python: Path) -> None:
        self.python = python
        self._report_every = 1

    def preparation(self, work: Work, folder: Path) -> list[list[str]]:
        return []

    def journal(self, folder: Path, log: Path) -> Path:
        return log

    def count(self, line: str, so_far: int) -> int:
        """Reports have the mean target tokens per batch, which is exact if every update is reported."""
        found = _REPORT.search(line)
        return so_far + int(found[2]) * self._report_every if found else so_far

    def _settings(self, work: Work, folder: Path) -> dict[str, Any]:
        corpus, vocabulary = work.corpus, str(work.corpus.vocabulary)
        train = {"path_src": str(corpus.pieces("train", "source")), "path_tgt": str(corpus.pieces("train", "target"))}
        return {
            "seed": 1,
            "share_vocab": True,
            "src_vocab": vocabulary,
            "tgt_vocab": vocabulary,
            "vocab_size_multiple": 1,
            "overwrite": True,
            "report_every": work.report_every,
            "data": {"corpus": {**train, "transforms": []}},
        }

    def _training(self, work: Work) -> dict[str, Any]:
        self._report_every = work.report_every
        width = work.size.width
        return {
            "num_workers": 0,
            "bucket_size": 32768,
            "batch_type": "tokens",
            "batch_size": work.batch_tokens,
            "batch_size_multiple": 1,
            "normalization": "tokens",
            "accum_count": [1],
            "accum_steps": [0],
            "optim": "adam",
            "adam_beta1": BETAS[0],
            "adam_beta2": BETAS[1],
            "learning_rate": work.learning_rate * (width * work.warmup) ** 0.5,
            "decay_method": "noam",
            "warmup_steps": work.warmup,
            "max_grad_norm": CLIP_NORM,
            "label_smoothing": LABEL_SMOOTHING,
            "dropout": [DROPOUT],
            "attention_dropout": [DROPOUT],
            "dropout_steps": [0],
            "train_steps": _NEVER,
            "valid_steps": _NEVER,
            "save_checkpoint_steps": work.save_every or _NEVER,
            "keep_checkpoint": 2,
            **({"world_size": 1, "gpu_ranks": [0]} if work.device == "cuda" else {}),
        }


class Eole(_OpenNmt):
    """eole 0.6."""

    def refusal(self, work: Work) -> str | None:
        return None

    def training(self, work: Work, folder: Path) -> list[str]:
        training = {
            **self._training(work),
            "model_path": str(folder / "model"),
            "compute_dtype": work.precision,
            "param_init_method": "xavier_uniform",
        }
        settings = {**self._settings(work, folder), "training": training, "model": _eole_model(work.size)}
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        return [*self._command, "train", "-config", str(folder / "settings.yaml")]

    def translation(self, work: Work, folder: Path, source: Path, output: Path) -> list[str]:
        places = ["-model_path", str(folder / "model"), "-src", str(source), "-output", str(output)]
        return [*self._command, "predict", *places, "-beam_size", "5", "-batch_size", "64", "-max_length", "128"]

    @property
    def _command(self) -> list[str]:
        return [str(self.python), "-P", "-c", "from eole.bin.main import main; main()"]


class OpenNmtPy(_OpenNmt):
    """OpenNMT-py 3.5."""

    def refusal(self, work: Work) -> str | None:
        return "has no bf16" if work.precision == "bf16" else None

    def training(self, work: Work, folder: Path) -> list[str]:
        training = {
            **self._training(work),
            "save_model": str(folder / "model" / "saved"),
            "param_init": 0,
            "param_init_glorot": True,
        }
        settings = {**self._settings(work, folder), **training, **_opennmt_model(work.size)}
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        return [str(self.python), "-P", "-m", "onmt.bin.train", "-config", str(folder / "settings.yaml")]

    def translation(self, work: Work, folder: Path, source: Path, output: Path) -> list[str]:
        saved = last_checkpoint(folder / "model", "saved_step_*.pt")
        places = ["-model", str(saved), "-src", str(source), "-output", str(output)]
        # The checkpoint is a pickle, which torch loads only if declared as trusted.
        trusted = ["env", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1", str(self.python), "-P", "-m", "onmt.bin.translate"]
        return [*trusted, *places, "-beam_size", "5", "-batch_size", "64", "-max_length", "128"]


def _eole_model(size: Transformer | Lstm) -> dict[str, Any]:
    if isinstance(size, Lstm):
        cell = {"layers": 1, "hidden_size": size.width, "rnn_type": "LSTM"}
        return {
            "architecture": "custom",
            "hidden_size": size.width,
            "input_feed": int(size.feeding),
            "share_embeddings": True,
            "share_decoder_embeddings": False,
            "embeddings": {"word_vec_size": size.width // 2},
            "encoder": {"encoder_type": "brnn", **cell},
            "decoder": {"decoder_type": "rnn", "global_attention": "mlp", "bidirectional_encoder": True, **cell},
        }
    return {
        "architecture": "transformer",
        "layers": size.layers,
        "hidden_size": size.width,
        "heads": size.heads,
        "transformer_ff": size.feed_forward,
        "share_embeddings": True,
        "share_decoder_embeddings": True,
        "embeddings": {"word_vec_size": size.width, "position_encoding_type": "SinusoidalInterleaved"},
    }


def _opennmt_model(size: Transformer | Lstm) -> dict[str, Any]:
    shape = {"hidden_size": size.width, "share_embeddings": True}
    if isinstance(size, Lstm):
        return {
            **shape,
            "encoder_type": "brnn",
            "decoder_type": "rnn",
            "rnn_type": "LSTM",
            "enc_layers": 1,
            "dec_layers": 1,
            "word_vec_size": size.width // 2,
            "global_attention": "mlp",
            "input_feed": int(size.feeding),
        }
    return {
        **shape,
        "encoder_type": "transformer",
        "decoder_type": "transformer",
        "position_encoding": True,
        "enc_layers": size.layers,
        "dec_layers": size.layers,
        "word_vec_size": size.width,
        "heads": size.heads,
        "transformer_ff": size.feed_forward,
        "share_decoder_embeddings": True,
    }
