"""Outputs that are up to date are not made again."""

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from shouting import Shouting

from nmt_cli import files
from nmt_cli.commands import translate as command
from nmt_cli.commands.model_config import ModelConfig
from nmt_cli.commands.translate import translate
from nmt_cli.commands.translating.outputs import describe_model
from nmt_cli.commands.translating.request_reader import InputOptions
from nmt_cli.decoding.constraints.glossary import read_glossary
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.decoding.results import TranslationStats
from nmt_cli.errors import ModelError, NmtError
from nmt_cli.processes import ALL_SHARDS, ShardSpec
from nmt_cli.text.special_tokens import SpecialTokens, VocabularySpec
from nmt_cli.text.terms import read_terms

MODEL = TranslateOptions((Path("model"),))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some lines, and a model that can be found but is never loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "TranslatorFactory", Shouting)
    monkeypatch.setattr(command, "count_context_lines", lambda options: 0)
    Path("in").write_bytes(b"one\ntwo\nthree\n")
    write_model("model", 1)


def write_model(name: str, weights: int) -> None:
    config = ModelConfig.model_validate(
        {
            "format": 1,
            "source_language": "en",
            "target_language": "de",
            "vocabulary": VocabularySpec(9, 9, SpecialTokens(0, 1, 2, 3, 2)),
            "model": {"architecture": "transformer", "preset": "tiny"},
            "decoding": {},
            "evaluation": {},
            "longest_sentence": weights,
        }
    )
    with files.new_folder(Path(name)) as model:
        files.write_json(model / "config.json", config.model_dump(mode="json"))
        files.write_manifest(model, {})


def is_done_again(options: TranslateOptions = MODEL, source: str = "in", shard: ShardSpec = ALL_SHARDS) -> bool:
    """Whether `out` was written by a further translation."""
    os.utime("out", (1, 1))
    translate(options, Path(source), Path("out"), processes=1, shard=shard)
    return Path("out").stat().st_mtime != 1


@pytest.fixture
def done() -> None:
    translate(MODEL, Path("in"), Path("out"), processes=1)


@pytest.mark.usefixtures("done")
class TestDone:
    def test_same_input_and_model_are_up_to_date(self) -> None:
        assert not is_done_again()
        assert translate(MODEL, Path("in"), Path("out"), processes=1).is_up_to_date
        assert Path("out").read_bytes() == b"ONE\nTWO\nTHREE\n"

    def test_moved_or_touched_input_is_up_to_date(self) -> None:
        Path("in").rename("elsewhere")
        os.utime("elsewhere", (time.time() + 9, time.time() + 9))
        assert not is_done_again(source="elsewhere")

    def test_changed_input_is_translated(self) -> None:
        Path("in").write_bytes(b"one\ntwo\nTHREE\n")
        assert is_done_again()

    def test_longer_input_is_translated(self) -> None:
        with Path("in").open("ab") as more:
            more.write(b"four\n")
        assert is_done_again()
        assert Path("out").read_bytes() == b"ONE\nTWO\nTHREE\nFOUR\n"

    def test_changed_model_translates_again(self) -> None:
        write_model("model", 2)
        assert is_done_again()

    def test_changed_settings_translate_again(self) -> None:
        assert is_done_again(TranslateOptions((Path("model"),), overrides=("decoding.beam_size=1",)))

    def test_other_shard_is_translated(self) -> None:
        assert is_done_again(shard=ShardSpec(1, 2))
        assert not is_done_again(shard=ShardSpec(1, 2))
        assert is_done_again(shard=ShardSpec(2, 2))

    def test_changed_output_is_replaced(self) -> None:
        Path("out").write_bytes(b"ONE\nTWO\n")
        assert is_done_again()

    def test_missing_output_is_made(self) -> None:
        Path("out").unlink()
        translate(MODEL, Path("in"), Path("out"), processes=1)
        assert Path("out").exists()

    @pytest.mark.parametrize("damage", [b"", b"[]", b"{", b'{"origin": 1}'])
    def test_damaged_sidecar_is_ignored(self, damage: bytes) -> None:
        Path("out.nmt.json").write_bytes(damage)
        assert is_done_again()

    def test_sidecar_describes_input_model_and_output(self) -> None:
        sidecar = json.loads(Path("out.nmt.json").read_bytes())

        assert sidecar["lines"] == 3
        assert sidecar["output"] == {"bytes": 14, "sha256": files.sha256(Path("out"))}
        assert sidecar["origin"]["input"] == {"first_line": 1, "bytes": 14, "sha256": files.sha256(Path("in"))}
        assert sidecar["origin"]["models"] == [{"manifest.json": files.sha256(Path("model/manifest.json"))}]


@contextmanager
def pipe(content: bytes) -> Iterator[Path]:
    """A path that can be read once, as `<(command)` gives one."""
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    yield Path(f"/dev/fd/{reader}")
    os.close(reader)


