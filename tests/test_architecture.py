"""The house stays as it was built: sizes, names, layers, and nothing that endangers text or users."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

import nmt_cli
from nmt_cli.recipe.schema import Recipe

ROOT = Path(__file__).parents[1]
PACKAGE = Path(nmt_cli.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

each_file = pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES])


@cache
def syntax(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def dotted(node: ast.AST) -> str:
    """`os.path.join` as it is written; empty if the expression is anything but names and dots."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


@cache
def mentions(file: Path) -> set[str]:
    """All dotted names, and imported ones with their module in front."""
    found = {dotted(node) for node in ast.walk(syntax(file)) if isinstance(node, ast.Name | ast.Attribute)}
    for node in ast.walk(syntax(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


@cache
def calls(file: Path) -> set[str]:
    """What is called, as it is written; of a method of any other expression only the name, after a dot."""
    return {dotted(node.func) for node in ast.walk(syntax(file)) if isinstance(node, ast.Call)} | {
        f".{node.func.attr}"
        for node in ast.walk(syntax(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


@each_file
def test_a_module_opens_with_its_job_in_one_line(file: Path) -> None:
    described = ast.get_docstring(syntax(file))
    assert described
    assert described.split("\n\n")[0].count("\n") == 0


@each_file
def test_files_and_functions_stay_short(file: Path) -> None:
    assert file.read_bytes().count(b"\n") <= 300
    long = [
        node.name
        for node in ast.walk(syntax(file))
        if isinstance(node, FUNCTIONS) and (node.end_lineno or node.lineno) - node.lineno >= 60
    ]
    assert not long


@each_file
def test_names_say_what_is_inside(file: Path) -> None:
    empty_words = {"util", "utils", "helper", "helpers", "common", "misc", "base", "manager"}
    words = {word for part in file.relative_to(PACKAGE).with_suffix("").parts for word in part.split("_")}
    assert not words & empty_words


@each_file
def test_what_others_may_call_is_explained(file: Path) -> None:
    silent = [
        node.name
        for node in syntax(file).body
        if isinstance(node, (*FUNCTIONS, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent


@each_file
def test_only_devices_reads_the_environment(file: Path) -> None:
    reads = mentions(file) & {"os.environ", "os.getenv", "os.environb"}
    assert not reads or file == PACKAGE / "devices.py"


@each_file
def test_no_file_from_elsewhere_can_run_code(file: Path) -> None:
    dangerous = {"pickle", "dill", "marshal", "shelve", "torch.load", "numpy.load", "np.load"}
    assert not mentions(file) & dangerous
    assert not calls(file) & {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}


@each_file
def test_lines_end_at_newlines_only(file: Path) -> None:
    assert ".splitlines" not in calls(file)


def test_no_folder_outgrows_ten_files() -> None:
    counts = Counter(str(file.parent.relative_to(PACKAGE)) for file in FILES if file.name != "__init__.py")
    del counts["commands"], counts["cli"]  # one file for each verb
    assert not {folder: count for folder, count in counts.items() if count > 10}


READ_BY_THE_RECIPE_ITSELF = {
    "preset",  # fills in the sizes of the model
    "architecture",  # chooses the class of the section, and that the model
    "strategy",  # chooses the class of the section, and that the search
}


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every section that an annotation can hold, and those inside it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from sections(field.annotation)
    for argument in get_args(annotation):
        yield from sections(argument)


def test_every_setting_of_a_recipe_has_an_effect() -> None:
    settings = {name for section in sections(Recipe) for name in section.model_fields}
    elsewhere = [file for file in FILES if file.parent != PACKAGE / "recipe"]
    read = {node.attr for file in elsewhere for node in ast.walk(syntax(file)) if isinstance(node, ast.Attribute)}
    assert "update_tokens" in settings
    assert not settings - read - READ_BY_THE_RECIPE_ITSELF


def test_imports_point_down_and_neighbours_keep_apart() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    checked = subprocess.run([sys.executable, "-c", program, "--no-cache"], cwd=ROOT, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout.decode()


def test_the_command_line_needs_neither_torch_nor_numpy() -> None:
    program = "import sys, nmt_cli.cli; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True).stdout
    assert not set(printed.decode().split()) & {"torch", "numpy", "sentencepiece", "sacrebleu"}


def test_help_takes_less_than_a_third_of_a_second() -> None:
    assert min(cpu_seconds("--help") for _ in range(5)) < 1 / 3


def cpu_seconds(*arguments: str) -> float:
    """Processor time, user's and system's, of one start of nmt."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt_cli", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    with process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
