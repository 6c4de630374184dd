"""Model folders from strangers: anything wrong is one line and exit code 4, and nothing in them is run."""

import io
import json
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_models import write_nllb
from toy_model import save_toy_model

from nmt_cli import files
from nmt_cli.commands.loading import load_model
from nmt_cli.errors import ModelError, NmtError
from nmt_cli.reporting.inspection import describe_path
from nmt_cli.runs.checkpoints import read_tensors
from nmt_cli.runs.directory import count_parameters

WEIGHTS, CONFIG = "model.safetensors", "config.json"
TOKENIZER, VOCABULARY = "tokenizer/tokenizer.json", "tokenizer/joint.vocabulary.json"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def put(model: Path, name: str, content: bytes, hashed: bool = True) -> None:
    """Replace a file, and its hash in the manifest, as an attacker would."""
    (model / name).write_bytes(content)
    if hashed:
        manifest = json.loads((model / "manifest.json").read_bytes())
        files.write_manifest(model, {key: value for key, value in manifest.items() if key != "files"})


def assert_refused(model: Path, seconds: float = 2) -> str:
    """The folder is refused soon, with one line that can be printed and names one of its files."""
    began = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load_model(model)
    message = str(caught.value)
    assert time.monotonic() - began < seconds, message
    assert message.startswith(f"{model}") and "\n" not in message
    message.encode()
    return message


HOSTILE: list[Any] = [None, {}, [], "", -1, 2**31, 10**30, True, "x" * 300, "\ud800", [[]], {"a": 1}, "../../x", "\x00"]


