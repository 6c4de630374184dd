"""What a release consists of: wheel and sdist, lock file, citation, container, and the versions of formats."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import nmt_cli
from nmt_cli.data.preparation.manifest import FORMAT_VERSION
from nmt_cli.recipe.schema import Recipe

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build with the backend of pyproject.toml, which needs no network."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(folder)]
    printed = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True).stdout
    return folder / printed.strip().split("\n")[-1]


@pytest.mark.slow
def test_wheel_built_from_the_sdist_works_in_a_clean_environment(tmp_path: Path) -> None:
    """Its dependencies are those of this environment, as installing torch would take minutes."""
    (tmp_path / "checkout").mkdir()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not tracked:
        pytest.skip("needs the repository")
    names = [name for name in tracked.split("\0") if name.startswith(("nmt_cli/", "README", "LICENSE", "pyproject"))]
    for name in names:
        (target := tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    with tarfile.open(build("sdist", tmp_path / "checkout", tmp_path / "dist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    [unpacked] = (tmp_path / "unpacked").iterdir()
    wheel = build("wheel", unpacked, tmp_path / "dist")
    with zipfile.ZipFile(wheel) as archive:
        installed = {name for name in archive.namelist() if name.startswith("nmt_cli/")}
        assert installed == {name for name in names if name.startswith("nmt_cli/")}
        venv.create(tmp_path / "clean", symlinks=True)
        [packages] = (tmp_path / "clean" / "lib").glob("python*/site-packages")
        archive.extractall(packages)
    (packages / "dependencies.pth").write_text("".join(f"{path}\n" for path in sys.path if "site-packages" in path))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    program = "import nmt_cli, nmt_cli.reporting.rendering as r; print(nmt_cli.__file__); r.render_html('page.css')"
    for arguments in (["-c", program], ["-m", "nmt_cli", "-V"], ["-m", "nmt_cli", "runs", "."]):
        command = [tmp_path / "clean" / "bin" / "python", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if program in arguments:
            assert done.stdout.startswith(str(packages))


def test_lock_file_has_the_constraints_and_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, flags=re.MULTILINE))
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE):
        assert locked.get(re.sub(r"[-_.]+", "-", name).lower(), version) == version, name
    assert {"torch", "numpy", "sentencepiece", "sacrebleu"} <= locked.keys()


def test_every_requirement_of_development_is_pinned_and_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    required, pending = set(project["dependencies"]), ["dev"]
    while pending:
        for requirement in extras[pending.pop()]:
            own = re.fullmatch(r"nmt-cli\[(.*)\]", requirement)
            pending += own[1].split(",") if own else []
            required |= set() if own else {requirement}
    names = {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", each)[0]).lower() for each in required}
    assert {"torch", "nbclient", "onnx"} <= names
    for file in ("constraints.txt", "requirements.lock"):
        pinned = re.findall(r"^([\w.-]+)==", (ROOT / file).read_text(), flags=re.MULTILINE)
        assert names <= {re.sub(r"[-_.]+", "-", each).lower() for each in pinned}, file


def test_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == nmt_cli.__version__


def test_container_is_built_from_files_that_exist() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    metadata = (ROOT / "pyproject.toml").read_text()
    assert {"README.md", "LICENSE"} <= {*kept} & {*re.findall(r'"(\w+(?:\.md)?)"', metadata)}


def test_formats_are_documented() -> None:
    table = (ROOT / "docs" / "installing.md").read_text()
    assert re.search(rf"\| prepared data \|.*\| {FORMAT_VERSION} \|", table)
    assert re.search(rf"\| recipe \|.*\| {Recipe.model_fields['format'].default} \|", table)
