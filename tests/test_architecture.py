"""Rules for the package's source: sizes, names, layers, and calls that would endanger text or users."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
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


def names(text: str) -> set[str]:
    return set(text.split())


@cache
def syntax(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


@cache
def nodes(file: Path) -> list[ast.AST]:
    return list(ast.walk(syntax(file)))


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def offenders(find: Callable[[Path], object]) -> dict[str, object]:
    """Return what `find` returns for each file of the package for which that is not empty."""
    return {str(file.relative_to(PACKAGE)): found for file in FILES if (found := find(file))}


def dotted(node: ast.AST) -> str:
    """Return a name such as `os.path.join` as it is written; empty for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


@cache
def mentions(file: Path) -> set[str]:
    """Return all dotted names, and imported names with and without their module."""
    found = {dotted(node) for node in nodes(file) if isinstance(node, ast.Name | ast.Attribute)}
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


@cache
def calls(file: Path) -> set[str]:
    """Return the names of all called functions as written; for methods also `.name`."""
    functions = [node.func for node in nodes(file) if isinstance(node, ast.Call)]
    methods = {f".{node.attr}" for node in functions if isinstance(node, ast.Attribute)}
    return {dotted(node) for node in functions} | methods


def test_module_docstring_begins_with_one_line() -> None:
    def missing(file: Path) -> bool:
        docstring = ast.get_docstring(syntax(file))
        return not docstring or "\n" in docstring.split("\n\n")[0]

    assert not offenders(missing)


def test_files_have_at_most_300_lines() -> None:
    assert not offenders(lambda file: file.read_bytes().count(b"\n") > 300)


def test_functions_have_at_most_60_lines() -> None:
    def long_functions(file: Path) -> list[str]:
        functions = [node for node in nodes(file) if isinstance(node, FUNCTIONS)]
        return [node.name for node in functions if (node.end_lineno or node.lineno) - node.lineno + 1 > 60]

    assert not offenders(long_functions)


def test_module_names_are_specific() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "misc", "base", "manager"}
    assert not offenders(lambda file: vague & set(re.split(r"[/_.]", str(file.relative_to(PACKAGE)))))


def test_public_functions_and_classes_have_docstrings() -> None:
    def undocumented(file: Path) -> list[str]:
        public = [node for node in syntax(file).body if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
        return [node.name for node in public if not node.name.startswith("_") and not ast.get_docstring(node)]

    assert not offenders(undocumented)


def test_only_devices_reads_the_environment() -> None:
    found = offenders(lambda file: mentions(file) & {"os.environ", "os.getenv", "os.environb"})
    assert set(found) <= {"devices.py", "processes/import_path.py"}


def test_python_processes_do_not_import_from_the_current_folder() -> None:
    for file in FILES:
        for node in nodes(file):
            if isinstance(node, ast.List) and node.elts and dotted(node.elts[0]) == "sys.executable":
                assert ast.literal_eval(node.elts[1]) == "-P", file


def test_no_file_from_elsewhere_can_run_code() -> None:
    modules = {"pickle", "dill", "marshal", "shelve", "torch.load", "numpy.load", "np.load"}
    functions = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
    found = offenders(lambda file: mentions(file) & modules | calls(file) & functions)
    assert found == {"interop/huggingface/torch_weights.py": {"torch.load"}}
    loads = [
        node for node in nodes(PACKAGE / "interop" / "huggingface" / "torch_weights.py") if isinstance(node, ast.Call)
    ]
    (load,) = [node for node in loads if dotted(node.func) == "torch.load"]
    assert any(each.arg == "weights_only" and ast.literal_eval(each.value) is True for each in load.keywords)


def test_lines_are_split_at_newlines_only() -> None:
    assert not offenders(lambda file: ".splitlines" in calls(file))


def test_no_folder_outgrows_ten_files() -> None:
    counts = Counter(str(file.parent.relative_to(PACKAGE)) for file in FILES if file.name != "__init__.py")
    del counts["commands"], counts["cli"]  # one file for each command
    assert not {folder: count for folder, count in counts.items() if count > 10}


def type_names(file: Path) -> Iterator[str]:
    """Yield the public classes, protocols and type aliases that a module defines."""
    for node in syntax(file).body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name):
                    yield name


def test_type_names_are_unique_in_the_package() -> None:
    modules = defaultdict(list)
    for file in FILES:
        for name in type_names(file):
            if not name.startswith("_"):
                modules[name].append(module_name(file))
    assert not {name: where for name, where in modules.items() if len(where) > 1}


RETIRED_WORDS = names(
    "anew heard mended mender portion portions said seen shield shields sieve sieved sieves slab slabs sparing "
    "told waves wished wishes workshop"
)
"""Not allowed as a word of any identifier."""
RETIRED_NAMES = names(
    "believe chance cut cuts feed hits house layered_settings likely look looked looks mistake mistakes "
    "number_oov numbered place places remember remembered room share shares sift sifted spread taking tell thinks whole"
)
"""Not allowed as an identifier; standard compounds such as `feed_forward` are fine."""


def identifiers(file: Path) -> Iterator[str]:
    """Yield the names that a module defines or uses: functions, classes, arguments, variables, attributes, itself."""
    yield file.stem
    for node in nodes(file):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name) | ast.Attribute(attr=name):
                yield name


def is_retired(identifier: str) -> bool:
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().strip("_")
    return name in RETIRED_NAMES or not RETIRED_WORDS.isdisjoint(name.split("_"))


def test_retired_names_are_not_used() -> None:
    assert not offenders(lambda file: set(filter(is_retired, identifiers(file))))


def imported_modules(file: Path) -> set[str]:
    """Return the modules of the package that a module imports, wherever in it the statement is."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_imports_form_no_cycle() -> None:
    modules = {module_name(file): file for file in FILES}
    imports = {name: imported_modules(file) & set(modules) - {name} for name, file in modules.items()}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


READ_BY_THE_RECIPE = {
    "candidates",  # of minimum Bayes risk, becomes n_best of the search for candidates
    "preset",  # provides default sizes
    "architecture",  # selects the class of the section, which selects the model
    "strategy",  # selects the class of the section, which selects the search
}


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield every section class that an annotation mentions, and those inside it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from sections(field.annotation)
    for argument in get_args(annotation):
        yield from sections(argument)


def test_every_recipe_setting_is_read() -> None:
    settings = {name for section in sections(Recipe) for name in section.model_fields}
    elsewhere = [file for file in FILES if file.parent != PACKAGE / "recipe"]
    read = {node.attr for file in elsewhere for node in ast.walk(syntax(file)) if isinstance(node, ast.Attribute)}
    assert "update_tokens" in settings
    assert not settings - read - READ_BY_THE_RECIPE


def test_imports_follow_the_layers() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    checked = subprocess.run([sys.executable, "-c", program, "--no-cache"], cwd=ROOT, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout.decode()


def test_command_line_imports_neither_torch_nor_numpy() -> None:
    program = "import sys, nmt_cli.cli; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True).stdout
    assert not set(printed.decode().split()) & {"torch", "numpy", "sentencepiece", "sacrebleu"}


def test_help_takes_less_than_a_third_of_a_second_of_processor_time() -> None:
    assert min(cpu_seconds("--help") for _ in range(5)) < 1 / 3


def cpu_seconds(*arguments: str) -> float:
    """Return the processor time of one run of nmt, user and system."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt_cli", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    with process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime
