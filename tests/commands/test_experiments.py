"""nmt train --seeds and nmt sweep: many runs of one recipe."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from minimal_recipe import MINIMAL_RECIPE

from nmt_cli import console
from nmt_cli.cli.evaluate import evaluate
from nmt_cli.cli.sweep import sweep
from nmt_cli.cli.train import train
from nmt_cli.commands.experiments import list_trials
from nmt_cli.commands.experiments import sweep as sweep_trials
from nmt_cli.errors import DivergedError, RecipeError, WorkerFailedError
from nmt_cli.locks import lock
from nmt_cli.recipe.loading import load_recipe

SHORT = ["training.limits.updates=4", "training.subword_sampling=null", "training.validation.metric=loss"]


@pytest.fixture
def unprepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe without data."""
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(json.dumps(MINIMAL_RECIPE | {"run": "run"}))
    return Path("recipe.yaml")


def swept(capsys: pytest.CaptureFixture[str], *settings: str, **options: Any) -> list[dict[str, Any]]:
    capsys.readouterr()
    sweep(Path("recipe.yaml"), [*SHORT, *settings], json=True, **options)
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_train_with_several_seeds_makes_a_run_of_each(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(recipe, seeds="2,1", set_=SHORT)
    runs = sorted(Path("run").iterdir())
    assert [run.name for run in runs] == ["seed_1", "seed_2"]
    assert [load_recipe(run / "resolved.yaml").seed for run in runs] == [1, 2]
    losses = {json.loads((run / "run.json").read_bytes())["best"][0][0] for run in runs}
    assert len(losses) == 2
    evaluate(recipe, set_=["evaluation.metrics=[chrf]", "evaluation.resamples=null"])
    assert [line.split()[0] for line in capsys.readouterr().out.split("\n")[:-1]] == ["seed_1/test", "seed_2/test"]


@pytest.mark.slow
def test_sweep_trains_what_is_left_and_ranks_all(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A trial that diverges, and one that another process trains, do not stop the others."""
    rates = "training.optimizer.learning_rate=1e-3,1e30,1e-2"
    with lock(Path("run/learning_rate=1e-2/.lock")):
        rows = swept(capsys, rates, "training.clip_norm=null")
    assert [(row["settings"], row["status"]) for row in rows] == [
        ({"training.optimizer.learning_rate": "1e-3"}, "finished"),
        ({"training.optimizer.learning_rate": "1e30"}, "killed"),
        ({"training.optimizer.learning_rate": "1e-2"}, "not started"),
    ]
    assert "diverge" in rows[1]["error"] or "not finite" in rows[1]["error"]
    assert "in use" in rows[2]["error"]
    first = Path(rows[0]["run"], "run.json").read_bytes()

    again = swept(capsys, "training.optimizer.learning_rate=1e-3,1e-2", "training.clip_norm=null")
    assert Path(rows[0]["run"], "run.json").read_bytes() == first
    scores = [row["best"] for row in again]
    assert len(scores) == 2
    assert scores == sorted(scores)
    sweep(recipe, [*SHORT, rates], dry_run=True)
    head, *lines, end = capsys.readouterr().out.split("\n")
    assert head.split() == ["run", "training.optimizer.learning_rate", "status", "update", "best"]
    assert (len(lines), end) == (3, "")


@pytest.mark.slow
def test_sweep_of_a_tokenizer_prepares_data_of_its_own(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = swept(capsys, "tokenizer.vocabulary_size=26,30", "seed=3")
    assert [row["status"] for row in rows] == ["finished", "finished"]
    assert {"prepared-vocabulary_size=26", "prepared-vocabulary_size=30"} <= {path.name for path in Path().iterdir()}
    assert {load_recipe(Path(row["run"], "resolved.yaml")).seed for row in rows} == {3}


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("seed=1,2,3", ["1", "2", "3"]),
        ("model.dropout= 0.1, 0.2 ", ["0.1", "0.2"]),
        ("evaluation.metrics=[bleu,chrf],[ter]", ["[bleu,chrf]", "[ter]"]),
        ("run='a,b',c", ["'a,b'", "c"]),
        ("training.optimizer={type: sgd, momentum: 0.9},{type: adam}", ["{type: sgd, momentum: 0.9}", "{type: adam}"]),
    ],
)
def test_trials_split_values_at_commas(setting: str, values: list[str], unprepared: Path) -> None:
    trials = list_trials(unprepared, [setting])
    assert [[*trial.settings.values()] for trial in trials] == [[value] for value in values]


def test_trials_are_all_combinations_with_short_unique_names(unprepared: Path) -> None:
    trials = list_trials(
        unprepared, ["model.dropout=0,0.1", "training.word_dropout.source=0,0.5", "training.limits.updates=7"]
    )
    assert [trial.run.name for trial in trials] == [
        "dropout=0,source=0", "dropout=0,source=0.5", "dropout=0.1,source=0", "dropout=0.1,source=0.5"
    ]  # fmt: skip
    assert all("training.limits.updates=7" in trial.overrides for trial in trials)
    same = list_trials(unprepared, ["training.word_dropout.source=0,0.1", "training.augmentation.typos=0,0.1"])
    assert len({trial.run for trial in same}) == 4


def test_more_random_trials_include_fewer(unprepared: Path) -> None:
    settings = ["seed=1,2,3,4,5,6", "training.limits.updates=7,8"]
    runs = [[trial.run for trial in list_trials(unprepared, settings, num_random=count)] for count in (3, 8, 100)]
    assert runs[1][:3] == runs[0]
    assert runs[2][:8] == runs[1]
    assert sorted(runs[2]) == sorted(trial.run for trial in list_trials(unprepared, settings))
    assert runs[2] != sorted(runs[2])


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda recipe: list_trials(recipe, ["seed=1"]), "several values"),
        (lambda recipe: list_trials(recipe, ["seed"]), "seed=1,2,3"),
        (lambda recipe: list_trials(recipe, ["seed=1,,2"]), "seed=1,2,3"),
        (lambda recipe: list_trials(recipe, ["seed=1,x"]), "seed"),
        (lambda recipe: list_trials(recipe, ["seed=1,1"]), "each value once"),
        (lambda recipe: list_trials(recipe, [f"seed={','.join(map(str, range(1001)))}"]), "1,001"),
        (lambda recipe: train(recipe, seeds="1;2"), "--seeds 1;2: "),
        (lambda recipe: train(recipe, seeds="1,1"), "--seeds 1,1: "),
    ],
)
def test_invalid_experiments_are_refused(attempt: Callable[[Path], object], message: str, unprepared: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        attempt(unprepared)


def test_several_runs_are_not_put_into_a_run(unprepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("run").mkdir()
    Path("run/run.json").write_text("{}")
    with pytest.raises(RecipeError, match=r"^run: is a run itself.*--run"):
        train(unprepared, seeds="1,2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(RecipeError, match="torchrun"):
        train(unprepared, run=Path("other"), seeds="1,2")


@pytest.mark.parametrize(("exit_code", "goes_on"), [(DivergedError.exit_code, True), (RecipeError.exit_code, False)])
def test_trial_that_fails_in_another_process_does_not_stop_a_sweep(
    exit_code: int, goes_on: bool, unprepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise WorkerFailedError(exit_code)

    monkeypatch.setattr("nmt_cli.commands.train.train", fail)
    rows = sweep_trials(unprepared, list_trials(unprepared, ["seed=1,2"]), 2, console)
    if goes_on:
        assert [bool(row.error) for row in rows] == [True, True]
    else:
        with pytest.raises(WorkerFailedError):
            next(rows)
