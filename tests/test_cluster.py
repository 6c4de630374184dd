"""The cluster scripts work as documented, as far as one machine can test it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.train import train
from nmt_cli.errors import RecipeError
from nmt_cli.recipe.loading import load_recipe

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "docs" / "cluster"
pytestmark = pytest.mark.slow

RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  filters: []
  train: {digits: {source: train.en, target: train.de}}
  valid: {dev: {source: dev.en, target: dev.de}}
tokenizer: {vocabulary_size: 28, byte_fallback: false}
model: {architecture: transformer, preset: tiny, width: 16, feed_forward: 16, heads: 2}
training:
  update_tokens: 200
  batch_tokens: 50
  limits: {updates: 12}
  validation: {every: 4, patience: null}
  logging: {every: 2}
decoding: {beam_size: 2}
"""
PROGRAMS = {
    "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
    "srun": 'exec "$@"',
    "scontrol": 'echo "$@" >> scontrol.log',
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with prepared data in the working directory, and torchrun and Slurm stubs in `programs`."""
    monkeypatch.chdir(tmp_path)
    english, german = ["one", "two", "three", "four", "five"], ["eins", "zwei", "drei", "vier", "fünf"]
    for name, numbers in (("train", range(120)), ("dev", range(500, 508))):
        for suffix, words in (("en", english), ("de", german)):
            lines = (" ".join(words[(i * 7 + k) % 5] for k in range(1 + i % 4)) for i in numbers)
            Path(f"{name}.{suffix}").write_bytes("".join(f"{line}\n" for line in lines).encode())
    Path("recipe.yaml").write_text(RECIPE)
    preprocess(load_recipe(Path("recipe.yaml")))
    Path("programs").mkdir()
    for name, line in PROGRAMS.items():
        Path("programs", name).write_text(f"#!/bin/sh\n{line}\n")
        Path("programs", name).chmod(0o755)
    return tmp_path


def start(script: str, *settings: str, **variables: str) -> "subprocess.Popen[str]":
    """Start a script of the guide in its own process group."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    environment["PATH"] = f"{Path('programs').absolute()}:{environment['PATH']}"
    changes = [word for setting in settings for word in ("--set", setting)]
    return subprocess.Popen(
        ["bash", str(CLUSTER / script), "recipe.yaml", *changes],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    """Return the output of the script. Fail if it does not end within two minutes."""
    try:
        return process.communicate(timeout=120)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"did not end within two minutes:\n{process.communicate()[0]}")


def wait_for_checkpoint(process: "subprocess.Popen[str]") -> None:
    while not Path("run/checkpoints/last.json").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def num_resumptions() -> int:
    """Return how many times the run was resumed from a checkpoint."""
    events = map(json.loads, Path("run/metrics.jsonl").read_text().splitlines())
    return sum(event.get("event") == "resumed" for event in events)


def status() -> str:
    return str(json.loads(Path("run/run.json").read_bytes())["status"])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


def test_killed_rank_restarts_all_ranks(project: Path) -> None:
    process = start("torchrun.sh", PROCESSES="2", RESTARTS="1", FIRST=f"localhost:{free_port()}")
    wait_for_checkpoint(process)
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    output = finish(process)
    assert process.returncode == 0, output
    assert num_resumptions() == 1
    assert status() == "finished"


@pytest.mark.long
def test_two_machines_train_together(project: Path) -> None:
    first = f"localhost:{free_port()}"
    machines = [start("torchrun.sh", MACHINES="2", PROCESSES="1", FIRST=first) for _ in range(2)]
    output = "".join(map(finish, machines))
    assert [machine.returncode for machine in machines] == [0, 0], output
    assert output.count("2 × CPU") == 1
    assert status() == "finished"


def test_slurm_job_saves_requeues_and_resumes(project: Path) -> None:
    job = {"SLURM_JOB_ID": str(free_port()), "SLURM_JOB_NUM_NODES": "1", "PROCESSES": "2"}
    process = start("slurm.sbatch", "training.limits.updates=100000", **job)
    wait_for_checkpoint(process)
    os.kill(process.pid, signal.SIGTERM)
    finish(process)
    assert process.returncode != 0
    assert status() == "stopped"
    assert Path("scontrol.log").read_text() == f"requeue {job['SLURM_JOB_ID']}\n"

    process = start("slurm.sbatch", "training.limits.updates=20", **job)
    output = finish(process)
    assert process.returncode == 0, output
    assert num_resumptions() == 1
    assert status() == "finished"
    assert Path("scontrol.log").read_text().count("requeue") == 1


def test_restarts_that_could_hang_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that torchrun --max-restarts=1 sets unless started as in the scripts."""
    for name, value in {"RANK": "0", "TORCHELASTIC_MAX_RESTARTS": "1", "TORCHELASTIC_USE_AGENT_STORE": "True"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
        train(Path("recipe.yaml"))
    assert not Path("run").exists()
