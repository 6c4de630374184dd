"""A killed job leaves no valid partial data, and resumes."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from preparing import MakeRecipe, contents

from nmt_cli.data.preparation.preparing import prepare, remove_leftovers
from nmt_cli.data.prepared import is_current, open_prepared
from nmt_cli.errors import DataError
from nmt_cli.locks import lock
from nmt_cli.recipe.schema import Recipe

KILL = "os.kill(os.getpid(), signal.SIGKILL)"
KILLED_AT = {
    "training": f"preparing.train_tokenizer = lambda *_: {KILL}",
    "writing": f"shards._sizes = lambda *_: {KILL}",
    "merging": f"preparing.apply_key_filters = lambda *_: {KILL}",
    "manifest": f"files.write_manifest = lambda *_: {KILL}",
    "renaming": f"rename = Path.rename; Path.rename = lambda p, q: {KILL} if q.name == 'prepared' else rename(p, q)",
}


@pytest.mark.parametrize(
    "moment",
    ["manifest", *(pytest.param(moment, marks=pytest.mark.slow) for moment in KILLED_AT if moment != "manifest")],
)
def test_kill_leaves_no_valid_partial_data(make_recipe: MakeRecipe, moment: str) -> None:
    old = make_recipe()
    prepare(old)
    new = make_recipe(vocabulary_size=310)
    assert run_in_new_process(new, f"{KILLED_AT[moment]}; prepare(recipe)") == -signal.SIGKILL
    assert not is_current(new)
    with pytest.raises(DataError, match=re.escape(str(new.data.prepared))):
        open_prepared(new)
    prepare(new)
    after_kill = contents(new.data.prepared)
    shutil.rmtree(new.data.prepared)
    prepare(new)
    assert contents(new.data.prepared) == after_kill
    assert {path.name for path in new.data.prepared.parent.glob("prepared*")} == {"prepared", "prepared.lock"}


@pytest.mark.slow
def test_kill_while_old_data_is_removed_leaves_new_data_complete(make_recipe: MakeRecipe) -> None:
    prepare(make_recipe())
    new = make_recipe(vocabulary_size=310)
    kill = f"shutil.rmtree = lambda path: ((path / 'train/corpus/00000/source.bin').unlink(), {KILL})"
    assert run_in_new_process(new, f"{kill}; prepare(recipe)") == -signal.SIGKILL
    assert is_current(new)
    after_kill = contents(new.data.prepared)
    prepare(new)
    assert contents(new.data.prepared) == after_kill
    assert [path.name for path in new.data.prepared.parent.glob("*.tmp")] == []


@pytest.mark.slow
def test_kill_while_work_folder_is_removed_leaves_no_valid_shards(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    folder = recipe.data.prepared
    kill = f"shutil.rmtree = lambda path: ((path / 'train/corpus/00000/source.bin').unlink(), {KILL})"
    assert run_in_new_process(recipe, f"{kill}; prepare(recipe)") == -signal.SIGKILL
    assert is_current(recipe)
    whole = contents(folder)
    shutil.rmtree(folder)
    prepare(recipe)
    assert contents(folder) == whole

    assert run_in_new_process(recipe, f"{kill}; prepare(recipe)") == -signal.SIGKILL
    assert {path.name for path in folder.parent.glob("prepared*")} > {"prepared", "prepared.lock"}
    remove_leftovers(folder)
    assert {path.name for path in folder.parent.glob("prepared*")} == {"prepared", "prepared.lock"}
    assert contents(folder) == whole


def test_leftovers_of_a_running_job_are_kept(make_recipe: MakeRecipe) -> None:
    folder = make_recipe().data.prepared
    folder.with_name("prepared.parts").mkdir()
    folder.with_name("prepared.parts").joinpath(".nmt").touch()
    with lock(folder.with_name("prepared.lock"), shared=True):
        remove_leftovers(folder)
        assert folder.with_name("prepared.parts").exists()
    remove_leftovers(folder)
    assert not folder.with_name("prepared.parts").exists()


def run_in_new_process(recipe: Recipe, statements: str) -> int:
    program = (
        "import os, shutil, signal, sys\n"
        "from pathlib import Path\n"
        "from nmt_cli import files\n"
        "from nmt_cli.data.preparation import preparing, shards\n"
        "from nmt_cli.data.preparation.preparing import prepare\n"
        "from nmt_cli.recipe.schema import Recipe\n"
        "recipe = Recipe.model_validate_json(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", program + statements, recipe.model_dump_json()]
    return subprocess.run(command, env=os.environ, check=False).returncode
