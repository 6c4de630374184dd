"""The Python interface: its names and types, and translation that threads share."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from toy_model import save_toy_model

import nmt_cli
from nmt_cli import console
from nmt_cli.commands.score import score
from nmt_cli.commands.translate import translate
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.recipe.decoding import BeamSettings, CtcSearchSettings, MbrSettings, SamplingSettings

LINES = ["one two", "", "three", "four five six seven. Eight nine ten."]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("toy") / "model")


def test_import_loads_neither_torch_nor_numpy() -> None:
    program = (
        "import sys, nmt_cli; nmt_cli.load_recipe, nmt_cli.load_translator, nmt_cli.NmtError, dir(nmt_cli)\n"
        "print(*{'torch', 'numpy'} & {*sys.modules})"
    )
    root = Path(nmt_cli.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, check=True).stdout == b"\n"


def test_stub_has_the_names_of_the_package() -> None:
    stub = Path(nmt_cli.__file__).with_suffix(".pyi").read_text()
    assert sorted(re.findall(r" as (\w+)$|^(__version__)", stub, flags=re.MULTILINE)) == sorted(
        (name, "") if name != "__version__" else ("", name) for name in nmt_cli.__all__
    )
    for name in nmt_cli.__all__:
        assert getattr(nmt_cli, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = nmt_cli.no_such_name  # type: ignore[attr-defined]


def test_translate_settings_are_the_options_and_all_settings_of_decoding() -> None:
    classes = (BeamSettings, SamplingSettings, MbrSettings, CtcSearchSettings)
    decoding = {name for each in classes for name in each.model_fields}
    options = TranslateOptions.__dataclass_fields__.keys() - {"models", "adapter", "overrides", "weights"}
    assert nmt_cli.TranslateSettings.__annotations__.keys() == options | decoding


def test_translations_are_those_of_the_command_line(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("".join(f"{line}\n" for line in LINES))
    translate(TranslateOptions((model,), overrides=("decoding.beam_size=2",)), tmp_path / "in", tmp_path / "out")

    with nmt_cli.load_translator(model, beam_size=2) as translator:
        found = translator.translate(LINES)

    assert [each.source for each in found] == LINES
    assert "".join(f"{each.best.text}\n" for each in found) == (tmp_path / "out").read_text()
    with pytest.raises(nmt_cli.ModelError, match="closed"):
        translator.translate(LINES)


def test_settings_hold_for_one_call(model: Path) -> None:
    translator = nmt_cli.load_translator(model)
    before = translator.translate(LINES)
    [several] = translator.translate(["one two"], beam_size=3, n_best=3, bad_words=["one"], word_scores=True)
    [sampled] = translator.translate(["one two"], strategy="sampling", top_k=5, seed=3)

    assert len(several.hypotheses) > 1
    assert several.best.annotation is not None
    assert "one" not in several.best.text.split()
    assert translator.translate(LINES) == before
    assert sampled.source == "one two"


def test_glossary_is_a_file_or_terms(model: Path, tmp_path: Path) -> None:
    (tmp_path / "terms.tsv").write_text("one\tfive\ntwo\tsix|ten\n")
    translator = nmt_cli.load_translator(model)
    read = translator.translate(["one two"], glossary=tmp_path / "terms.tsv", glossary_mode="hard")
    given = translator.translate(["one two"], glossary={"one": "five", "two": ["six", "ten"]}, glossary_mode="hard")

    assert read == given
    assert {str(term) for term in given[0].terms} == {"one → five", "two → six | ten"}
    assert all(term.is_used for term in given[0].terms)


def test_threads_share_a_translator(model: Path) -> None:
    translator = nmt_cli.load_translator(model, on_message=lambda message: pytest.fail(message))
    inputs = [[f"{line} {other}" for other in ("one", "two")] for line in LINES] * 3
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(translator.translate, inputs))

    assert found == [translator.translate(lines) for lines in inputs]


def test_lines_are_read_while_translations_are_taken(model: Path) -> None:
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        while True:
            count += 1
            yield "one"

    translations = nmt_cli.load_translator(model).translate_iter(lines())
    assert next(translations).source == "one"
    assert count < 100


def test_scores_are_those_of_the_command_line(
    model: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    pairs = [("one two", "three"), ("", ""), ("one", "")]
    for side, name in enumerate(("source", "target")):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in pairs))
    score(TranslateOptions((model,)), tmp_path / "source", tmp_path / "target")

    found = nmt_cli.load_translator(model).score(pairs)
    assert [f"{each.log_probability:.4f}" for each in found] == capfdbinary.readouterr().out.decode().split()


@pytest.mark.parametrize(
    ("lines", "settings", "error", "message"),
    [
        ("one", {}, TypeError, "a single string"),
        (["one\ntwo"], {}, nmt_cli.DataError, "line 1: contains a line break"),
        (["one", "\ud800"], {}, nmt_cli.DataError, "line 2: contains an unpaired surrogate"),
        (["one"], {"beam_size": 0}, nmt_cli.RecipeError, "decoding.beam_size"),
        (["one"], {"beam_sise": 1}, nmt_cli.RecipeError, "decoding.beam_sise"),
        (["one"], {"models": ["other"]}, nmt_cli.RecipeError, "decoding.models"),
        (["one"], {"precision": "int8"}, nmt_cli.RecipeError, "load_translator"),
        (["one"], {"target_language": "fr"}, nmt_cli.RecipeError, "fr"),
    ],
)
def test_errors_are_those_of_the_command_line(
    model: Path, lines: list[str], settings: dict[str, object], error: type[Exception], message: str
) -> None:
    translator = nmt_cli.load_translator(model)
    with pytest.raises(error, match=message):
        translator.translate(lines, **settings)  # type: ignore[arg-type]


def test_terms_with_misplaced_wildcards_are_refused(model: Path) -> None:
    translator = nmt_cli.load_translator(model)
    for name in ("bad_words", "toxic_words", "source_toxic_words"):
        with pytest.raises(nmt_cli.DataError, match=rf"^{name}: 'x\*y'"):
            translator.translate(["one"], **{name: ["x*y"]})
    with pytest.raises(nmt_cli.DataError, match=r"^line 2: forbidden: '\*\*a'"):
        translator.translate(["one", nmt_cli.Request("two", forbidden=("**a",))])


def test_texts_need_a_reference_each() -> None:
    with pytest.raises(nmt_cli.DataError, match="2 hypotheses, but 1 references"):
        nmt_cli.evaluate_texts(["a", "b"], ["a"])
    one, two = ["a b c d"], ["a b c d e"]
    settings = {"evaluation.resamples": None}
    assert nmt_cli.evaluate_texts(one, one, settings=settings).values["BLEU"] == pytest.approx(100)
    assert nmt_cli.evaluate_texts(one, [two, one], settings=settings).values["BLEU"] == pytest.approx(100)


def test_captured_messages_are_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    found = list[str]()
    with console.captured(found.append):
        console.info("one")
        console.warn("two")
        console.table("three", ["", "n"], [["row", 4]])
        with console.progress_bar("five", "lines") as bar:
            bar.advance()
    assert capfd.readouterr() == ("", "")
    assert found[:2] == ["one", "nmt: warning: two"]
    assert "three" in found[2]
    assert len(found) == 3
    console.info("six")
    assert "six" in capfd.readouterr().err
