"""Full and read-only disks, planted links, few descriptors, odd clocks, umasks and environments; no network."""

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from forked_runs import copy_run, outcome, records, start_command
from tmpfs import fill, mount, remount_read_only
from toy_model import save_toy_model

from nmt_cli import files
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.train import train
from nmt_cli.commands.translators import create_translator
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.results import TranslationStats
from nmt_cli.errors import DataError
from nmt_cli.runs.checkpoints import last_good_checkpoint, save_checkpoint
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.text.lines import read_lines

SHORT = ["training.limits.updates=2", "training.validation.every=2", "decoding.beam_size=1"]
OPTIONS = [f"--set={setting}" for setting in SHORT]
TRAIN = ["train", "recipe.yaml", *OPTIONS]
EVALUATE = ["evaluate", "--set=evaluation.resamples=null"]
pytestmark = pytest.mark.slow


def assert_fails(arguments: list[str], code: int, *expected: str) -> None:
    forked = start_command(arguments)
    assert forked.exit_code() == code, forked.stderr
    assert "Traceback" not in forked.stderr
    assert forked.stderr.count("nmt: error: ") == 1, forked.stderr
    for text in expected:
        assert text in forked.stderr


@pytest.mark.parametrize("is_read_only", [False, True])
def test_every_command_reports_a_full_or_read_only_disk_in_one_line(recipe: Path, is_read_only: bool) -> None:
    train(recipe, SHORT, Path("trained"))
    with mount(Path("disk"), "2m") as disk:
        shutil.copytree("trained", "disk/run")
        shutil.copytree("prepared", "disk/prepared")
        if is_read_only:
            remount_read_only(disk)
        else:
            fill(disk)
        before = outcome("disk/run")
        assert_fails(["preprocess", "recipe.yaml", "--set=data.prepared=disk/new"], 5, "disk/new")
        assert_fails([*TRAIN, "--run=disk/new"], 5, "disk/new")
        assert_fails([*TRAIN, "--run=disk/run", "--set=training.limits.updates=4"], 5, "disk/run")
        assert_fails([*EVALUATE, "disk/run"], 5, "disk/run")
        assert_fails(["report", "disk/run", "--attention=0"], 5, "disk/run/report.html")
        assert_fails(["translate", "disk/run", "--input=dev.en", "--output=disk/out"], 5, "disk/out")
        assert {**outcome("disk/run"), "names": None} == {**before, "names": None}
        assert not files.leftovers(disk)


LINKS = [
    *(".lock", "run.json", "recipe.yaml", "resolved.yaml", "metrics.jsonl", "train.log", "report.html"),
    *("checkpoints", "checkpoints/last.json", "checkpoints/step_3", "checkpoints/step_2", "model", "model/config.json"),
    *("tokenizer", "evaluation", "evaluation/test", "evaluation/test/.lock", "evaluation/test/scores.json"),
]


@pytest.mark.parametrize("target", ["copy", "missing"])
def test_nothing_is_written_through_links_in_a_run(recipe: Path, target: str) -> None:
    train(recipe, SHORT, Path("trained"))
    Path("outside").mkdir()
    for name in LINKS:
        link, outside = Path(copy_run("trained", "run"), name), Path("outside", name.replace("/", "-"))
        link.parent.mkdir(parents=True, exist_ok=True)
        if target == "copy" and link.exists():
            link.rename(outside)
        elif target == "copy":
            outside.write_text("process 1 on elsewhere")
        else:
            files.remove(link)
        link.symlink_to(outside.resolve())
        arguments = [*TRAIN, "--run=run", "--set=training.limits.updates=3"]
        if name == "report.html":
            arguments = ["report", "run", "--attention=0"]
        elif name.startswith("evaluation"):
            arguments = [*EVALUATE, "run"]
        before = {path: path.read_bytes() for path in Path("outside").rglob("*") if path.is_file()}
        forked = start_command(arguments)
        assert forked.exit_code() in (0, 2, 3, 4, 5), forked.stderr
        assert "Traceback" not in forked.stderr, (name, forked.stderr)
        after = {path: path.read_bytes() for path in Path("outside").rglob("*") if path.is_file()}
        assert after == before, (name, arguments)


def test_linked_run_stays_linked(recipe: Path) -> None:
    Path("disk").mkdir()
    Path("run").symlink_to("disk/run")
    for _ in range(2):
        forked = start_command([*TRAIN, "--fresh"])
        assert forked.exit_code() == 0, forked.stderr
        assert Path("run").is_symlink()
    assert sorted(path.name for path in Path("disk").iterdir()) == ["run", "run.old1"]
    assert outcome("disk/run.old1")["model/model.safetensors"] == outcome("disk/run")["model/model.safetensors"]


