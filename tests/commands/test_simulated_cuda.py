"""On a GPU, no command mixes devices, and search waits for the device about once per step.

The device is simulated; see simulated_cuda.py.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from simulated_cuda import MixedDevicesError, SimulatedDevice, simulated_cuda, without_autograd
from toy_model import WORDS, save_toy_model

from nmt_cli.cli import main
from nmt_cli.commands.shortlist import write_shortlist
from nmt_cli.commands.train import train
from nmt_cli.models.decoder_only import DecoderOnly
from nmt_cli.models.transformer import Transformer
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.training import training_log
from nmt_cli.training.trainer import Trainer

LINES = [" ".join(WORDS[(start + index) % 10] for index in range(1 + start % 4)) for start in range(12)]


class Walk:
    """A command that ran on the simulated device, with its number of decoding steps and its output."""

    def __init__(self, device: SimulatedDevice, num_steps: int, output: str) -> None:
        self.device, self.num_steps, self.output = device, num_steps, output


Run = Callable[..., Walk]


@pytest.fixture
def nmt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run nmt with arguments in a folder with a model `toy` and text `in.txt`."""
    monkeypatch.chdir(tmp_path)
    save_toy_model(Path("toy"))
    Path("in.txt").write_text("".join(f"{line}\n" for line in LINES))

    def run(*arguments: str) -> Walk:
        monkeypatch.setattr(sys, "argv", ["nmt", *arguments])
        steps = 0

        def counting(step: Callable[..., Any]) -> Callable[..., Any]:
            def counting_step(*args: Any) -> Any:
                nonlocal steps
                steps += 1
                return step(*args)

            return counting_step

        with monkeypatch.context() as patch, simulated_cuda() as device:
            for model in (Transformer, DecoderOnly):
                patch.setattr(model, "step", counting(model.step))
            with pytest.raises(SystemExit) as done:
                main()
        output, errors = capsys.readouterr()
        assert done.value.code in (0, None), errors
        return Walk(device, steps, output)

    return run


