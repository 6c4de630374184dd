"""nmt train on a run with damaged files: what is damaged is named, and the rest is enough to end as if it never was."""

import random
from pathlib import Path

import pytest
from forked_runs import copy_run, outcome

from nmt_cli import files
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
    """A run of which two of three updates are saved."""
    train(recipe, SHORT, Path("straight"))
    train(recipe, [*SHORT, "training.limits.updates=2"], Path("begun"))
    return "begun"


def flip_a_bit(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << place % 8
    path.write_bytes(content)


@pytest.mark.slow
def test_a_run_goes_on_from_the_last_checkpoint_that_is_whole(begun: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(path.name for path in RunDirectory(Path(begun)).checkpoint(2).iterdir())
    for number, name in enumerate(names):
        run = RunDirectory(Path(copy_run(begun, "damaged")))
        flip_a_bit(run.checkpoint(2) / name, random.Random(number).randrange(1 << 20))
        capsys.readouterr()
        train(RECIPE, SHORT, run.path)
        told = capsys.readouterr().err
        assert f"nmt: warning: {run.checkpoint(2)}/" in told
        assert "update 1" in told
        assert outcome("damaged") == outcome("straight")


@pytest.mark.slow
def test_where_no_checkpoint_is_whole_it_is_told_and_nothing_is_touched(begun: str) -> None:
    run = RunDirectory(Path(begun))
    for step in run.saved_updates():
        flip_a_bit(run.checkpoint(step) / "optimizer.safetensors", 99)
    before = outcome(begun)
    with pytest.raises(ModelError, match="checkpoints: "):
        train(RECIPE, SHORT, run.path)
    assert outcome(begun) == before


@pytest.mark.slow
def test_a_damaged_one_of_the_best_is_left_out_of_the_model(begun: str, capsys: pytest.CaptureFixture[str]) -> None:
    train(RECIPE, SHORT, Path(begun))
    best = files.read_manifest(Path(begun, "model"), ModelError)["averaged_updates"]
    assert len(best) == 2
    flip_a_bit(RunDirectory(Path(begun)).checkpoint(best[0]) / "model.safetensors", 999)
    files.remove(Path(begun, "model"))
    train(RECIPE, SHORT, Path(begun))
    assert f"step_{best[0]}/model.safetensors: " in capsys.readouterr().err
    assert files.read_manifest(Path(begun, "model"), ModelError)["averaged_updates"] == best[1:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "manifest.json"])
def test_a_damaged_model_of_a_finished_run_is_made_again(begun: str, name: str) -> None:
    train(RECIPE, SHORT, Path(begun))
    flip_a_bit(Path(begun, "model", name), 77)
    train(RECIPE, SHORT, Path(begun))
    assert outcome(begun) == outcome("straight")


@pytest.mark.slow
def test_killed_before_its_last_word_a_finished_run_is_finished_by_the_next_start(begun: str) -> None:
    """All that can be missing when the newest checkpoint is there: pointers, pruning, the model's old self, status."""
    train(RECIPE, SHORT, Path(begun))
    summary = Path(begun, "run.json")
    summary.write_text(summary.read_text().replace('"finished"', '"running"'))
    Path(begun, "checkpoints/last.json").write_text('{"update": 2}')
    Path(begun, "checkpoints/best.json").unlink()
    Path(begun, "model.replaced.tmp").mkdir()
    train(RECIPE, SHORT, Path(begun))
    assert outcome(begun) == outcome("straight")