def test_few_file_descriptors_are_reported_and_leave_no_parts(recipe: Path) -> None:
    expected, codes = sorted(path.name for path in Path("prepared").rglob("*")), set()
    in_use = len(list(Path("/proc/self/fd").iterdir()))
    for number in (1, 4, 7, 10, 100):
        files.remove(Path("prepared"))
        limit = (in_use + number, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        forked = start_command(
            ["preprocess", "recipe.yaml"],
            before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),  # noqa: B023
        )
        codes.add(forked.exit_code())
        assert "Traceback" not in forked.stderr, forked.stderr
        assert Path("prepared").exists() == (forked.exit_code() == 0)
    assert codes == {0, 5}
    assert sorted(path.name for path in Path("prepared").rglob("*")) == expected


@pytest.mark.parametrize("umask", [0o027, 0o077])
def test_modes_of_all_files_follow_the_umask(recipe: Path, umask: int) -> None:
    files.remove(Path("prepared"))
    Path("prepared.lock").unlink()
    commands = [["preprocess", "recipe.yaml"], TRAIN, [*EVALUATE, "run"], ["report", "run", "--attention=0"]]
    for arguments in [*commands, ["translate", "run", "--input=dev.en", "--output=out"]]:
        forked = start_command(arguments, before=lambda: os.umask(umask))
        assert forked.exit_code() == 0, forked.stderr
    written = [Path("out"), Path("out.nmt.json"), Path("prepared.lock")]
    written += [path for folder in ("prepared", "run") for path in [Path(folder), *Path(folder).rglob("*")]]
    modes = {path: path.stat().st_mode & 0o777 for path in written}
    wrong = {path for path, mode in modes.items() if mode != (0o777 if path.is_dir() else 0o666) & ~umask}
    assert not wrong


def test_clock_that_jumps_changes_no_duration_and_no_limit(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + (-1) ** next(jumps) * 365 * 86400)
    train(recipe, [*SHORT, "training.limits.minutes=60", "training.logging.every=1"], Path("run"))
    assert len(records("run", "train")) == 2
    for record in records("run", "train"):
        assert record["target_tokens_per_second"] > 0
        assert 0 <= record["data_wait_fraction"] <= 1
    assert 0 <= files.read_json(Path("run/run.json"))["seconds"] < 3600


def test_newest_checkpoint_is_that_of_the_highest_update(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for update, moment in ((5, 2**31), (50, 0), (9, 10**9)):
        save_checkpoint(run, update, {"weight": torch.ones(1)}, {}, {"num_updates": update})
        os.utime(run.checkpoint(update), (moment, moment))
    assert last_good_checkpoint(run) == run.checkpoint(50)


def test_unreadable_sector_is_a_data_error(recipe: Path) -> None:
    """The first page of a process cannot be read, like a bad sector of a disk."""
    with pytest.raises(DataError, match=r"^/proc/self/mem: "):
        list(read_lines(Path("/proc/self/mem")))
    assert_fails(["preprocess", "recipe.yaml", "--set=data.train.digits.source=/proc/self/mem"], 3, "/proc/self/mem: ")


def test_translations_that_never_end_are_truncated_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(save_toy_model(tmp_path / "model", max_length_ratio=2.0))
    step, eos = type(loaded.model).step, loaded.tokenizer.special_tokens.eos

    def endless(*arguments: torch.Tensor) -> object:
        logits, cache = step(*arguments)
        logits[..., eos] = -torch.inf
        return logits, cache

    monkeypatch.setattr(type(loaded.model), "step", endless)
    lines = ["one", "two three", "four five six " * 5]
    translations = list(create_translator(loaded).translate([Request(line) for line in lines]))
    stats = TranslationStats.count(translations)
    assert (stats.lines, stats.truncated) == (3, 3)
    assert any("truncated" in warning for warning in stats.warnings())
    lengths = [len(loaded.tokenizer.encode_target([each.best.text])[0]) for each in translations]
    sizes = [len(row) for row in loaded.tokenizer.encode_source(lines)]
    assert all(length <= 2 * size + 20 for length, size in zip(lengths, sizes, strict=True))


def test_translation_needs_no_network_no_locale_and_no_home(tmp_path: Path) -> None:
    model = save_toy_model(tmp_path / "model")
    (tmp_path / "in").write_bytes("one two\nübung 漢字\n\nthree\n".encode())
    program = f"import sys; sys.path[:0] = {sys.path!r}; from nmt_cli import cli; cli.main()"
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    command = ["unshare", "-n", sys.executable, "-c", program, "translate", str(model), "-q"]
    if subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False).returncode:
        command = command[2:]
    with mount(tmp_path / "temporary", "64k") as temporary:
        remount_read_only(temporary)
        for name, variables in (("plain", dict(os.environ)), ("bare", environment | {"TMPDIR": str(temporary)})):
            with (tmp_path / "in").open("rb") as given, (tmp_path / name).open("wb") as output:
                subprocess.run(command, stdin=given, stdout=output, env=variables, check=True, timeout=300)
    assert (tmp_path / "bare").read_bytes() == (tmp_path / "plain").read_bytes()
    assert (tmp_path / "bare").read_bytes().count(b"\n") == 4
