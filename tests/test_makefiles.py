"""The Makefile of the guide works as described."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "makefiles.md"

WORDS = {
    "one": "eins",
    "two": "zwei",
    "three": "drei",
    "four": "vier",
    "five": "fünf",
    "six": "sechs",
    "seven": "sieben",
}

RECIPE = """\
run: runs/{name}
data:
  source_language: en
  target_language: de
  prepared: prepared
  train: {{corpus: {{source: data/train.en, target: data/train.de}}}}
  valid: {{dev: {{source: data/valid.en, target: data/valid.de}}}}
  test: {{test: {{source: data/test.en, target: data/test.de}}}}
tokenizer: {{vocabulary_size: 35, byte_fallback: false}}
model: {{{model}}}
training:
  update_tokens: 256
  limits: {{updates: 40}}
  schedule: {{warmup: 10}}
  validation: {{every: 20}}
  logging: {{every: 5}}
decoding: {{beam_size: 2}}
"""

SIZES = "encoder_layers: 1, decoder_layers: 1, width: 16"
MODELS = {
    "transformer": f"architecture: transformer, {SIZES}, feed_forward: 32, heads: 2",
    "gru": f"architecture: rnn, {SIZES}, embedding_width: 16",
}


def project(folder: Path) -> Path:
    """A folder as in the guide, with little data and two tiny models."""
    for name in ("data", "recipes", "in"):
        (folder / name).mkdir(parents=True)
    [makefile] = re.findall(r"```make\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    (folder / "Makefile").write_text(makefile)
    for name, model in MODELS.items():
        (folder / "recipes" / f"{name}.yaml").write_text(RECIPE.format(name=name, model=model))
    names = list(WORDS)
    sentences = [[a, b, c] for a in names for b in names for c in names]
    for name, chosen in {"train": sentences[::2], "valid": sentences[1:20:2], "test": sentences[21:40:2]}.items():
        write(folder / "data" / f"{name}.en", [" ".join(words) for words in chosen])
        write(folder / "data" / f"{name}.de", [" ".join(map(WORDS.__getitem__, words)) for words in chosen])
    write(folder / "in" / "some.en", ["one two three", "", "seven"])
    return folder


def write(path: Path, lines: list[str]) -> None:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def start(folder: Path, python: Path) -> "subprocess.Popen[str]":
    """Start `make -j2` in its own process group."""
    return subprocess.Popen(
        ["make", "-j2", f"NMT={python} -m nmt_cli"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def make(folder: Path, python: Path) -> str:
    """Run `make -j2`, which must succeed."""
    with start(folder, python) as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def times(folder: Path) -> dict[str, int]:
    """Return the modification time of each file that make or its commands depend on."""
    kept = [path for part in ("prepared", "runs", "out") for path in (folder / part).rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in kept
        if path.suffix in (".json", ".safetensors", ".de", ".npy", ".bin") and path.name != "run.json"
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, fast_python: Path) -> Path:
    """A project in which make has completed."""
    folder = project(tmp_path_factory.mktemp("makefiles") / "finished")
    make(folder, fast_python)
    return folder


@pytest.mark.slow
def test_make_creates_all_targets(finished: Path) -> None:
    for name in MODELS:
        content = json.loads((finished / "runs" / name / "evaluation/test/scores.json").read_bytes())
        assert [score["name"] for score in content["scores"]] == ["BLEU", "chrF2++"]
    assert (finished / "out/some.de").read_bytes().count(b"\n") == 3


@pytest.mark.slow
def test_second_make_does_nothing(finished: Path, fast_python: Path) -> None:
    before = times(finished)
    assert "Nothing to be done" in make(finished, fast_python)
    assert times(finished) == before


@pytest.mark.slow
def test_edit_without_effect_rebuilds_nothing(finished: Path, fast_python: Path) -> None:
    before = times(finished)
    recipe = finished / "recipes/gru.yaml"
    recipe.write_text(f"# a thought\n{recipe.read_text()}")
    make(finished, fast_python)
    assert times(finished) == before


@pytest.mark.long
@pytest.mark.slow
def test_killed_make_resumes_to_the_same_result(finished: Path, tmp_path: Path, fast_python: Path) -> None:
    folder = project(tmp_path / "killed")
    process = start(folder, fast_python)
    try:
        wait_for(folder / "runs/gru/checkpoints/step_20/manifest.json", process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert not (folder / "runs/gru/evaluation").exists()

    make(folder, fast_python)

    assert (folder / "out/some.de").read_bytes() == (finished / "out/some.de").read_bytes()
    for name in MODELS:
        hypotheses = f"runs/{name}/evaluation/test/hypotheses.jsonl"
        assert (folder / hypotheses).read_bytes() == (finished / hypotheses).read_bytes()


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until a file exists while the process that writes it is running."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, "make ended before it could be killed"
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)
