"""nmt train: contents of a run, resuming, and what is refused."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from nmt_cli import files
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.train import train
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.translator import Translator
from nmt_cli.errors import DataError, DivergedError, ModelError, RecipeError, RunInUseError
from nmt_cli.evaluation.metrics import score
from nmt_cli.locks import lock
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.reporting.inspection import describe_path, format_description
from nmt_cli.runs import checkpoints
from nmt_cli.runs.checkpoints import average_checkpoints, read_tensors
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import describe_published, update_summary
from nmt_cli.text.lines import read_lines

ROOT = Path(__file__).parents[2]
each_architecture = pytest.mark.parametrize(
    "architecture", ["transformer", pytest.param("rnn", marks=pytest.mark.slow)]
)
only_transformer = pytest.mark.parametrize("architecture", ["transformer"])


def records(run: RunDirectory, kind: str) -> list[dict[str, object]]:
    every = [json.loads(line) for line in run.metrics.read_bytes().split(b"\n")[:-1]]
    return [record for record in every if record["kind"] == kind]


def state(run: RunDirectory) -> dict[str, str]:
    """Return the hash of each file that must not depend on interruptions, without times."""
    found = {}
    for update in run.saved_updates():
        for path in sorted(run.checkpoint(update).iterdir()):
            if path.suffix == ".safetensors":
                found[f"{update}/{path.name}"] = files.sha256(path)
            elif path.name == "state.json":
                found[f"{update}/{path.name}"] = str({**json.loads(path.read_bytes()), "seconds": None})
    return {**found, "model": files.sha256(run.model / "model.safetensors")}


def start(recipe: Path, *options: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nmt_cli", "train", str(recipe), *options]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


@each_architecture
def test_run_contains_recipe_summary_checkpoints_model_and_metrics(recipe: Path) -> None:
    train(recipe)
    run = RunDirectory(Path("run"))
    assert run.recipe.read_bytes() == recipe.read_bytes()
    assert load_recipe(run.resolved) == load_recipe(recipe)
    assert json.loads(run.summary.read_bytes())["status"] == "finished"
    assert run.pointer("last").is_file()
    assert len(run.saved_updates()) <= 4
    files.read_manifest(run.model, ModelError)
    assert [record["update"] for record in records(run, "train")] == [2, 4, 6, 8, 10, 12]
    assert [record["update"] for record in records(run, "valid")] == [4, 8, 12]
    keys = {"time", "update", "epoch", "target_tokens", "kind", "loss", "learning_rate", "gradient_norm"}
    assert keys < set(records(run, "train")[0])
    last = records(run, "train")[-1]
    assert last["mixture"]["digits"]["target_tokens"] == last["target_tokens"]


@each_architecture
def test_resumed_run_equals_uninterrupted_run(recipe: Path) -> None:
    train(recipe, run_path=Path("straight"))
    for updates in (3, 4, 7, 12):
        train(recipe, [f"training.limits.updates={updates}", "training.validation.patience=null"], Path("halting"))
    straight, halting = state(RunDirectory(Path("straight"))), state(RunDirectory(Path("halting")))
    assert straight["12/model.safetensors"] == halting["12/model.safetensors"]
    assert straight["12/optimizer.safetensors"] == halting["12/optimizer.safetensors"]


@only_transformer
@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["training.optimizer.type=muon", "training.freeze=[embeddings.*]", "training.ema_decay=0.5"],
        ["training.optimizer.type=adafactor", "training.schedule.type=plateau", "training.schedule.patience=1"],
    ],
)
def test_optimizer_average_and_plateau_resume_bit_identical(recipe: Path, options: list[str]) -> None:
    options = [*options, "training.validation.every=3"]
    train(recipe, options, Path("straight"))
    for updates in (6, 12):
        train(recipe, [*options, f"training.limits.updates={updates}"], Path("halting"))
    straight, halting = state(RunDirectory(Path("straight"))), state(RunDirectory(Path("halting")))
    for name in ("12/model.safetensors", "12/optimizer.safetensors"):
        assert straight[name] == halting[name]


@pytest.mark.slow
@only_transformer
def test_frozen_parameters_do_not_change(recipe: Path) -> None:
    train(recipe, ["training.freeze=[encoder.*]"])
    run = RunDirectory(Path("run"))
    first, last = (read_tensors(run.checkpoint(update) / "model.safetensors") for update in (4, 12))
    changed = {name for name, weight in first.items() if not torch.equal(weight, last[name])}
    assert changed
    assert not [name for name in changed if name.startswith("encoder.")]


@only_transformer
@pytest.mark.slow
def test_checkpoint_with_ema_also_contains_the_trained_parameters(recipe: Path) -> None:
    train(recipe, ["training.ema_decay=0.5"], Path("averaged"))
    train(recipe, [], Path("plain"))
    averaged, plain = RunDirectory(Path("averaged")).checkpoint(12), RunDirectory(Path("plain")).checkpoint(12)
    weights, optimizer_state = (
        read_tensors(plain / "model.safetensors"),
        read_tensors(averaged / "optimizer.safetensors"),
    )
    assert all(torch.equal(optimizer_state[f"parameter/{name}"], weight) for name, weight in weights.items())
    means = read_tensors(averaged / "model.safetensors")
    assert not any(torch.equal(mean, weights[name]) for name, mean in means.items())


@pytest.mark.slow
def test_run_killed_three_times_equals_uninterrupted_run(recipe: Path) -> None:
    train(recipe, ["training.checkpoints.every=1"], Path("straight"))
    rng = random.Random(1)
    for _ in range(3):
        process = start(recipe, "--run", "killed", "--set", "training.checkpoints.every=1")
        wait_for(Path("killed/checkpoints"), process)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.communicate()
    train(recipe, ["training.checkpoints.every=1"], Path("killed"))
    assert state(RunDirectory(Path("straight"))) == state(RunDirectory(Path("killed")))
    updates = [record["update"] for record in records(RunDirectory(Path("killed")), "train")]
    assert updates == [2, 4, 6, 8, 10, 12]


@only_transformer
@pytest.mark.slow
def test_run_stopped_by_signal_saves_and_resumes(recipe: Path) -> None:
    search = "decoding={beam_size: 1, max_length: 5}"
    settings = ["training.limits.updates=50", "training.validation.every=10", search]
    train(recipe, settings, Path("straight"))
    process = start(recipe, "--run", "stopped", *(word for setting in settings for word in ("--set", setting)))
    wait_for(Path("stopped/checkpoints/last.json"), process)
    process.send_signal(signal.SIGTERM)
    stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 143
    assert re.search("nmt: stopped by SIGTERM.*update", stderr)
    assert json.loads(Path("stopped/run.json").read_bytes())["status"] == "stopped"

    train(recipe, settings, Path("stopped"))
    assert state(RunDirectory(Path("straight"))) == state(RunDirectory(Path("stopped")))


@pytest.mark.slow
@only_transformer
def test_finished_run_is_not_changed(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def times() -> dict[Path, int]:
        changing = (".lock", "train.log")  # each start is logged
        return {path: path.stat().st_mtime_ns for path in Path("run").rglob("*") if path.name not in changing}

    train(recipe)
    before = times()
    train(recipe)
    assert times() == before
    assert "12 updates" in capsys.readouterr().err


@pytest.mark.slow
@only_transformer
def test_finished_run_is_averaged_again_with_a_smaller_keep_best(recipe: Path) -> None:
    train(recipe)
    train(recipe, ["training.checkpoints.keep_best=1"])
    manifest = files.read_manifest(Path("run/model"), ModelError)
    best = json.loads(Path("run/checkpoints/best.json").read_bytes())["update"]
    assert manifest["averaged_updates"] == [best]
    weights = {path.name: files.sha256(path) for path in Path("run/model").glob("*.safetensors")}
    assert weights["model.safetensors"] == files.sha256(Path(f"run/checkpoints/step_{best}/model.safetensors"))


@pytest.mark.slow
@only_transformer
def test_another_recipe_is_refused_and_fresh_moves_the_run_aside(recipe: Path) -> None:
    train(recipe)
    weights = files.sha256(Path("run/model/model.safetensors"))
    with pytest.raises(RecipeError, match=r"^seed: .*1.*2; .*--fresh"):
        train(recipe, ["seed=2"])
    train(recipe, ["seed=2"], fresh=True)
    assert files.sha256(Path("run.old1/model/model.safetensors")) == weights
    assert files.sha256(Path("run/model/model.safetensors")) != weights


@pytest.mark.slow
@only_transformer
def test_other_training_data_is_refused(recipe: Path) -> None:
    train(recipe)
    with Path("train.en").open("ab") as english, Path("train.de").open("ab") as german:
        english.write(b"one\n")
        german.write(b"eins\n")
    with pytest.raises(DataError, match=r"^train\.\w\w: "):
        train(recipe)
    preprocess(load_recipe(recipe))
    with pytest.raises(DataError, match="prepared: "):
        train(recipe)


@only_transformer
def test_run_in_use_is_refused(recipe: Path) -> None:
    run = RunDirectory(Path("run"))
    with lock(run.lock), pytest.raises(RunInUseError, match=r"^run: "):
        train(recipe)


@only_transformer
def test_foreign_folder_is_refused_and_unchanged(recipe: Path) -> None:
    Path("run").mkdir()
    Path("run/letters.txt").write_text("dear")
    for fresh in (False, True):
        with pytest.raises(RecipeError, match=r"^run: .*letters\.txt"):
            train(recipe, fresh=fresh)
    assert list(Path("run").iterdir()) == [Path("run/letters.txt")]


@pytest.mark.slow
@only_transformer
def test_damaged_last_checkpoint_is_skipped_and_its_updates_repeated(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe)
    expected = state(RunDirectory(Path("run")))
    weights = Path("run/checkpoints/step_12/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    files.remove(Path("run/model"))

    train(recipe)

    assert f"{weights}: " in capsys.readouterr().err
    assert state(RunDirectory(Path("run")))["12/model.safetensors"] == expected["12/model.safetensors"]


@pytest.mark.slow
@only_transformer
def test_divergence_fails_and_saves_no_checkpoint(recipe: Path) -> None:
    with pytest.raises(DivergedError, match=r"^update \d: .* 2 rollbacks"):
        train(recipe, ["training.optimizer.learning_rate=1e30", "training.clip_norm=null"])
    assert RunDirectory(Path("run")).saved_updates() == []


@only_transformer
def test_dry_run_writes_nothing(recipe: Path) -> None:
    train(recipe, dry_run=True)
    assert not Path("run").exists()


@only_transformer
def test_dry_run_says_what_becomes_of_an_existing_run(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*overrides: str, fresh: bool = False) -> str:
        capsys.readouterr()
        train(recipe, overrides, dry_run=True, fresh=fresh)
        return capsys.readouterr().err

    train(recipe)
    assert "run is finished at update 12" in told()
    assert "run would be resumed at update 12" in told("training.limits.updates=20")
    assert "run would be trained" in told(fresh=True)
    with pytest.raises(RecipeError, match=r"model\.dropout"):
        told("model.dropout=0.5")
    assert "run is finished at update 12, as the limit of 5 updates is reached" in told("training.limits.updates=5")
    update_summary(RunDirectory(Path("run")), status="stopped")
    assert "run would be finished at update 12, as the limit of 5" in told("training.limits.updates=5")
    with lock(RunDirectory(Path("run")).lock):
        for fresh in (False, True):
            with pytest.raises(RunInUseError, match=r"^run: is in use by process"):
                told(fresh=fresh)
    Path("other").mkdir()
    Path("other/notes").write_text("")
    for fresh in (False, True):
        with pytest.raises(RecipeError, match="contains other files"):
            told("run=other", fresh=fresh)


@only_transformer
@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("freeze", ["freeze=[nothing.*]"]),
        ("freeze", ["freeze=['*']"]),
        ("learning_rate_factors", ["learning_rate_factors={nothing.*: 2}"]),
        ("learning_rate_factors", ["freeze=[encoder.*]", "learning_rate_factors={encoder.*: 2}"]),
    ],
)
def test_dry_run_refuses_patterns_that_training_refuses(recipe: Path, key: str, settings: list[str]) -> None:
    with pytest.raises(RecipeError, match=rf"^training\.{key}: "):
        train(recipe, [f"training.{each}" for each in settings], dry_run=True)
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("decay", ["null", pytest.param("0.5", marks=pytest.mark.slow)])
def test_validation_score_equals_that_of_its_checkpoint(recipe: Path, decay: str) -> None:
    train(recipe, [f"training.ema_decay={decay}"])
    record = records(RunDirectory(Path("run")), "valid")[-1]
    loaded = load_model(Path("run/checkpoints/step_12"))
    translator = Translator(loaded.model, loaded.tokenizer, loaded.decoding, loaded.device)
    hypotheses = [
        translation.best.text for translation in translator.translate(map(Request, read_lines(Path("dev.en"))))
    ]
    found = score(hypotheses, [list(read_lines(Path("dev.de")))], loaded.config.evaluation)
    assert [record["bleu"], record["chrf++"]] == pytest.approx([each.value for each in found], abs=1e-9)


@pytest.mark.slow
@only_transformer
def test_checkpoint_refuses_another_configuration_or_tokenizer(recipe: Path) -> None:
    """Although every size fits: they would translate to nonsense."""
    train(recipe, ["training.limits.updates=1"])
    run = RunDirectory(Path("run"))
    load_model(run.checkpoint(1))
    vocabulary = next(run.tokenizer.glob("*.vocabulary.json"))
    entries = json.loads(vocabulary.read_bytes())
    swapped = json.dumps([*entries[:10], entries[11], entries[10], *entries[12:]])
    for path, content in (
        (run.resolved, run.resolved.read_text().replace("heads: 2", "heads: 4")),
        (vocabulary, swapped),
    ):
        before = path.read_bytes()
        path.write_text(content)
        with pytest.raises(ModelError, match="resolved" if path == run.resolved else "tokenizer"):
            load_model(run.checkpoint(1))
        path.write_bytes(before)
    load_model(run.checkpoint(1))


@pytest.mark.slow
@only_transformer
def test_load_model_with_another_tokenizer_is_refused(recipe: Path) -> None:
    train(recipe)
    preprocess(load_recipe(recipe, ["tokenizer.vocabulary_size=24"]))
    files.remove(Path("run/model/tokenizer"))
    Path("prepared/tokenizer").rename("run/model/tokenizer")
    files.write_manifest(Path("run/model"), {"format": 1})
    with pytest.raises(ModelError, match="tokenizer: "):
        load_model(Path("run"))


@pytest.mark.slow
@only_transformer
def test_load_model_with_weights_of_another_shape_names_them(recipe: Path) -> None:
    train(recipe)
    config = Path("run/model/config.json")
    config.write_text(config.read_text().replace('"feed_forward": 16', '"feed_forward": 60000'))
    files.write_manifest(Path("run/model"), {"format": 1})
    with pytest.raises(ModelError, match="feed_forward"):
        load_model(Path("run"))


@pytest.mark.slow
@only_transformer
def test_start_from_copies_parameters_and_tokenizer(recipe: Path) -> None:
    """Everything but the embeddings is frozen, so that the copied values can be compared."""
    train(recipe, [], Path("parent"))
    settings = ["training.start_from=parent", "tokenizer.path=parent", "data.prepared=prepared_again"]
    settings += ["training.freeze=[encoder.*, decoder.*, decoder_norm.*]", "training.limits.updates=1"]
    preprocess(load_recipe(recipe, settings))
    train(recipe, settings, Path("child"))
    parent, child = (read_tensors(Path(run, "model/model.safetensors")) for run in ("parent", "child"))
    for name, weight in parent.items():
        assert torch.equal(weight, child[name]) == (name.startswith(("encoder", "decoder"))), name


@only_transformer
def test_start_from_refuses_other_tokenizer_and_other_shapes(recipe: Path) -> None:
    train(recipe, ["training.limits.updates=1"], Path("parent"))
    preprocess(load_recipe(recipe, ["tokenizer.vocabulary_size=27", "data.prepared=other"]))
    settings = ["tokenizer.path=other/tokenizer", "training.start_from=parent", "data.prepared=prepared_again"]
    preprocess(load_recipe(recipe, settings))
    with pytest.raises(ModelError, match=r"tokenizer\.path: parent"):
        train(recipe, settings, Path("child"))
    with pytest.raises(RecipeError, match=r"^model\.width: 32 .*parent has 16"):
        train(recipe, ["model.width=32", "training.start_from=parent"], Path("child"))


@only_transformer
@pytest.mark.parametrize("is_average_better", [False, True])
def test_better_of_average_and_best_checkpoint_is_published(
    recipe: Path, is_average_better: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def average(paths: list[Path]) -> dict[str, torch.Tensor]:
        """Average two checkpoints into random parameters, or into some that were trained for longer."""
        if len(paths) == 1 or is_average_better:
            return average_checkpoints([paths[-1] if len(paths) == 1 else Path("longer/checkpoints/step_60")])
        return {name: 9 * torch.randn_like(tensor) for name, tensor in average_checkpoints(paths).items()}

    if is_average_better:
        train(recipe, ["training.limits.updates=60", "training.checkpoints.keep_last=1"], Path("longer"))
    monkeypatch.setattr(checkpoints, "average_checkpoints", average)
    metric_is_loss = ["training.validation.metric=loss"]
    train(recipe, metric_is_loss)
    run = RunDirectory(Path("run"))
    best = json.loads(run.pointer("best").read_bytes())
    published = json.loads(run.summary.read_bytes())["published"]
    assert published["metric"] == "loss"
    assert published["best_checkpoint"] == best["score"]
    assert (published["average"] < best["score"]) is is_average_better
    assert (len(published["updates"]) == 2) is is_average_better
    if not is_average_better:
        assert published["updates"] == [best["update"]]
        assert files.sha256(run.model / "model.safetensors") == files.sha256(
            run.checkpoint(best["update"]) / "model.safetensors"
        )
    assert files.read_manifest(run.model, ModelError)["averaged_updates"] == published["updates"]
    (event,) = [record for record in records(run, "event") if record["event"] == "published"]
    assert {key: event[key] for key in published} == published
    text = describe_published(published)
    assert text in capsys.readouterr().err
    assert text in format_description(run.path, describe_path(run.path), None)
    train(recipe, metric_is_loss)
    assert "training is finished" in capsys.readouterr().err


@pytest.mark.slow
@only_transformer
def test_learning_rate_may_change_on_resume_and_is_recorded(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(recipe, ["training.limits.updates=6"])
    train(recipe, ["training.optimizer.learning_rate=5e-4"])
    run = RunDirectory(Path("run"))
    resumed = [record for record in records(run, "event") if record["event"] == "resumed"]
    assert resumed[0]["changed"] == {"training.limits.updates": "12", "training.optimizer.learning_rate": "0.0005"}
    assert "training.optimizer.learning_rate was 0.001, is now 0.0005" in capsys.readouterr().err
    rates = {record["update"]: record["learning_rate"] for record in records(run, "train")}
    assert rates[6] == pytest.approx(1e-3 * (4 / 6) ** 0.5)
    assert rates[8] == pytest.approx(5e-4 * (4 / 8) ** 0.5)


@pytest.mark.slow
def test_published_model_has_a_card(recipe: Path) -> None:
    train(recipe, ["licence=cc-by-4.0", "training.limits.updates=4"])
    files.read_manifest(Path("run/model"), ModelError)  # includes it
    _, front, text = Path("run/model/README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["language"] == ["en", "de"]
    assert yaml.safe_load(front)["license"] == "cc-by-4.0"
    assert re.findall(r"^\| digits \| (\d+) \|", text, flags=re.MULTILINE) == ["120"]
    assert re.search(r"^chrF [\d.]+ on the validation set dev, .* checkpoint of update 4\.", text, flags=re.MULTILINE)
