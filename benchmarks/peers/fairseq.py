"""fairseq 0.12: command-line options, binary data, a log of JSON."""

import json
from pathlib import Path

from peers.contract import BETAS, CLIP_NORM, DROPOUT, LABEL_SMOOTHING, Transformer, Work, last_checkpoint


class Fairseq:
    """`fairseq-train`. Batches are counted in padded tokens of the longer side."""

    def __init__(self, python: Path) -> None:
        self._python = [str(python), "-P", "-m"]
        self._report_every = 1

    def refusal(self, work: Work) -> str | None:
        if not isinstance(work.size, Transformer):
            return "its LSTM has another attention"
        if work.precision == "bf16" and work.device == "cpu":
            return "has no mixed precision on a CPU"
        return None

    def preparation(self, work: Work, folder: Path) -> list[list[str]]:
        dictionary, texts = folder / "dictionary", folder / "text"
        texts.mkdir(exist_ok=True)
        names = work.corpus.vocabulary.read_text().split("\n")[:-1]
        dictionary.write_text("".join(f"{name} {len(names) - rank}\n" for rank, name in enumerate(names)))
        for split in ("train", "valid"):
            for side in ("source", "target"):
                link = texts / f"{split}.{side}"
                link.unlink(missing_ok=True)
                link.symlink_to(work.corpus.pieces(split, side))
        places = ["--trainpref", f"{texts}/train", "--validpref", f"{texts}/valid", "--destdir", str(folder / "data")]
        languages = ["--source-lang", "source", "--target-lang", "target"]
        shared = ["--joined-dictionary", "--srcdict", str(dictionary)]
        return [[*self._python, "fairseq_cli.preprocess", *languages, *places, *shared]]

    def training(self, work: Work, folder: Path) -> list[str]:
        size = work.size
        assert isinstance(size, Transformer)
        self._report_every = work.report_every
        options: dict[str, object] = {
            "arch": "transformer",
            "encoder-embed-dim": size.width,
            "decoder-embed-dim": size.width,
            "encoder-ffn-embed-dim": size.feed_forward,
            "decoder-ffn-embed-dim": size.feed_forward,
            "encoder-layers": size.layers,
            "decoder-layers": size.layers,
            "encoder-attention-heads": size.heads,
            "decoder-attention-heads": size.heads,
            "dropout": DROPOUT,
            "attention-dropout": DROPOUT,
            "activation-dropout": DROPOUT,
            "criterion": "label_smoothed_cross_entropy",
            "label-smoothing": LABEL_SMOOTHING,
            "optimizer": "adam",
            "adam-betas": str(BETAS),
            "clip-norm": CLIP_NORM,
            "lr": work.learning_rate,
            "lr-scheduler": "inverse_sqrt",
            "warmup-updates": work.warmup,
            "max-tokens": work.batch_tokens,
            "num-workers": 0,
            "log-format": "json",
            "log-interval": work.report_every,
            "save-dir": folder / "model",
            "seed": 1,
        }
        flags = ["share-all-embeddings", "encoder-normalize-before", "decoder-normalize-before", "disable-validation"]
        flags += ["no-epoch-checkpoints"]
        if work.save_every:
            options |= {"save-interval-updates": work.save_every, "keep-interval-updates": 2}
        else:
            flags.append("no-save")
        flags += ["cpu"] if work.device == "cpu" else []
        flags += ["amp"] if work.precision == "bf16" else []
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        return [*self._python, "fairseq_cli.train", str(folder / "data"), *arguments, *(f"--{flag}" for flag in flags)]

    def journal(self, folder: Path, log: Path) -> Path:
        return log

    def count(self, line: str, so_far: int) -> int:
        """Reports have the mean target tokens per update, which is exact if every update is reported."""
        marker = "| INFO | train_inner | "
        if marker not in line:
            return so_far
        return so_far + round(float(json.loads(line.partition(marker)[2])["wpb"]) * self._report_every)

    def translation(self, work: Work, folder: Path, source: Path, output: Path) -> list[str]:
        saved = last_checkpoint(folder / "model", "checkpoint_[0-9]*.pt")
        options = ["--path", str(saved), "--input", str(source), "--buffer-size", "1000", "--max-tokens", "4096"]
        options += ["--source-lang", "source", "--target-lang", "target", "--beam", "5", "--max-len-b", "128"]
        program = Path(__file__).with_name("fairseq_lines.py")
        return [*self._python[:2], str(program), str(output), str(folder / "data"), *options, "--cpu"]
