"""Is this device right, and how fast is it? Correctness against the CPU, then training and decoding speed.

    python benchmarks/device_check.py                # everything, under 8 minutes on one data-centre GPU
    python benchmarks/device_check.py --only decoding
    python benchmarks/device_check.py --quick        # tiny sizes, a minute on a CPU: does the program itself run?

Prints one table of checks and one of speeds. Exit code 1 if a check fails. Data are drawn at random with the lengths
of short captions (mean 15) or news sentences (mean 28); speeds count target tokens without padding.
"""

import argparse
import itertools
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch

from nmt_cli.data.batches import Batch
from nmt_cli.decoding.logits_processors.building import BatchConstraints
from nmt_cli.decoding.scoring import score_targets
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.search.strategies import BeamStrategy
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.devices import Precision, autocast, describe, peak_memory, pick_device
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.models.kernels import matmul_speed
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.recipe.optimization import AdamWSettings
from nmt_cli.recipe.training import Training
from nmt_cli.training.data_iterator import MicroBatch, UpdateBatches, prefetch
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.loop import train_steps
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective
from nmt_cli.training.optimization.optimizer import build_optimizer
from nmt_cli.training.train_state import DataState
from nmt_cli.training.trainer import Trainer

WORDS = 8000
VOCABULARIES = VocabularySpec(WORDS, WORDS)
LENGTHS = {"captions": 15, "news": 28}
SCORE_ERRORS: dict[Precision, float] = {"fp32": 2e-3, "bf16": 8e-2}
"""Allowed error of scores, relative to the largest one."""
SEARCH_ERRORS: dict[Precision, float] = {"fp32": 1e-3, "bf16": 5e-2}
"""Allowed error of a translation's log-probability, in nats per token."""


@dataclass(frozen=True)
class Check:
    """A figure, the largest that it may be, and whether it is."""

    name: str
    found: float
    allowed: float

    @property
    def passed(self) -> bool:
        return self.found <= self.allowed


def transformer(preset: str) -> TransformerSettings:
    return TransformerSettings.model_validate({"architecture": "transformer", "preset": preset})


def gru(preset: str, feeding: bool = False) -> RnnSettings:
    return RnnSettings.model_validate(
        {"architecture": "rnn", "preset": preset, "attention": "additive", "input_feeding": feeding}
    )


def some_models(preset: str) -> dict[str, TransformerSettings | RnnSettings]:
    return {"transformer": transformer(preset), "gru": gru(preset), "gru, fed": gru(preset, True)}


def twins(settings: TransformerSettings | RnnSettings, device: torch.device) -> tuple[Model, Model]:
    """The same random model on the CPU and on the device."""
    torch.manual_seed(1)
    here, there = build(settings, VOCABULARIES), build(settings, VOCABULARIES)
    there.load_state_dict(here.state_dict())
    return here.eval(), there.to(device).eval()


