"""Is this device right, and how fast is it? Correctness against the CPU, then training and decoding speed.

    python benchmarks/device_check.py                # everything, under 8 minutes on one data-centre GPU
    python benchmarks/device_check.py --quick        # tiny sizes, a minute on a CPU: does the program itself run?

Prints one table of checks and one of speeds. Exit code 1 if a check fails. Data are drawn at random with the lengths
of short captions (mean 15) or news sentences (mean 28); speeds count target tokens without padding.
"""

import argparse
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch

from nmt_cli.data.batches import Batch
from nmt_cli.decoding.rules import Said
from nmt_cli.decoding.search.beam import beam_search
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.devices import Precision, arithmetic, describe, peak_memory, pick_device
from nmt_cli.models import build
from nmt_cli.models.contract import Source, TranslationModel, Vocabularies
from nmt_cli.models.linear import product_speed
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.recipe.training.optimization import AdamWSettings
from nmt_cli.training.feed import Part, Portion, ahead
from nmt_cli.training.learner import Learner
from nmt_cli.training.loop import updates
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.optimization.optimizer import build_optimizer
from nmt_cli.training.parallel import Ranks

WORDS = 8000
VOCABULARIES = Vocabularies(WORDS, WORDS, 2, 3)
LENGTHS = {"captions": 15, "news": 28}


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


def batch(length: int, tokens: int, seed: int = 1) -> Batch:
    """Sentences of one source length and targets of about that length, padded tokens within a budget."""
    generator = np.random.default_rng(seed)
    sentences = max(1, tokens // (length + 2))
    lengths = np.sort(generator.integers(length - 2, length + 3, sentences))
    target = generator.integers(4, WORDS, (sentences, length + 3))
    time_steps = np.arange(target.shape[1])
    real = time_steps < lengths[:, None]
    target_in = np.concatenate([np.full((sentences, 1), 2), target[:, :-1]], axis=1)
    return Batch(
        torch.from_numpy(generator.integers(4, WORDS, (sentences, length))),
        torch.from_numpy(target_in),
        torch.from_numpy(np.flatnonzero(real)),
        torch.from_numpy(target[real]),
        np.arange(sentences),
    )


def checks(device: torch.device, preset: str) -> list[Check]:
    """The device against the CPU: scores, gradients, translations; and that it learns in bf16."""
    found = []
    for name, settings in (("transformer", transformer(preset)), ("gru", gru(preset)), ("gru, fed", gru(preset, True))):
        torch.manual_seed(1)
        here = build(settings, VOCABULARIES).eval()
        there = build(settings, VOCABULARIES).eval()
        there.load_state_dict(here.state_dict())
        there.to(device)
        rows = batch(12, 400)
        for precision, allowed in (("fp32", 2e-3), ("bf16", 8e-2)):
            difference = relative(scores(here, rows, "fp32"), scores(there, rows.to(device), precision).cpu())
            found.append(Check(f"{name}: scores in {precision}", difference, allowed))
        expected, translated = search(here, rows.source), search(there, rows.source.to(device))
        others = sum(one != other for one, other in zip(expected, translated, strict=True)) / len(expected)
        found.append(Check(f"{name}: share of other translations", others, 0.1))
        found.append(Check(f"{name}: loss of a batch learned by heart in bf16", learned(settings, device), 0.5))
    return found


def scores(model: TranslationModel, rows: Batch, precision: Precision) -> torch.Tensor:
    with torch.inference_mode(), arithmetic(rows.source.device, precision):
        return model.scores(model.decode(model.encode(Source(rows.source)), rows.target_in)).float().log_softmax(-1)


def relative(expected: torch.Tensor, found: torch.Tensor) -> float:
    return float((expected - found).abs().max() / expected.abs().max())


def search(model: TranslationModel, sources: torch.Tensor) -> list[tuple[int, ...]]:
    settings = BeamSettings(beam_size=3, max_length_ratio=1.0)
    found = beam_search(model, Source(sources), settings, [], _numbered(sources))
    return [hypotheses[0].tokens for hypotheses in found]


def learned(settings: TransformerSettings | RnnSettings, device: torch.device) -> float:
    """The loss, in nats per token, after a hundred updates on one small batch."""
    torch.manual_seed(1)
    model = build(settings, VOCABULARIES).to(device)
    objective = CrossEntropy(model, 0.0).eval()
    optimizer = build_optimizer(AdamWSettings(learning_rate=2e-3), model)
    rows = batch(8, 60).to(device)
    for _ in range(100):
        with arithmetic(device, "bf16"):
            loss, tokens = objective(rows)
        (loss / tokens).backward()
        torch.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach()) / tokens