@pytest.mark.parametrize("option", ["prefixes", "factors"])
def test_other_contents_of_any_file_translate_again(option: str) -> None:
    def is_done(path: Path) -> bool:
        given = path if option == "prefixes" else {"pos": path}
        return not translate(
            MODEL, Path("in"), Path("out"), processes=1, input_options=InputOptions(**{option: given})
        ).is_up_to_date

    for content in (b"a\na\na\n", b"b\nb\nb\n"):
        Path("given").write_bytes(content)
        assert is_done(Path("given"))
        assert not is_done(Path("given"))
        with pipe(content) as path:
            assert is_done(path)


def test_other_glossary_translates_again() -> None:
    for target in ("x", "y"):
        with pipe(f"one\t{target}\n".encode()) as path:
            assert is_done_again_after_first(TranslateOptions(MODEL.models, glossary=read_glossary(path)))
        with pipe(f"{target}\n".encode()) as path:
            assert is_done_again_after_first(TranslateOptions(MODEL.models, bad_words=read_terms(path)))


def is_done_again_after_first(options: TranslateOptions) -> bool:
    return not translate(options, Path("in"), Path("out"), processes=1).is_up_to_date


def test_file_that_changes_during_translation_leaves_no_sidecar(monkeypatch: pytest.MonkeyPatch) -> None:
    options = InputOptions(prefixes=Path("given"))
    Path("given").write_bytes(b"a\na\na\n")
    stream = command.translate_stream

    def changing(*arguments: Any) -> TranslationStats:
        found = stream(*arguments)
        Path("given").write_bytes(b"b\nb\nb\n")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(command, "translate_stream", changing)
        translate(MODEL, Path("in"), Path("out"), processes=1, input_options=options)
    assert not Path("out.nmt.json").exists()
    assert not translate(MODEL, Path("in"), Path("out"), processes=1, input_options=options).is_up_to_date


@pytest.mark.parametrize("content", [b"", b"[]", b"my notes", b'{"origin": 1}'])
def test_file_of_the_user_with_the_name_of_the_sidecar_is_untouched(content: bytes) -> None:
    Path("out.nmt.json").write_bytes(content)
    for _ in range(2):
        assert not translate(MODEL, Path("in"), Path("out"), processes=1).is_up_to_date
        assert Path("out.nmt.json").read_bytes() == content


RACE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from shouting import Shouting
from nmt_cli import cli
from nmt_cli.commands import translate
translate.TranslatorFactory = Shouting
translate.count_context_lines = lambda options: 0
sys.argv[0] = "nmt"
cli.main()
"""


@pytest.mark.long
@pytest.mark.slow
def test_racing_translations_to_one_file_do_not_mix() -> None:
    for name in "abc":
        Path(name).write_bytes(f"{name * 50}\n".encode() * (2000 if name == "a" else 3000))
    command = [sys.executable, "-c", RACE, "translate", "model", "-q", "-o", "out", "-i"]
    for _ in range(3):
        racers = [subprocess.Popen([*command, name], stderr=subprocess.PIPE) for name in "abc"]
        for racer in racers:
            messages = racer.communicate(timeout=60)[1]
            assert racer.returncode in (0, 7) and b"Traceback" not in messages, messages
        assert Path("out").read_bytes() in [Path(name).read_bytes().upper() for name in "abc"]
        assert not files.leftovers(Path.cwd())
        for name in "abc":  # the sidecar does not vouch for another's translations
            translate(MODEL, Path(name), Path("out"), processes=1)
            assert Path("out").read_bytes() == Path(name).read_bytes().upper()


def test_wrong_number_of_lines_is_never_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "translate_stream", lambda *arguments: TranslationStats(4))
    with pytest.raises(NmtError, match=r"^out: "):
        translate(MODEL, Path("in"), Path("out"), processes=1)
    assert not Path("out").exists() and not Path("out.nmt.json").exists()


def test_foreign_output_is_replaced() -> None:
    Path("out").write_bytes(b"old\n")
    assert is_done_again()
    assert not is_done_again()


def test_equal_shards_differ_by_line_numbers() -> None:
    """The numbers of their lines differ."""
    Path("in").write_bytes(b"one\none\n")
    translate(MODEL, Path("in"), Path("out"), processes=1, shard=ShardSpec(1, 2))
    assert is_done_again(shard=ShardSpec(2, 2))


def test_compressed_input_is_up_to_date() -> None:
    Path("in.gz").write_bytes(gzip.compress(b"one\n"))
    translate(MODEL, Path("in.gz"), Path("out"), processes=1)
    assert not is_done_again(source="in.gz")


def test_devices_have_no_sidecar() -> None:
    translate(MODEL, Path("in"), Path("/dev/null"), processes=1)
    assert not Path("/dev/null.nmt.json").exists()


def test_missing_model_is_reported() -> None:
    with pytest.raises(ModelError, match=r"^nowhere: "):
        translate(TranslateOptions((Path("nowhere"),)), Path("in"), Path("out"), processes=1)


def test_language_model_of_the_search_is_part_of_the_model() -> None:
    write_model("lm", 1)
    settings = ["decoding.language_model={path: lm}"]
    before = describe_model(Path("model"), settings)
    assert describe_model(Path("model"), settings) == before != describe_model(Path("model"))

    write_model("lm", 2)
    assert describe_model(Path("model"), settings) != before