def batch(length: int, tokens: int, seed: int = 1) -> Batch:
    """Sentences of one source length and targets of about that length, padded tokens within a budget."""
    generator = np.random.default_rng(seed)
    sentences = max(1, tokens // (length + 2))
    lengths = np.sort(generator.integers(length - 2, length + 3, sentences))
    target = generator.integers(4, WORDS, (sentences, length + 3))
    time_steps = np.arange(target.shape[1])
    real = time_steps < lengths[:, None]
    decoder_input = np.concatenate([np.full((sentences, 1), 2), target[:, :-1]], axis=1)
    return Batch(
        torch.from_numpy(generator.integers(4, WORDS, (sentences, length))),
        torch.from_numpy(decoder_input),
        torch.from_numpy(np.flatnonzero(real)),
        torch.from_numpy(target[real]),
        np.arange(sentences),
    )


def checks(device: torch.device, preset: str) -> list[Check]:
    """The device against the CPU: scores; and that it learns in bf16."""
    found = []
    for name, settings in some_models(preset).items():
        here, there = twins(settings, device)
        rows = batch(12, 400)
        for precision, allowed in SCORE_ERRORS.items():
            difference = relative(scores(here, rows, "fp32"), scores(there, rows.to(device), precision).cpu())
            found.append(Check(f"{name}: scores in {precision}", difference, allowed))
        found.append(Check(f"{name}: loss of a batch learned by heart in bf16", learned(settings, device), 0.5))
    return found


def scores(model: Model, rows: Batch, precision: Precision) -> torch.Tensor:
    with torch.inference_mode(), autocast(rows.source.device, precision):
        return (
            model.logits(
                model.decode(model.encode(ModelInputs.from_ids(rows.source)), DecoderInput(rows.decoder_input))
            )
            .float()
            .log_softmax(-1)
        )


def relative(expected: torch.Tensor, found: torch.Tensor) -> float:
    return float((expected - found).abs().max() / expected.abs().max())


def decoding_checks(device: torch.device, preset: str) -> list[Check]:
    """Greedy and beam search: what the device finds, and whether its log-probability is what the CPU gives the same."""
    found = []
    for name, settings in some_models(preset).items():
        here, there = twins(settings, device)
        sources = torch.randint(4, WORDS, (16, 12))
        for beam, (precision, allowed) in itertools.product((1, 5), SEARCH_ERRORS.items()):
            translations = decoded(there, sources.to(device), precision, beam)
            forced = score_targets(here, ModelInputs.from_ids(sources), [each.tokens for each in translations])
            difference = max(
                abs(sum(expected.token_log_probs[:-1]) - each.log_probability) / len(each.tokens)
                for each, expected in zip(translations, forced, strict=True)
            )
            what = f"{name}: beam {beam} in {precision}"
            found.append(Check(f"{what}: nats a token from the CPU's log-probability", difference, allowed))
            if precision == "fp32":
                expected = decoded(here, sources, precision, beam)
                others = sum(one.tokens != other.tokens for one, other in zip(expected, translations, strict=True))
                found.append(Check(f"{what}: share of other translations", others / len(expected), 0.1))
    return found


def decoded(model: Model, sources: torch.Tensor, precision: Precision, beam: int) -> list[Hypothesis]:
    """Return the best translations, which never end before they must, so that all devices do the same work."""
    settings = BeamSettings(beam_size=beam, max_length_ratio=1.0)
    with autocast(sources.device, precision):
        constraints = BatchConstraints(_numbered(sources), suppress_tokens=[VOCABULARIES.special_tokens.eos])
        found = BeamStrategy(settings).search(model, ModelInputs.from_ids(sources), constraints)
    return [hypotheses[0] for hypotheses in found]


def learned(settings: TransformerSettings | RnnSettings, device: torch.device) -> float:
    """The loss, in nats per token, after a hundred updates on one small batch."""
    torch.manual_seed(1)
    model = build(settings, VOCABULARIES).to(device)
    objective = CrossEntropyObjective(model, 0.0).eval()
    optimizer = build_optimizer(AdamWSettings(learning_rate=2e-3), model)
    rows = batch(8, 60).to(device)
    for _ in range(100):
        with autocast(device, "bf16"):
            loss, tokens, _ = objective(rows)
        (loss / tokens).backward()
        torch.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach()) / int(tokens)


@dataclass(frozen=True)
class Speed:
    """How fast the engine trains: the loop, its batches made ahead, and the optimizer, as `nmt train` runs them."""

    tokens_per_second: float
    utilization: float
    """6 operations per parameter and target token, relative to a matrix product in this precision."""
    data_wait_fraction: float
    """Of the time, for batches."""
    memory: int
    """Most bytes held."""


def training_speed(
    settings: TransformerSettings | RnnSettings, device: torch.device, precision: Precision, rows: Batch, seconds: float
) -> Speed:
    torch.manual_seed(1)
    objective = CrossEntropyObjective(build(settings, VOCABULARIES), 0.1)
    trainer = Trainer(objective, settings.width, Training(precision=precision), device, Distributed())
    data_state = DataState(pairs_consumed=1)
    update = UpdateBatches([MicroBatch(rows, 0)], rows.target_tokens, {}, data_state)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    endless = repeat(update)
    with closing(prefetch(map(UpdateBatches.pinned, endless) if device.type == "cuda" else endless)) as updates:
        steps = train_steps(trainer, updates, seed=1)
        for _ in range(3):  # these warm up
            next(steps)
        made, waited, started = 0, 0.0, time.monotonic()
        while made < 3 or time.monotonic() - started < seconds:
            waited += next(steps).data_wait  # the norm of its gradient was read: it is over
            made += 1
        _wait(device)
        passed = time.monotonic() - started
    speed = made * rows.target_tokens / passed
    weights = sum(weight.numel() for weight in trainer.model.parameters())
    peak = matmul_speed(device, torch.bfloat16 if precision == "bf16" else torch.float32)
    return Speed(speed, 6 * weights * speed / peak, waited / passed, peak_memory(device))