def settings(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", f"decoding.{change}")]


@pytest.mark.parametrize(
    ("changes", "per_window"),
    [
        (["beam_size=1"], 10),
        (["beam_size=4", "n_best=2"], 10),
        (["beam_size=4", "num_beam_groups=2", "diversity_penalty=0.5"], 10),
        (["beam_size=3", "coverage_penalty=0.2"], 20),  # the hypotheses of each rank are scored together
        (["strategy=sampling", "top_k=5", "top_p=0.9"], 10),
        (["strategy=mbr", "num_candidates=4"], 10),
    ],
    ids=["greedy", "beam", "diverse", "coverage", "sampling", "mbr"],
)
def test_search_synchronises_once_per_step(changes: list[str], per_window: int, nmt: Run) -> None:
    walk = nmt("translate", "toy", "-i", "in.txt", "--nproc", "1", "--no-check", *settings(*changes))
    assert walk.output.count("\n") == len(LINES)
    assert_bounded(walk, per_window)


@pytest.mark.parametrize("source_attention", ["bidirectional", "causal"])
def test_decoder_only_translator_synchronises_once_per_step(source_attention: str, nmt: Run) -> None:
    sizes = {"preset": "tiny", "width": 16, "feed_forward": 16, "heads": 2, "layers": 1}
    save_toy_model(
        Path("prefix"), model={"architecture": "decoder_only", "source_attention": source_attention, **sizes}
    )
    walk = nmt("translate", "prefix", "-i", "in.txt", "--nproc", "1", "--no-check", *settings("beam_size=4"))
    assert walk.output.count("\n") == len(LINES)
    assert_bounded(walk)
    scored = nmt("score", "prefix", "--source", "in.txt", "--target", "in.txt")
    assert scored.output.count("\n") == len(LINES)


def assert_bounded(walk: Walk, per_window: int = 10) -> None:
    """Search waits once per step, and a few times per window of lines; here there is one."""
    assert walk.num_steps > 0
    found = walk.device.synchronisations
    assert found.total() <= walk.num_steps + per_window, found.most_common()


def test_alignment_and_word_scores_do_not_mix_devices(nmt: Run) -> None:
    options = ("--alignment", "--word-scores", "--format", "jsonl")
    walk = nmt("translate", "toy", "-i", "in.txt", "--nproc", "1", "--no-check", *options)
    found = [json.loads(line) for line in walk.output.split("\n")[:-1]]
    assert len(found) == len(LINES)
    assert_bounded(walk)


def test_forbidden_words_and_prefixes_synchronise_once_per_step(nmt: Run) -> None:
    Path("forbidden.txt").write_text("two\nthree four\n")
    Path("prefixes.txt").write_text("".join(f"{line.split()[0]}\n" for line in LINES))
    files = ("--bad-words", "forbidden.txt", "--prefix", "prefixes.txt")
    assert_bounded(nmt("translate", "toy", "-i", "in.txt", "--nproc", "1", "--no-check", *files))


@pytest.mark.parametrize("changes", [["beam_size=4", "coverage_penalty=0.2"], ["strategy=sampling"]])
def test_shortlist_does_not_mix_devices(changes: list[str], nmt: Run) -> None:
    Path("forbidden.txt").write_text("two\nthree four\n")
    write_shortlist(Path("toy"), (Path("in.txt"), Path("in.txt")))
    options = ("--bad-words", "forbidden.txt", *settings("shortlist=true", *changes))
    walk = nmt("translate", "toy", "-i", "in.txt", "--nproc", "1", "--no-check", *options)
    assert walk.output.count("\n") == len(LINES)
    assert_bounded(walk, per_window=30)


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_glossary_does_not_mix_devices(mode: str, nmt: Run) -> None:
    Path("glossary.tsv").write_text("two\tten nine\nthree\tfive\n")
    options = ("--glossary", "glossary.tsv", "--glossary-mode", mode, *settings("beam_size=4"))
    walk = nmt("translate", "toy", "-i", "in.txt", "--nproc", "1", "--no-check", *options)
    assert_bounded(walk, per_window=20 if mode == "hard" else 10)


def test_retried_translations_do_not_mix_devices(nmt: Run) -> None:
    assert_bounded(nmt("translate", "toy", "-i", "in.txt", "--nproc", "1"), per_window=30)


def test_several_models_do_not_mix_devices(nmt: Run) -> None:
    walk = nmt("translate", "toy", "toy", "-i", "in.txt", "--nproc", "1", *settings("beam_size=3"))
    assert walk.output.count("\n") == len(LINES)


def test_scoring_does_not_wait_for_each_sentence(nmt: Run) -> None:
    walk = nmt("score", "toy", "--source", "in.txt", "--target", "in.txt", "--word-scores", "--format", "jsonl")
    assert walk.output.count("\n") == len(LINES)
    assert walk.device.synchronisations.total() <= 10, walk.device.synchronisations.most_common()


def test_mixing_devices_is_found(nmt: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tests above mean something."""
    with simulated_cuda(), pytest.raises(MixedDevicesError):
        torch.zeros(2, device="cuda") + torch.zeros(2)


@pytest.mark.parametrize(
    ("num_updates", "decoding"),
    [(1, "{beam_size: 1, max_length: 1}"), pytest.param(6, "{beam_size: 2}", marks=pytest.mark.slow)],
)
def test_training_validation_saving_and_resuming_do_not_mix_devices(
    num_updates: int, decoding: str, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ["training.ema_decay=0.5", f"training.validation.every={num_updates}"]
    changes += [f"training.logging.every={num_updates}", f"decoding={decoding}"]
    made = list[Trainer]()
    init = Trainer.__init__

    def recording_init(self: Trainer, *arguments: Any) -> None:
        init(self, *arguments)
        made.append(self)

    monkeypatch.setattr(Trainer, "__init__", recording_init)
    monkeypatch.setattr(training_log, "matmul_speed", lambda *_: 1e12)  # measured with large products
    for updates in (num_updates, 2 * num_updates):
        with simulated_cuda() as device, without_autograd(lambda: made[-1].model.parameters()):
            train(recipe, [*changes, f"training.limits.updates={updates}"], Path("run"))
        # Each update reads the norm of its gradient, to skip those that are not finite. The others are the journal's
        # records of the first update and of one 20 seconds later, logging, and loading a checkpoint.
        waits = device.synchronisations_in("training/") - device.synchronisations_in("training/validation.py")
        assert waits <= num_updates + 4, device.synchronisations.most_common()
    assert RunDirectory(Path("run")).saved_updates() == [num_updates, 2 * num_updates]
