"""nmt train on a run with damaged files names them and ends like an undamaged run."""

import random
from pathlib import Path

import pytest
from forked_runs import copy_run, outcome

from nmt_cli import files
from nmt_cli.commands import training_run
from nmt_cli.commands.train import train
from nmt_cli.errors import ModelError
from nmt_cli.runs.directory import RunDirectory

pytestmark = pytest.mark.parametrize("architecture", ["transformer"])
RECIPE = Path("recipe.yaml")
SHORT = [
    "training.limits.updates=3",
    "training.validation={every: 1, metric: loss, patience: null}",
    "training.checkpoints={keep_last: 3, keep_best: 2}",
    "training.logging.every=1",
    "decoding.beam_size=1",
]


@pytest.fixture
def begun(recipe: Path) -> str:
    """A run in which two of three updates are saved."""
    train(recipe, SHORT, Path("straight"))
    train(recipe, [*SHORT, "training.limits.updates=2"], Path("begun"))
    return "begun"


def flip_bit(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << position % 8
    path.write_bytes(content)


@pytest.mark.slow
def test_run_resumes_from_the_last_intact_checkpoint(begun: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(path.name for path in RunDirectory(Path(begun)).checkpoint(2).iterdir())
    for seed, name in enumerate(names):
        run = RunDirectory(Path(copy_run(begun, "damaged")))
        flip_bit(run.checkpoint(2) / name, random.Random(seed).randrange(1 << 20))
        capsys.readouterr()
        train(RECIPE, SHORT, run.path)
        stderr = capsys.readouterr().err
        assert f"nmt: warning: {run.checkpoint(2)}/" in stderr
        assert "update 1" in stderr
        assert outcome("damaged") == outcome("straight")


@pytest.mark.slow
def test_run_without_intact_checkpoint_is_refused_and_unchanged(begun: str) -> None:
    run = RunDirectory(Path(begun))
    for update in run.saved_updates():
        flip_bit(run.checkpoint(update) / "optimizer.safetensors", 99)
    before = outcome(begun)
    with pytest.raises(ModelError, match="checkpoints: "):
        train(RECIPE, SHORT, run.path)
    assert outcome(begun) == before


@pytest.mark.slow
def test_damaged_best_checkpoint_is_not_averaged_into_the_model(
    begun: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "score_sign", lambda _: 0.0)  # the average is published whatever its score
    train(RECIPE, SHORT, Path(begun))
    best = files.read_manifest(Path(begun, "model"), ModelError)["averaged_updates"]
    assert len(best) == 2
    flip_bit(RunDirectory(Path(begun)).checkpoint(best[0]) / "model.safetensors", 999)
    files.remove(Path(begun, "model"))
    train(RECIPE, SHORT, Path(begun))
    assert f"step_{best[0]}/model.safetensors: " in capsys.readouterr().err
    assert files.read_manifest(Path(begun, "model"), ModelError)["averaged_updates"] == best[1:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "manifest.json"])
def test_damaged_model_of_finished_run_is_rebuilt(begun: str, name: str) -> None:
    train(RECIPE, SHORT, Path(begun))
    flip_bit(Path(begun, "model", name), 77)
    train(RECIPE, SHORT, Path(begun))
    assert outcome(begun) == outcome("straight")


@pytest.mark.slow
def test_run_killed_after_its_last_checkpoint_is_finished_by_the_next_start(begun: str) -> None:
    """Pointers, removal of the replaced model and status may be missing although the last checkpoint is saved."""
    train(RECIPE, SHORT, Path(begun))
    summary = Path(begun, "run.json")
    summary.write_text(summary.read_text().replace('"finished"', '"running"'))
    Path(begun, "checkpoints/last.json").write_text('{"update": 2}')
    Path(begun, "checkpoints/best.json").unlink()
    Path(begun, "model.nmt-0123abcd.tmp").mkdir()
    train(RECIPE, SHORT, Path(begun))
    assert outcome(begun) == outcome("straight")