@dataclass(frozen=True)
class DecodingSpeed:
    """How fast search is, and the most bytes that it held."""

    tokens_per_second: float
    memory: int


def decoding_speed(
    settings: TransformerSettings, device: torch.device, precision: Precision, beam: int, sentences: int, seconds: float
) -> DecodingSpeed:
    """Target tokens a second."""
    torch.manual_seed(1)
    model = build(settings, VOCABULARIES).to(device).eval()
    sources = torch.randint(4, WORDS, (sentences, 16), device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(2):  # these warm up
        decoded(model, sources, precision, beam)
    _wait(device)
    made, started = 0, time.monotonic()
    while made == 0 or time.monotonic() - started < seconds:
        made += sum(len(each.tokens) for each in decoded(model, sources, precision, beam))
    _wait(device)
    return DecodingSpeed(made / (time.monotonic() - started), peak_memory(device))


def _numbered(sources: torch.Tensor) -> list[SentenceInput]:
    return [SentenceInput(line, tokens) for line, tokens in enumerate(sources.tolist(), 1)]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--only", choices=("training", "decoding"), help="half of it")
    options = parser.parse_args()
    device = pick_device()
    print(f"{describe(device)}, torch {torch.__version__}")
    found: list[Check] = []
    if options.only != "decoding":
        found += told(checks(device, "tiny"))
    if options.only != "training":
        found += told(decoding_checks(device, "tiny"))
    presets = ["tiny"] if options.quick else ["small", "base", "big"]
    if options.only != "decoding":
        print_training_speeds(device, presets, options.quick)
    if options.only != "training":
        print_decoding_speeds(device, presets, options.quick)
    sys.exit(0 if all(check.passed for check in found) else 1)


def told(found: list[Check]) -> list[Check]:
    for check in found:
        print(
            f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.found:.2g} (at most {check.allowed})",
            flush=True,
        )
    return found


def print_training_speeds(device: torch.device, presets: list[str], quick: bool) -> None:
    tokens, seconds = (512, 1.0) if quick else (25_000, 8.0)
    print("\ntraining               data      precision  target tokens/s  share of peak  waiting  GiB")
    for preset in presets:
        for data, length in LENGTHS.items():
            for name, settings in ((f"transformer {preset}", transformer(preset)), (f"gru {preset}", gru(preset))):
                for precision in ("fp32", "bf16"):
                    speed = training_speed(settings, device, precision, batch(length, tokens), seconds)
                    print(
                        f"{name:<22} {data:<9} {precision:<9} {speed.tokens_per_second:>16,.0f}"
                        f" {speed.utilization:>13.1%} {speed.data_wait_fraction:>8.1%} {speed.memory / 2**30:>6.1f}",
                        flush=True,
                    )


def print_decoding_speeds(device: torch.device, presets: list[str], quick: bool) -> None:
    """About one and a half minutes on a data-centre GPU."""
    sizes, seconds = ((1, 8), 0.1) if quick else ((1, 64, 512), 1.0)
    print("\ndecoding               beam  sentences  precision  target tokens/s  GiB")
    for preset, beam, sentences in itertools.product(presets, (1, 5), sizes):
        for precision in ("fp32", "bf16"):
            speed = decoding_speed(transformer(preset), device, precision, beam, sentences, seconds)
            print(
                f"{f'transformer {preset}':<22} {beam:>4} {sentences:>10}  {precision:<9}"
                f" {speed.tokens_per_second:>16,.0f} {speed.memory / 2**30:>4.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