def parts(value: Any, key: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values inside a JSON value, at most three of each list."""
    yield key
    items = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for inner, part in items:
        yield from parts(part, (*key, inner))


def replaced(value: Any, key: tuple[Any, ...], new: Any) -> Any:
    if not key:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key[0]] = replaced(copy[key[0]], key[1:], new)
    return copy


@pytest.mark.parametrize("name", [CONFIG, "manifest.json", TOKENIZER, VOCABULARY])
def test_any_value_in_any_place_is_refused_in_one_line_or_harmless(model: Path, name: str) -> None:
    content, rng = json.loads((model / name).read_bytes()), random.Random(name)
    cases = [(key, new) for key in parts(content) for new in HOSTILE]
    for key, new in rng.sample(cases, min(len(cases), 60)):
        put(model, name, json.dumps(replaced(content, key, new)).encode(), hashed=name != "manifest.json")
        try:
            load_model(model)
        except ModelError as error:
            assert str(error).startswith(f"{model}"), (key, new)
            assert "\n" not in str(error).strip()
            str(error).encode()
        put(model, name, json.dumps(content).encode())


@pytest.mark.parametrize("key", [f"special_tokens.{name}" for name in ("pad", "unk")] + ["sides.joint.segmenter"])
@pytest.mark.parametrize("new", [{}, [], [[1]]])
def test_value_that_cannot_be_a_key_is_refused(model: Path, key: str, new: object) -> None:
    content = json.loads((model / TOKENIZER).read_bytes())
    put(model, TOKENIZER, json.dumps(replaced(content, tuple(key.split(".")), new)).encode())
    assert "tokenizer.json: " in assert_refused(model)


def other_heads(model: Path) -> None:
    config = json.loads((model / CONFIG).read_bytes())
    config["model"]["heads"] = 4
    (model / CONFIG).write_text(json.dumps(config))


def other_order(model: Path) -> None:
    entries = json.loads((model / VOCABULARY).read_bytes())
    (model / VOCABULARY).write_text(json.dumps([*entries[:10], entries[11], entries[10], *entries[12:]]))


def other_normalization(model: Path) -> None:
    (model / TOKENIZER).write_text((model / TOKENIZER).read_text().replace('"normalization": "', '"normalization": "n'))


@pytest.mark.parametrize("change", [other_heads, other_order, other_normalization])
def test_whatever_decides_the_output_is_hashed(model: Path, change: Callable[[Path], None]) -> None:
    change(model)
    assert_refused(model)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, TOKENIZER])
def test_manifest_must_list_what_decides_the_output(model: Path, name: str) -> None:
    manifest = json.loads((model / "manifest.json").read_bytes())
    del manifest["files"][name]
    (model / "manifest.json").write_text(json.dumps(manifest))
    assert "manifest.json: " in assert_refused(model)


def header(value: Any, data: bytes = b"") -> bytes:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return struct.pack("<Q", len(content)) + content + data


def entry(shape: Any = (1,), first: int = 0, end: int = 4, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, end]}


SAFETENSORS = {
    "length 2^60": struct.pack("<Q", 2**60) + b"{}",
    "length past the end": struct.pack("<Q", 100) + b"{}",
    "no header": b"\0" * 7,
    "empty": b"",
    "zeros": bytes(100),
    "100 MB header": header(b"{" + b" " * 100_000_001 + b"}"),
    "not JSON": header(b"\xff\xfe"),
    "list": header([]),
    "deep": header(b'{"a":' + b"[" * 100_000),
    "duplicate keys": header(b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2), bytes(4)),
    "overlap": header({"a": entry(), "b": entry()}, bytes(4)),
    "gap": header({"a": entry(first=4, end=8)}, bytes(8)),
    "negative offset": header({"a": entry(first=-4, end=0)}, bytes(4)),
    "reversed": header({"a": entry(first=4, end=0)}, bytes(4)),
    "unknown dtype": header({"a": entry(dtype="F31")}, bytes(4)),
    "shape overflow": header({"a": entry(shape=[2**62, 2**62])}, bytes(4)),
    "negative shape": header({"a": entry(shape=[-1])}, bytes(4)),
    "float shape": header({"a": entry(shape=[1.5])}, bytes(4)),
    "shape of another size": header({"a": entry(shape=[2])}, bytes(4)),
    "trailing bytes": header({"a": entry()}, bytes(9)),
    "offsets past the end": header({"a": entry(end=2**40, shape=[2**38])}, bytes(4)),
    "no tensors": header({}),
    "another tensor": header({"a": entry()}, bytes(4)),
    "lone surrogate": header(b'{"\\ud800":%s}' % json.dumps(entry()).encode(), bytes(4)),
    "control characters": header({"\x1b]0;x\x07": entry()}, bytes(4)),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_hostile_safetensors_are_refused(model: Path, name: str) -> None:
    put(model, WEIGHTS, SAFETENSORS[name])
    assert WEIGHTS in assert_refused(model)
    try:
        count_parameters(model / WEIGHTS)  # as nmt show does
    except ModelError as error:
        assert WEIGHTS in str(error)


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.path),)


def disguises(canary: str) -> dict[str, bytes]:
    """Formats that can run code when they are read."""
    pickled, found = pickle.dumps(Canary(canary)), {}
    found["pickle"] = pickled
    found["protocol 0"] = pickle.dumps(Canary(canary), protocol=0)
    for name, is_zip in (("torch zip", True), ("torch legacy", False)):
        torch.save({"weights": Canary(canary)}, stream := io.BytesIO(), _use_new_zipfile_serialization=is_zip)
        found[name] = stream.getvalue()
    with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w") as archive:
        (info := tarfile.TarInfo("pickle")).size = len(pickled)
        archive.addfile(info, io.BytesIO(pickled))
    found["tar"] = stream.getvalue()
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as written:
        written.writestr("archive/data.pkl", pickled)
        written.writestr("archive/code/__torch__.py", f"open({canary!r}, 'w')")
    found["TorchScript"] = stream.getvalue()
    np.save(stream := io.BytesIO(), np.array([Canary(canary)], object), allow_pickle=True)
    found["npy"] = stream.getvalue()
    found["yaml"] = f"!!python/object/apply:os.system ['touch {canary}']".encode()
    return found


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, TOKENIZER, VOCABULARY, "tokenizer/joint.model", "manifest.json"])
def test_code_disguised_as_any_file_is_refused_and_not_run(model: Path, tmp_path: Path, name: str) -> None:
    content = (model / name).read_bytes()
    for disguise in disguises(str(tmp_path / "canary")).values():
        put(model, name, disguise, hashed=name != "manifest.json")
        assert_refused(model)
        assert not (tmp_path / "canary").exists()
    put(model, name, content)


def run_inside(folder: Path, *arguments: str) -> bytes:
    """Run `nmt` with a folder as the current one, as its installed script does; return stdout."""
    script = folder.with_name("nmt.py")
    script.write_text("if __name__ == '__main__':\n    from nmt_cli.cli import main\n    main()\n")
    command = [sys.executable, str(script), *arguments, "-q"]
    return subprocess.run(command, cwd=folder, input=b"one\ntwo\n", capture_output=True, check=True, timeout=120).stdout


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_programs_in_a_model_folder_are_never_imported(model: Path, tmp_path: Path, processes: str) -> None:
    names = [
        "model.py",
        "setup.py",
        "sitecustomize.py",
        "torch.py",
        "json.py",
        "multiprocessing.py",
        "tokenizer/__init__.py",
        "__init__.py",
        "conftest.py",
    ]
    for name in names:
        (model / name).write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    config = json.loads((model / CONFIG).read_bytes())
    assert run_inside(model, "translate", ".", "--nproc", processes).count(b"\n") == 2
    assert not (tmp_path / "canary").exists()
    put(model, CONFIG, json.dumps(config | {"auto_map": {"AutoModel": "model.Model"}}).encode())
    assert "auto_map" in assert_refused(model)


@pytest.mark.slow
def test_programs_in_an_imported_folder_are_never_imported(tmp_path: Path) -> None:
    folder = tmp_path / "foreign"
    write_nllb(folder)
    for name in ("torch.py", "json.py", "transformers.py", "safetensors.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    run_inside(folder, "import", ".", "-o", "../verified")
    weights = folder / "model.safetensors"
    torch.save(read_tensors(weights), folder / "pytorch_model.bin")
    weights.unlink()
    run_inside(folder, "import", ".", "-o", "../from_pickle")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("number", [2, 99, 10**30, "2"])
@pytest.mark.parametrize("name", [CONFIG, TOKENIZER])
def test_format_of_a_later_version_is_refused(model: Path, name: str, number: object) -> None:
    content = json.loads((model / name).read_bytes()) | {"format": number}
    put(model, name, json.dumps(content).encode())
    assert name in assert_refused(model)


@pytest.mark.parametrize("size", [2**31, 10**12, 16384, 0, -1])
@pytest.mark.parametrize(
    "key", ["width", "feed_forward", "encoder_layers", "decoder_layers", "heads", "key_value_heads", "vocabulary"]
)
def test_absurd_sizes_are_refused_before_anything_is_allocated(model: Path, key: str, size: int) -> None:
    config = json.loads((model / CONFIG).read_bytes())
    if key == "vocabulary":
        config["vocabulary"]["target_size"] = size
    else:
        config["model"][key] = size
    put(model, CONFIG, json.dumps(config).encode())
    assert_refused(model)


def test_file_that_changes_while_it_is_read_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its hash was compared, as no hash can protect from that."""
    content, read_manifest = (model / WEIGHTS).read_bytes(), files.read_manifest
    for size in (0, 7, 100, len(content) // 2, len(content) - 1):
        put(model, WEIGHTS, content)

        def truncating(*arguments: Any, size: int = size) -> dict[str, Any]:
            found = read_manifest(*arguments)
            (model / WEIGHTS).write_bytes(content[:size])
            return found

        with monkeypatch.context() as patch:
            patch.setattr(files, "read_manifest", truncating)
            assert WEIGHTS in assert_refused(model)


@pytest.mark.slow
def test_read_only_folder_is_read_by_many_and_not_written_to(model: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [model, *model.rglob("*")]}
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    program = "from pathlib import Path; from nmt_cli.commands.loading import load_model; load_model(Path('.'))"
    readers = [subprocess.Popen([sys.executable, "-c", program], cwd=model) for _ in range(4)]
    assert [reader.wait(60) for reader in readers] == [0] * 4
    for path in before:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert {path: path.stat().st_mtime_ns for path in [model, *model.rglob("*")]} == before


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, TOKENIZER, VOCABULARY, "manifest.json", "tokenizer/joint.model"])
@pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty", "/proc/self/mem", "pipe", "."])
def test_device_pipe_or_folder_in_place_of_a_file_is_refused(model: Path, name: str, target: str) -> None:
    (model / name).unlink()
    if target == "pipe":
        os.mkfifo(model / name)
    else:
        (model / name).symlink_to(target)
    assert_refused(model)


def test_other_commands_refuse_a_hostile_folder_too(model: Path) -> None:
    (model / "manifest.json").unlink()
    os.mkfifo(model / "manifest.json")
    with pytest.raises(NmtError, match=r"manifest\.json: "):
        describe_path(model)
