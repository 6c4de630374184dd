"""The wording of the most frequent errors: place, cause and remedy. Other tests match only kind and place.

Errors of settings, with all that a recipe may contain, are in tests/recipe/test_errors.py.
"""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt_cli import files
from nmt_cli.commands.translating.request_reader import InputOptions, parse_factor_files, read_requests
from nmt_cli.data.prepared import open_prepared
from nmt_cli.decoding.constraints.glossary import read_glossary
from nmt_cli.errors import DataError, DivergedError, ModelError, NmtError, RecipeError, ResourceError, RunInUseError
from nmt_cli.evaluation.metrics import score
from nmt_cli.locks import lock
from nmt_cli.processes import ShardSpec
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import check_resumable
from nmt_cli.recipe.training import Training
from nmt_cli.reporting.inspection import describe_path
from nmt_cli.runs.directory import find_model
from nmt_cli.runs.journal import read_journal
from nmt_cli.text.lines import read_lines
from nmt_cli.training.train_state import DataState, TrainState, stop_reason

RECIPE = """\
run: run
data:
  source_language: en
  target_language: de
  prepared: prepared
  train: {x: {source: a, target: b}}
  valid: {x: {source: a, target: b}}
model: {architecture: transformer, preset: tiny}
"""


def write(name: str, content: bytes) -> Path:
    Path(name).write_bytes(content)
    return Path(name)


def recipe(*options: str) -> Any:
    return load_recipe(write("recipe.yaml", RECIPE.encode()), options)


def lock_twice() -> None:
    with lock(Path("run/.lock")), lock(Path("run/.lock")):
        raise AssertionError("locked twice")


def write_to_a_folder() -> None:
    Path("folder").mkdir()
    with files.new_file(Path("folder")):
        raise AssertionError("opened a folder")


def read_a_damaged_folder() -> None:
    Path("model").mkdir()
    write("model/weights", b"1234")
    files.write_manifest(Path("model"), {})
    write("model/weights", b"12")
    files.read_manifest(Path("model"), ModelError)


CASES: list[tuple[Callable[[], object], type[NmtError], str]] = [
    (
        lambda: load_recipe(Path("no.yaml")),
        RecipeError,
        "no.yaml: cannot be read: No such file or directory",
    ),
    (lambda: load_recipe(Path()), RecipeError, ".: is a directory, not a recipe"),
    (lambda: recipe("seed"), RecipeError, "--set seed: is not of the form key=value, as in --set seed=2"),
    (
        lambda: check_resumable(recipe(), recipe("seed=2")),
        RecipeError,
        "seed: was 1 when the run started, is now 2; restore it, or start a new run: with --fresh, or with"
        " training.start_from, which takes the parameters of this one",
    ),
    (lambda: parse_factor_files(["pos"]), RecipeError, "--factors pos: must be NAME=FILE, such as pos=in.pos"),
    (lambda: ShardSpec.parse("3/2"), RecipeError, "--shard 3/2: is not I/N with I from 1 to N, such as 2/8"),
    (
        lambda: list(read_lines(write("text", b"ok\n\xff\n"))),
        DataError,
        "text: line 2: is not UTF-8 at byte 3 of the file (0xff); convert the file,"
        " such as with `iconv -f latin1 -t utf-8`, or correct the line",
    ),
    (
        lambda: list(read_lines(write("text", gzip.compress(b"a" * 99)[:-9]))),
        DataError,
        "text: is damaged gzip (Compressed file ended before the end-of-stream marker was reached);"
        " download or create it again",
    ),
    (lambda: list(read_lines(Path("nowhere"))), DataError, "nowhere: does not exist"),
    (write_to_a_folder, DataError, "folder: is a directory, not a file"),
    (lambda: open_prepared(recipe()), DataError, "prepared: contains no prepared data; run `nmt preprocess` first"),
    (
        lambda: read_glossary(write("terms", b"dog\n")),
        DataError,
        "terms:1: expected source term<TAB>target term, with one tab and no blank term",
    ),
    (
        lambda: list(read_requests(['{"source": 1}'], "input", 1, InputOptions("jsonl"))),
        DataError,
        'input: line 1: is not an object with a string "source"',
    ),
    (
        lambda: score(["a", "b", "c"], [["a", "b"]], Evaluation()),
        DataError,
        "there are 3 hypotheses but 2 references; every line needs a reference",
    ),
    (lambda: describe_path(write("x", b"\0")), DataError, "x: unknown file; it does not seem to be written by nmt"),
    (read_a_damaged_folder, ModelError, "model/weights: is damaged: 2 bytes instead of 4"),
    (lambda: find_model(Path()), ModelError, ".: is not a model, checkpoint or run of nmt"),
    (lambda: find_model(Path("nowhere")), ModelError, "nowhere: does not exist; create a model with nmt train"),
    (
        lambda: read_journal(Path("metrics.jsonl")),
        ModelError,
        "metrics.jsonl: does not exist; it is written by nmt train",
    ),
    (
        lock_twice,
        RunInUseError,
        f"run: is in use by process {os.getpid()} on {os.uname().nodename}; wait for it or stop it",
    ),
]


@pytest.mark.parametrize(("action", "kind", "message"), CASES, ids=[str(index) for index in range(len(CASES))])
def test_error_names_place_cause_and_remedy(
    action: Callable[[], object],
    kind: type[NmtError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NmtError) as caught:
        action()
    assert (type(caught.value), str(caught.value)) == (kind, message)


def test_reason_of_the_end_of_training_names_the_limit() -> None:
    settings = Training.model_validate({"limits": {"updates": 1000, "epochs": 3}, "validation": {"patience": 2}})
    assert stop_reason(settings, TrainState(num_updates=1000)) == (
        "the limit of 1,000 updates is reached (update 1,000, epoch 0.0)"
    )
    assert stop_reason(settings, TrainState(data=DataState(passes=3.0))) == (
        "the limit of 3 epochs is reached (update 0, epoch 3.0)"
    )
    assert stop_reason(settings, TrainState(num_not_improved=2)) == "bleu has not improved in 2 validations"


def test_exit_code_of_each_kind_of_error() -> None:
    kinds = [RecipeError, DataError, ModelError, ResourceError, DivergedError, RunInUseError]
    assert [kind.exit_code for kind in kinds] == [2, 3, 4, 5, 6, 7]
