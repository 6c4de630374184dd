"""Description of everything that nmt writes; other paths are unknown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_runs import FakeRun, sentence

from nmt_cli import files
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, NmtError, RecipeError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.reporting.inspection import describe_path, find_damage
from nmt_cli.reporting.rendering import render_html
from nmt_cli.runs.checkpoints import save_checkpoint, write_tensors

NOTHING: dict[str, Any] = {"kind": "", "languages": "", "figures": [], "problems": [], "sections": []}
WEIGHTS = {"a": torch.zeros(3, 4)}


@pytest.fixture
def full_run(fake_run: FakeRun, tmp_path: Path) -> FakeRun:
    """A run with a checkpoint and a model; beside it an export and a tokenizer."""
    save_checkpoint(fake_run.run, 300, WEIGHTS, {}, {"num_updates": 300, "data": {"passes": 1 / 3}, "seconds": 60.0})
    model = fake_run.run.model
    model.mkdir()
    write_tensors(model / "model.safetensors", WEIGHTS)
    config = {
        "source_language": "en",
        "target_language": "de",
        "model": {"architecture": "rnn"},
        "vocabulary": {"source_size": 9, "target_size": 7},
    }
    files.write_json(model / "config.json", config)
    files.write_manifest(model, {"format": 1, "averaged_updates": [200, 300]})
    provenance = {"model": files.sha256(model / files.MANIFEST)}
    fake_run.evaluate("test", [sentence(i, "Ja.", "Ja.") for i in range(3)], provenance=provenance)
    (tmp_path / "export").mkdir()
    files.write_manifest(tmp_path / "export", {"format": 1, "nmt": "0.1.0", "exported": "ctranslate2"})
    settings = TokenizerSettings(vocabulary_size=13, byte_fallback=False)
    (fake_run.run.evaluation("test") / "analysis.json").write_text("{}")
    fake_run.run.pointer("last").write_text("{}")
    fake_run.run.report.write_text(str(render_html("page.html.j2", title="small <1>", **NOTHING)))
    Tokenizer.train(settings, ["ab ac ad ba"] * 20, ["cd db da bc"] * 20, 1).save(tmp_path / "tokenizer")
    return fake_run


RUN = "runs/small"


@pytest.mark.parametrize(
    ("path", "kind", "fact"),
    [
        (RUN, "run", ("best validation", "BLEU 30.00 at update 200")),
        (f"{RUN}/model", "model", ("average of updates", "200, 300")),
        (f"{RUN}/model", "model", ("subwords", "9 source, 7 target")),
        (f"{RUN}/checkpoints/step_300", "checkpoint", ("parameters", "12")),
        ("prepared", "prepared data", ("train/small", "1 of 4 sentence pairs, 2 target subwords")),
        ("export", "export", ("format", "ctranslate2")),
        ("tokenizer", "tokenizer", ("subwords", "13, joint")),
        (f"{RUN}/evaluation/test", "evaluation", ("sentences", "3")),
        (f"{RUN}/metrics.jsonl", "training log", ("last update", "300")),
        (f"{RUN}/evaluation/test/hypotheses.jsonl", "hypotheses of an evaluated set", ("sentences", "3")),
        (f"{RUN}/resolved.yaml", "recipe", ("architecture", "transformer")),
        (f"{RUN}/run.json", "part of the run", ("status", "finished")),
        (f"{RUN}/evaluation/test/scores.json", "part of the evaluation", ("test set", "test")),
        (f"{RUN}/report.html", "report page", ("title", "small <1>")),
        (f"{RUN}/checkpoints", "part of the run", ("status", "finished")),
        (f"{RUN}/checkpoints/last.json", "part of the run", ("status", "finished")),
        (f"{RUN}/checkpoints/step_300/state.json", "part of the checkpoint", ("parameters", "12")),
        (f"{RUN}/evaluation", "part of the run", ("status", "finished")),
        (f"{RUN}/evaluation/test/analysis.json", "part of the evaluation", ("test set", "test")),
        ("tokenizer/joint.model", "part of the tokenizer", ("subwords", "13, joint")),
        (f"{RUN}/model/model.safetensors", "weights", ("parameters", "12")),
        ("runs", "folder of runs", ("runs", "1")),
    ],
)
def test_describe_path_of_everything_nmt_writes(path: str, kind: str, fact: tuple[str, str], full_run: FakeRun) -> None:
    description = describe_path(Path(path))
    assert description.kind == kind
    assert description.facts[fact[0]] == fact[1]
    assert description.next


def test_describe_path_recognises_a_renamed_journal(full_run: FakeRun) -> None:
    renamed = full_run.run.metrics.rename("copy.txt")
    assert describe_path(renamed).kind == "training log"


@pytest.mark.parametrize("content", [b"", b"hello\n", b"{}\n", b"[1]\n", b"\xff\xfe", b'{"a": 1}\n', b"a: 1\n"])
@pytest.mark.parametrize("name", ["x", "x.json", "x.jsonl", "x.yaml"])
def test_describe_path_rejects_other_files(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="unknown"):
        describe_path(tmp_path / name)


def test_describe_path_knows_every_file_of_a_run_from_any_directory(
    full_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in [*full_run.path.rglob("*"), *Path("prepared").rglob("*"), *Path("tokenizer").rglob("*")]:
        assert describe_path(path).next
    monkeypatch.chdir(full_run.run.evaluation("test"))
    assert describe_path(Path("scores.json")).facts == describe_path(Path()).facts


def test_describe_path_rejects_foreign_files_in_a_run(full_run: FakeRun) -> None:
    for name in ("notes.txt", "checkpoints/notes.txt", "evaluation/test/notes.txt"):
        (full_run.path / name).write_text("mine")
        with pytest.raises(DataError, match="unknown"):
            describe_path(full_run.path / name)


def test_describe_path_rejects_other_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown"):
        describe_path(tmp_path)


def test_describe_path_rejects_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/x: "):
        describe_path(tmp_path / "x")


def test_describe_path_reports_errors_of_a_recipe(full_run: FakeRun) -> None:
    full_run.run.resolved.write_text(full_run.run.resolved.read_text().replace("seed: 1", "sede: 1"))
    with pytest.raises(RecipeError, match="sede: "):
        describe_path(full_run.run.resolved)


@pytest.mark.parametrize("name", ["run.json", "model/config.json", "model/manifest.json"])
def test_describe_path_names_damaged_files(name: str, full_run: FakeRun) -> None:
    (full_run.path / name).write_text("{")
    with pytest.raises(NmtError, match=name.rsplit("/")[-1]):
        describe_path((full_run.path / name).parent)


def test_find_damage_of_an_intact_run(full_run: FakeRun) -> None:
    assert find_damage(describe_path(full_run.path)) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip, Path.unlink])
@pytest.mark.parametrize("name", ["model/model.safetensors", "checkpoints/step_300/optimizer.safetensors"])
def test_find_damage_names_each_damaged_file(name: str, damage: Callable[[Path], None], full_run: FakeRun) -> None:
    description = describe_path(full_run.path)
    damage(full_run.path / name)
    (message,) = find_damage(description)
    assert name in message