@dataclass(frozen=True)
class Speed:
    """How fast the engine trains: the loop, its batches made ahead, and the optimizer, as `nmt train` runs them."""

    tokens_per_second: float
    share_of_peak: float
    """Six operations for each weight and target token, of those a matrix product makes here in this precision."""
    share_waiting: float
    """Of the time, for batches."""
    memory: int
    """Most bytes held."""


def training_speed(
    settings: TransformerSettings | RnnSettings, device: torch.device, precision: Precision, rows: Batch, seconds: float
) -> Speed:
    torch.manual_seed(1)
    objective = CrossEntropy(build(settings, VOCABULARIES), 0.1)
    learner = Learner(objective, settings.width, Training(precision=precision), device, Ranks())
    portion = Portion([Part(rows, 0)], rows.target_tokens, epoch=0, used=1, cut=rows.padded_tokens, epochs=0.0)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with closing(ahead(repeat(portion), device)) as portions:
        steps = updates(learner, portions, seed=1)
        for _ in range(3):  # these warm up
            next(steps)
        made, waited, started = 0, 0.0, time.monotonic()
        while made < 3 or time.monotonic() - started < seconds:
            waited += next(steps).waited  # the norm of its gradient was read: it is over
            made += 1
        _wait(device)
        passed = time.monotonic() - started
    speed = made * rows.target_tokens / passed
    weights = sum(weight.numel() for weight in learner.model.parameters())
    peak = product_speed(device, torch.bfloat16 if precision == "bf16" else torch.float32)
    return Speed(speed, 6 * weights * speed / peak, waited / passed, peak_memory(device))


def decoding_speed(
    settings: TransformerSettings | RnnSettings, device: torch.device, precision: Precision, beam: int, sentences: int
) -> float:
    """Target tokens a second of translations forced to the length of their source plus ten."""
    torch.manual_seed(1)
    model = build(settings, VOCABULARIES).to(device).eval()
    sources = torch.randint(4, WORDS, (sentences, 16), device=device)
    search_settings = BeamSettings(beam_size=beam, max_length_ratio=1.0)
    with arithmetic(device, precision):
        beam_search(model, Source(sources[:2]), search_settings, [NoEnd()], _numbered(sources[:2]))
        _wait(device)
        started = time.monotonic()
        found = beam_search(model, Source(sources), search_settings, [NoEnd()], _numbered(sources))
        _wait(device)
    return sum(len(hypotheses[0].tokens) for hypotheses in found) / (time.monotonic() - started)


def _numbered(sources: torch.Tensor) -> list[Sentence]:
    return [Sentence(line, tokens) for line, tokens in enumerate(sources.tolist(), 1)]


class NoEnd:
    """No translation ends before it must, so that all devices do the same work."""

    soft = False

    def __call__(self, scores: torch.Tensor, said: Said) -> None:
        scores[..., VOCABULARIES.end] = -torch.inf


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    quick = parser.parse_args().quick
    device = pick_device()
    print(f"{describe(device)}, torch {torch.__version__}")

    found = checks(device, "tiny")
    for check in found:
        print(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.found:.2g} (at most {check.allowed})")

    presets = ["tiny"] if quick else ["small", "base", "big"]
    tokens, seconds, sentences = (512, 1.0, 8) if quick else (25_000, 8.0, 256)
    print("\ntraining               data      precision  target tokens/s  share of peak  waiting  GiB")
    for preset in presets:
        for data, length in LENGTHS.items():
            for name, settings in ((f"transformer {preset}", transformer(preset)), (f"gru {preset}", gru(preset))):
                for precision in ("fp32", "bf16"):
                    speed = training_speed(settings, device, precision, batch(length, tokens), seconds)
                    print(
                        f"{name:<22} {data:<9} {precision:<9} {speed.tokens_per_second:>16,.0f}"
                        f" {speed.share_of_peak:>13.1%} {speed.share_waiting:>8.1%} {speed.memory / 2**30:>6.1f}",
                        flush=True,
                    )
    print("\ndecoding               beam  precision  target tokens/s")
    for preset in presets:
        for beam in (1, 5):
            for precision in ("fp32", "bf16"):
                found_speed = decoding_speed(transformer(preset), device, precision, beam, sentences)
                print(f"{f'transformer {preset}':<22} {beam:>4}  {precision:<9} {found_speed:>16,.0f}", flush=True)
    sys.exit(0 if all(check.passed for check in found) else 1)


if __name__ == "__main__":
    main()
