"""Whatever nmt made is known again; all else is said to be unknown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from written_runs import WrittenRun

from nmt_cli import files
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, NmtError, RecipeError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.reporting.showing import check, show_path
from nmt_cli.reporting.templates import render_html
from nmt_cli.runs.checkpoints import save_checkpoint, write_tensors

NOTHING: dict[str, Any] = {"kind": "", "languages": "", "figures": [], "troubles": [], "sections": []}
WEIGHTS = {"a": torch.zeros(3, 4)}


@pytest.fixture
def full(written: WrittenRun, tmp_path: Path) -> WrittenRun:
    """A run with a checkpoint and a model; beside it an export and a tokenizer."""
    save_checkpoint(written.run, 300, WEIGHTS, {}, {"num_updates": 300, "data": {"passes": 1 / 3}, "seconds": 60.0})
    model = written.run.model
    model.mkdir()
    write_tensors(model / "model.safetensors", WEIGHTS)
    config = {"source_language": "en", "target_language": "de", "model": {"architecture": "rnn"}, "vocabularies": {}}
    files.write_json(model / "config.json", config)
    files.write_manifest(model, {"format": 1, "averaged_updates": [200, 300]})
    (tmp_path / "export").mkdir()
    files.write_manifest(tmp_path / "export", {"format": 1, "nmt": "0.1.0", "exported": "ctranslate2"})
    settings = TokenizerSettings(vocabulary_size=13, byte_fallback=False)
    (written.run.evaluation("test") / "analysis.json").write_text("{}")
    written.run.pointer("last").write_text("{}")
    written.run.report.write_text(str(render_html("run.html.j2", title="small <1>", **NOTHING)))
    Tokenizer.train(settings, ["ab ac ad ba"] * 20, ["cd db da bc"] * 20, 1).save(tmp_path / "tokenizer")
    return written


RUN = "runs/small"


@pytest.mark.parametrize(
    ("path", "kind", "fact"),
    [
        (RUN, "run", ("best validation", "BLEU 30.00 at update 200")),
        (f"{RUN}/model", "model", ("average of updates", "200, 300")),
        (f"{RUN}/checkpoints/step_300", "checkpoint", ("weights", "12")),
        ("prepared", "prepared data", ("train/small", "1 of 4 pairs, 2 target subwords")),
        ("export", "export", ("for", "ctranslate2")),
        ("tokenizer", "tokenizer", ("subwords", "13, joint")),
        (f"{RUN}/evaluation/test", "evaluation", ("sentences", "3")),
        (f"{RUN}/metrics.jsonl", "journal of a run", ("last update", "300")),
        (f"{RUN}/evaluation/test/hypotheses.jsonl", "hypotheses of an evaluated set", ("sentences", "3")),
        (f"{RUN}/resolved.yaml", "recipe", ("architecture", "transformer")),
        (f"{RUN}/run.json", "part of the run", ("status", "finished")),
        (f"{RUN}/evaluation/test/scores.json", "part of the evaluation", ("set", "test")),
        (f"{RUN}/report.html", "page", ("of", "small <1>")),
        (f"{RUN}/checkpoints", "part of the run", ("status", "finished")),
        (f"{RUN}/checkpoints/last.json", "part of the run", ("status", "finished")),
        (f"{RUN}/checkpoints/step_300/state.json", "part of the checkpoint", ("weights", "12")),
        (f"{RUN}/evaluation", "part of the run", ("status", "finished")),
        (f"{RUN}/evaluation/test/analysis.json", "part of the evaluation", ("set", "test")),
        ("tokenizer/joint.model", "part of the tokenizer", ("subwords", "13, joint")),
        (f"{RUN}/model/model.safetensors", "weights", ("weights", "12")),
        ("runs", "folder of runs", ("runs", "1")),
    ],
)
def test_it_is_known_what_a_path_is(path: str, kind: str, fact: tuple[str, str], full: WrittenRun) -> None:
    shown = show_path(Path(path))
    assert shown.kind == kind
    assert shown.facts[fact[0]] == fact[1]
    assert shown.next


def test_a_journal_is_known_by_what_it_holds(full: WrittenRun) -> None:
    renamed = full.run.metrics.rename("copy.txt")
    assert show_path(renamed).kind == "journal of a run"


@pytest.mark.parametrize("content", [b"", b"hello\n", b"{}\n", b"[1]\n", b"\xff\xfe", b'{"a": 1}\n', b"a: 1\n"])
@pytest.mark.parametrize("name", ["x", "x.json", "x.jsonl", "x.yaml"])
def test_other_files_are_unknown(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="is unknown"):
        show_path(tmp_path / name)


def test_all_that_a_run_holds_is_known_from_wherever(full: WrittenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in [*full.path.rglob("*"), *Path("prepared").rglob("*"), *Path("tokenizer").rglob("*")]:
        assert show_path(path).next
    monkeypatch.chdir(full.run.evaluation("test"))
    assert show_path(Path("scores.json")).facts == show_path(Path()).facts


def test_what_others_put_into_a_run_is_unknown(full: WrittenRun) -> None:
    for name in ("notes.txt", "checkpoints/notes.txt", "evaluation/test/notes.txt"):
        (full.path / name).write_text("mine")
        with pytest.raises(DataError, match="is unknown"):
            show_path(full.path / name)


def test_other_folders_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is unknown"):
        show_path(tmp_path)


def test_what_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        show_path(tmp_path / "x")


def test_a_recipe_with_a_mistake_is_a_recipe_with_a_mistake(full: WrittenRun) -> None:
    full.run.resolved.write_text(full.run.resolved.read_text().replace("seed: 1", "sede: 1"))
    with pytest.raises(RecipeError, match="did you mean seed"):
        show_path(full.run.resolved)


@pytest.mark.parametrize("name", ["run.json", "model/config.json", "model/manifest.json"])
def test_damaged_files_are_named(name: str, full: WrittenRun) -> None:
    (full.path / name).write_text("{")
    with pytest.raises(NmtError, match=name.rsplit("/")[-1]):
        show_path((full.path / name).parent)


def test_a_whole_run_passes_the_check(full: WrittenRun) -> None:
    assert check(show_path(full.path)) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [flip, Path.unlink])
@pytest.mark.parametrize("name", ["model/model.safetensors", "checkpoints/step_300/optimizer.safetensors"])
def test_the_check_names_each_damaged_file(name: str, damage: Callable[[Path], None], full: WrittenRun) -> None:
    shown = show_path(full.path)
    damage(full.path / name)
    (told,) = check(shown)
    assert name in told
