"""nmt train on several processes: equals training on one, and all processes end if one is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked_runs import records

from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.train import train
from nmt_cli.locks import lock
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.runs.checkpoints import read_tensors
from nmt_cli.runs.directory import RunDirectory

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("architecture", ["transformer"])]
SETTINGS = ["training.update_tokens=200", "training.validation.patience=null", "training.subword_sampling=null"]
SETTINGS += [f"model.{key}=0" for key in ("dropout", "attention_dropout", "activation_dropout")]
"""Without random draws, as those depend on how an update is split."""


def start(
    recipe: Path, run: str, *settings: str, launcher: tuple[str, ...] = (), limit: int | None = None
) -> "subprocess.Popen[str]":
    """Start two ranks. Files may have at most `limit` bytes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    changes = [word for setting in [f"run={run}", *SETTINGS, *settings] for word in ("--set", setting)]
    command = [sys.executable, "-m", *(launcher or ("nmt_cli", "train", "--nproc", "2")), str(recipe), *changes]
    if limit:
        command = ["bash", "-c", f'ulimit -f {limit // 1024}; exec "$@"', "bash", *command]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def run_to_end(recipe: Path, run: str, *settings: str, launcher: tuple[str, ...] = ()) -> str:
    process = start(recipe, run, *settings, launcher=launcher)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 0, stderr
    return stderr


def rank_process(launcher: "subprocess.Popen[str]", rank: int) -> int:
    """Return the process id of a rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    for child in children:
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"no rank {rank} among processes {children}")


def num_resumptions(run: str) -> int:
    """Return how many times the run was resumed from a checkpoint."""
    return [record["event"] for record in records(run, "event")].count("resumed")


def wait_for_checkpoint(run: str, process: "subprocess.Popen[str]") -> None:
    while not Path(run, "checkpoints", "last.json").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


def mean_gradients(run: str) -> dict[str, object]:
    """Return Adam's mean gradients. Parameters differ more: Adam magnifies rounding errors of zero gradients."""
    tensors = read_tensors(RunDirectory(Path(run)).checkpoint(12) / "optimizer.safetensors")
    return {name: tensor for name, tensor in tensors.items() if name.startswith("exp_avg/")}


def assert_same_training(one: str, other: str) -> None:
    import torch

    torch.testing.assert_close(mean_gradients(one), mean_gradients(other), rtol=1e-4, atol=1e-6)
    losses = [[record["loss"] for record in records(run, "train", "valid")] for run in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_two_ranks_equal_one_with_ddp_and_with_fsdp_under_torchrun(recipe: Path) -> None:
    train(recipe, SETTINGS, Path("one"))
    run_to_end(recipe, "ddp")
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "nmt_cli", "train")
    run_to_end(recipe, "fsdp", "training.parallel.type=fsdp", launcher=torchrun)
    for other in ("ddp", "fsdp"):
        assert_same_training("one", other)


def test_run_resumes_with_another_number_of_ranks(recipe: Path) -> None:
    train(recipe, SETTINGS, Path("straight"))
    train(recipe, [*SETTINGS, "training.limits.updates=5"], Path("changing"))
    run_to_end(recipe, "changing", "training.limits.updates=9", "training.parallel.type=fsdp")
    train(recipe, SETTINGS, Path("changing"))
    import torch

    torch.testing.assert_close(mean_gradients("straight"), mean_gradients("changing"), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sharding", ["ddp", pytest.param("fsdp", marks=pytest.mark.long)])
def test_killed_rank_ends_all_ranks_and_run_resumes(recipe: Path, sharding: str) -> None:
    settings = ("training.limits.updates=400", f"training.parallel.type={sharding}")
    process = start(recipe, "run", *settings)
    wait_for_checkpoint("run", process)
    ranks = [rank_process(process, rank) for rank in range(2)]
    os.kill(ranks[1], signal.SIGKILL)
    stderr = process.communicate(timeout=25)[1]
    assert process.returncode == 5
    assert re.search("rank 1 .*SIGKILL", stderr)
    assert "Traceback" not in stderr
    assert not any(Path(f"/proc/{rank}").exists() for rank in ranks)
    train(recipe, [*SETTINGS, "training.limits.updates=20"], Path("run"))
    assert num_resumptions("run") == 1


@pytest.mark.long
def test_frozen_rank_ends_all_ranks_after_timeout(recipe: Path) -> None:
    process = start(recipe, "run", "training.limits.updates=100000", "training.parallel.timeout=3")
    wait_for_checkpoint("run", process)
    os.kill(rank_process(process, 1), signal.SIGSTOP)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 5
    assert re.search("rank 0: .* 3 seconds", stderr)


@pytest.mark.parametrize("receiver", ["launcher", pytest.param("rank 1", marks=pytest.mark.long)])
def test_signal_stops_all_ranks_at_the_same_update_and_saves_once(recipe: Path, receiver: str) -> None:
    process = start(recipe, "run", "training.limits.updates=100000")
    wait_for_checkpoint("run", process)
    os.kill(process.pid if receiver == "launcher" else rank_process(process, 1), signal.SIGTERM)
    stderr = process.communicate(timeout=25)[1]
    assert process.returncode == 143
    assert len(re.findall("nmt: stopped by SIGTERM", stderr)) == 1
    assert json.loads(Path("run/run.json").read_bytes())["status"] == "stopped"
    update = json.loads(Path("run/checkpoints/last.json").read_bytes())["update"]
    assert f"update {update:,}" in stderr


def test_ranks_save_and_end_if_launcher_is_killed(recipe: Path) -> None:
    process = start(recipe, "run", "training.limits.updates=100000")
    wait_for_checkpoint("run", process)
    ranks = [rank_process(process, rank) for rank in range(2)]
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 25
    while any(Path(f"/proc/{rank}").exists() for rank in ranks) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{rank}").exists() for rank in ranks)
    assert json.loads(Path("run/run.json").read_bytes())["status"] == "stopped"


def test_failing_save_ends_all_ranks_with_its_cause(recipe: Path) -> None:
    process = start(recipe, "run", limit=20_000)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 5
    assert "SIGKILL" not in stderr
    assert "nmt: error: update 4 " in stderr
    train(recipe, SETTINGS, Path("run"))
    assert num_resumptions("run") == 0


def test_run_in_use_ends_all_ranks_with_one_message(recipe: Path) -> None:
    with lock(RunDirectory(Path("run")).lock):
        process = start(recipe, "run")
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 7
    assert stderr.count("nmt: error: run: ") == 1


@pytest.mark.long
def test_two_trainings_use_different_ports(recipe: Path) -> None:
    processes = [start(recipe, run) for run in ("one", "two")]
    for process in processes:
        assert process.communicate(timeout=240)[1].count("finished") == 1
        assert process.returncode == 0


def test_missing_rank_ends_the_others_after_timeout(recipe: Path) -> None:
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "localhost"}
    environment |= {"MASTER_PORT": str(port), "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "nmt_cli", "train", str(recipe), "--set", "training.parallel.timeout=3"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 5
    assert "3 seconds" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.long
def test_seven_pairs_train_on_two_ranks_as_on_one(recipe: Path) -> None:
    for name in ("train.en", "train.de"):
        Path(name).write_bytes(b"".join(Path(name).read_bytes().splitlines(keepends=True)[:7]))
    preprocess(load_recipe(recipe))
    train(recipe, SETTINGS, Path("one"))
    run_to_end(recipe, "two")
    assert_same_training("one", "two")
