"""nmt preprocess says what it does, does it once, and shows what became of each pair."""

import re
from pathlib import Path

import pytest

from nmt_cli import console, files
from nmt_cli.cli.preprocess import preprocess as command
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.data.preparation.preparing import PreprocessJob
from nmt_cli.data.prepared import is_current
from nmt_cli.errors import DataError
from nmt_cli.processes import ShardSpec
from nmt_cli.recipe.loading import resolved_yaml
from nmt_cli.recipe.schema import Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Eight different lines and an empty one for training, two for validation."""
    lines = [f"{word} {other}\n" for word in ("ab", "bcd", "cde", "dab", "eca") for other in ("abc", "edc")]
    sides = {"source": lines, "target": [" ".join(reversed(line.split())) + "\n" for line in lines]}
    paths = {}
    for name, first, more in (("train", 2, "\n"), ("valid", 0, "")):
        for side, text in sides.items():
            (tmp_path / f"{name}.{side}").write_text("".join(text[first : None if more else 2]) + more)
        paths[name] = {"tiny": {side: str(tmp_path / f"{name}.{side}") for side in ("source", "target")}}
    return Recipe.model_validate(
        {
            "run": "run",
            "data": {"source_language": "a", "target_language": "b", "prepared": str(tmp_path / "data"), **paths},
            "tokenizer": {"vocabulary_size": 12, "byte_fallback": False},
            "model": {"architecture": "transformer", "preset": "tiny"},
        }
    )


def test_preprocess_reports_each_corpus(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess(recipe)
    out, err = capsys.readouterr()
    assert out == ""
    row = next(line for line in err.split("\n") if "train/tiny" in line)
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["9", "8"]
    assert "train/tiny: 1 of 9 " in err
    assert re.search(r"1 +11\.11% .*\(empty\)", err)
    assert "record 9: (nothing)" in err
    assert all(len(line) <= 80 for line in err.split("\n") if str(recipe.data.prepared) not in line)


def test_second_preprocess_changes_no_file(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess(recipe)
    manifest = recipe.data.prepared / files.MANIFEST
    before = manifest.stat()
    capsys.readouterr()
    preprocess(recipe)
    assert (manifest.stat().st_mtime_ns, manifest.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert re.fullmatch(rf"{re.escape(str(recipe.data.prepared))} [^\n]*\n", capsys.readouterr().err)


def test_changed_recipe_is_prepared_again(recipe: Recipe) -> None:
    preprocess(recipe)
    before = (recipe.data.prepared / files.MANIFEST).read_bytes()
    tokenizer = recipe.tokenizer.model_copy(update={"algorithm": "bpe"})
    preprocess(recipe.model_copy(update={"tokenizer": tokenizer}))
    assert (recipe.data.prepared / files.MANIFEST).read_bytes() != before


def test_dry_run_changes_no_file(recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(tmp_path.iterdir())
    preprocess(recipe, dry_run=True)
    assert str(recipe.data.prepared) in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_dry_run_reports_missing_files(recipe: Recipe) -> None:
    recipe.data.valid["tiny"].target.unlink()
    with pytest.raises(DataError, match=r"valid\.target: "):
        preprocess(recipe, dry_run=True)


def test_quiet_prints_nothing(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    console.set_quiet(True)
    try:
        preprocess(recipe)
    finally:
        console.set_quiet(False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("shard", "next_command"),
    [(None, "nmt train {} --set 'data.filters=[]'"), ("1/2", "nmt preprocess {} --set 'data.filters=[]' --merge")],
)
def test_next_command_can_be_copied(
    shard: str | None, next_command: str, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(resolved_yaml(recipe))
    command(path, ["data.filters=[]"], 1, shard)
    assert capsys.readouterr().err.split("\n")[-2].endswith(": " + next_command.format(path))


def test_shard_and_merge_are_reported(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess(recipe, PreprocessJob(ShardSpec(1, 2), merge=False))
    assert "shard 1/2" in capsys.readouterr().err
    with pytest.raises(DataError, match="valid/tiny"):
        preprocess(recipe, PreprocessJob(None))
    preprocess(recipe, PreprocessJob(ShardSpec(2, 2), merge=False))
    capsys.readouterr()
    preprocess(recipe, PreprocessJob(None))
    assert "tiny" in capsys.readouterr().err
    assert is_current(recipe)


def test_leftovers_of_a_kill_are_removed_except_in_a_dry_run(recipe: Recipe) -> None:
    preprocess(recipe)
    left = recipe.data.prepared.with_name("data.parts")
    left.mkdir()
    (left / ".nmt").touch()
    preprocess(recipe, dry_run=True)
    assert left.exists()
    preprocess(recipe)
    assert not left.exists()


def test_filter_that_drops_every_pair_is_named(recipe: Recipe, tmp_path: Path) -> None:
    """Such as the overlap with a validation set that is the training corpus."""
    data = recipe.data.model_copy(update={"valid": recipe.data.train})
    with pytest.raises(DataError, match=r"^tiny: .*8 dropped: .*\(overlap\)"):
        preprocess(recipe.model_copy(update={"data": data}))


def test_folder_of_the_user_with_the_name_of_the_work_folder_is_untouched(recipe: Recipe) -> None:
    mine = recipe.data.prepared.with_name("data.parts")
    mine.mkdir()
    (mine / "notes").touch()
    with pytest.raises(DataError, match=f"^{mine}: "):
        preprocess(recipe)
    mine.rename(mine.with_name("elsewhere"))
    preprocess(recipe)
    mine.with_name("elsewhere").rename(mine)
    preprocess(recipe)
    assert [path.name for path in mine.iterdir()] == ["notes"]


@pytest.mark.parametrize("exists", [True, False])
def test_linked_prepared_folder_stays_linked(recipe: Recipe, tmp_path: Path, exists: bool) -> None:
    disk, link = tmp_path / "disk", recipe.data.prepared
    disk.mkdir()
    if exists:
        (disk / "prepared").mkdir()
    link.symlink_to(disk / "prepared")
    preprocess(recipe)
    assert link.is_symlink()
    assert sorted(path.name for path in disk.iterdir()) == ["prepared", "prepared.lock"]
    assert is_current(recipe)


def with_length_tags(recipe: Recipe, **data: object) -> Recipe:
    changed = recipe.data.model_copy(update={"length_tags": True, **data})
    return recipe.with_value("tokenizer.vocabulary_size", 15).model_copy(update={"data": changed})


@pytest.mark.parametrize(
    ("bounds", "counts", "empty"),
    [
        (None, "0 short, 8 normal, 0 long", "short or long"),  # all ratios are 1
        ([0.5, 0.9], "0 short, 0 normal, 8 long", "short or normal"),
    ],
)
def test_length_classes_without_pairs_are_named(
    recipe: Recipe, bounds: list[float] | None, counts: str, empty: str, capsys: pytest.CaptureFixture[str]
) -> None:
    preprocess(with_length_tags(recipe, length_bounds=bounds))
    err = capsys.readouterr().err
    assert f"lengths of training pairs: {counts}\n" in err
    assert f"warning: data.length_bounds: no training pair is {empty} with the bounds" in err


def test_length_classes_with_pairs_cause_no_warning(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    target = Path(str(recipe.data.train["tiny"].files["target"]))
    lines = target.read_text().split("\n")
    lines[0], lines[1] = lines[0] * 3, lines[1][:2]
    target.write_text("\n".join(lines))
    preprocess(with_length_tags(recipe, filters=[]))
    err = capsys.readouterr().err
    assert re.search(r"lengths of training pairs: [1-9]\d* short, [1-9]\d* normal, [1-9]\d* long\n", err)
    assert "warning" not in err
