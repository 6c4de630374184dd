"""Train and run a MarianMT model of Hugging Face transformers on lines of subwords.

    python -P huggingface_trainer.py train SETTINGS
    python -P huggingface_trainer.py translate SETTINGS SOURCE OUTPUT

by the Python that has transformers. Each update reports `target_tokens N`, all so far.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import MarianConfig, MarianMTModel, Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

PAD, UNKNOWN, START, END = range(4)
IGNORED = -100


class Vocabulary:
    """The vocabulary: four special tokens, then subwords."""

    def __init__(self, path: str) -> None:
        self.names = ["<pad>", "<unk>", "<s>", "</s>", *Path(path).read_text().split("\n")[:-1]]
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def encode(self, line: str) -> list[int]:
        return [*(self._numbers.get(piece, UNKNOWN) for piece in line.split()), END]

    def decode(self, row: list[int]) -> str:
        return " ".join(self.names[number] for number in row if number > END)

    def read(self, path: str) -> list[list[int]]:
        return [self.encode(line) for line in Path(path).read_text().split("\n")[:-1]]


def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


class Collator:
    """Collate rows of ids into a batch. Labels are shifted here: with label smoothing the trainer withholds them from
    the model, which would shift them otherwise."""

    def __call__(self, pairs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        source = padded([pair["input_ids"] for pair in pairs], PAD)
        labels = [pair["labels"] for pair in pairs]
        return {
            "input_ids": source,
            "attention_mask": (source != PAD).long(),
            "decoder_input_ids": padded([[PAD, *row[:-1]] for row in labels], PAD),
            "labels": padded(labels, IGNORED),
        }


class CountingTrainer(Seq2SeqTrainer):
    """Counts the target tokens of training."""

    tokens = 0

    def training_step(self, model: Any, inputs: dict[str, torch.Tensor], *others: Any, **named: Any) -> torch.Tensor:
        self.tokens += int((inputs["labels"] != IGNORED).sum())
        return super().training_step(model, inputs, *others, **named)


class Report(TrainerCallback):
    """Prints the number of tokens after each report interval."""

    def __init__(self, every: int) -> None:
        self.trainer: CountingTrainer | None = None
        self._every = every

    def on_step_end(self, _: Any, state: Any, __: Any, **___: Any) -> None:
        if state.global_step % self._every == 0 and self.trainer is not None:
            print("target_tokens", self.trainer.tokens, flush=True)


def train(settings: dict[str, Any]) -> None:
    vocabulary, size = Vocabulary(settings["vocabulary"]), settings["size"]
    config = MarianConfig(
        vocab_size=len(vocabulary.names),
        d_model=size["width"],
        encoder_layers=size["layers"],
        decoder_layers=size["layers"],
        encoder_ffn_dim=size["feed_forward"],
        decoder_ffn_dim=size["feed_forward"],
        encoder_attention_heads=size["heads"],
        decoder_attention_heads=size["heads"],
        dropout=settings["dropout"],
        attention_dropout=settings["dropout"],
        activation_dropout=settings["dropout"],
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=PAD,
        eos_token_id=END,
        forced_eos_token_id=END,
        decoder_start_token_id=PAD,
        use_cache=False,
    )
    rows = zip(vocabulary.read(settings["source"]), vocabulary.read(settings["target"]), strict=True)
    pairs = [{"input_ids": source, "labels": target, "length": len(target)} for source, target in rows]
    arguments = Seq2SeqTrainingArguments(
        output_dir=settings["model"],
        max_steps=10**8,
        per_device_train_batch_size=settings["sentences"],
        train_sampling_strategy="group_by_length",
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="inverse_sqrt",
        warmup_steps=settings["warmup"],
        adam_beta1=settings["betas"][0],
        adam_beta2=settings["betas"][1],
        max_grad_norm=settings["clip_norm"],
        label_smoothing_factor=settings["label_smoothing"],
        bf16=settings["bf16"],
        save_strategy="steps" if settings["save_every"] else "no",
        save_steps=settings["save_every"] or 500,
        save_total_limit=2,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        seed=1,
    )
    report = Report(settings["report_every"])
    trainer = CountingTrainer(
        MarianMTModel(config), arguments, data_collator=Collator(), train_dataset=pairs, callbacks=[report]
    )
    report.trainer = trainer
    trainer.train()


def translate(settings: dict[str, Any], source: str, output: str) -> None:
    vocabulary = Vocabulary(settings["vocabulary"])
    saved = max(Path(settings["model"]).glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    model = MarianMTModel.from_pretrained(saved).eval()
    rows = vocabulary.read(source)
    found = [""] * len(rows)
    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    for first in range(0, len(order), 64):
        chosen = order[first : first + 64]
        batch = padded([rows[number] for number in chosen], PAD)
        made = model.generate(batch, attention_mask=(batch != PAD).long(), num_beams=5, max_length=128, use_cache=True)
        for number, row in zip(chosen, made.tolist(), strict=True):
            found[number] = vocabulary.decode(row)
    Path(output).write_text("".join(f"{line}\n" for line in found))


if __name__ == "__main__":
    wanted = json.loads(Path(sys.argv[2]).read_text())
    if sys.argv[1] == "train":
        train(wanted)
    else:
        translate(wanted, sys.argv[3], sys.argv[4])
