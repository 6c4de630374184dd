"""Models of CTranslate2 are imported exactly; an exported model comes back with equal bits."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from exported_models import exported
from test_ctranslate2 import ALL, LINES, decided, transformer

from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import create_translator
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting.ctranslate2 import write

AREN = Path(__file__).parents[3] / "shared" / "artefacts" / "aren"
has_aren = pytest.mark.skipif(not AREN.is_dir(), reason=f"{AREN}, a model with the outputs of CTranslate2, is missing")


@pytest.mark.parametrize("changes", ALL.values(), ids=ALL.keys())
def test_exported_model_is_imported_with_equal_bits(
    changes: dict[str, object], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    model = decided(transformer(**changes), tokenizer)
    (tmp_path / "exported").mkdir()
    write(exported(model, tokenizer), tmp_path / "exported")

    import_model(tmp_path / "exported", tmp_path / "model")

    loaded = load_model(tmp_path / "model")
    found, expected = dict(loaded.model.named_parameters()), dict(model.named_parameters())
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert loaded.tokenizer.encode_source(LINES) == tokenizer.encode_source(LINES)


def aren(folder: Path, binary: str) -> Path:
    (folder / "source").mkdir()
    shutil.copyfile(AREN / binary, folder / "source" / "model.bin")
    for name in ("source_vocabulary.txt", "target_vocabulary.txt", "LICENSE"):
        shutil.copyfile(AREN / name, folder / "source" / name)
    return folder / "source"


def expected_translations() -> list[tuple[str, str, list[float]]]:
    rows = (AREN / "expected.tsv").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [
        (source, target, [float(each) for each in scores.split()])
        for source, target, _, scores in (row.split("\t") for row in rows)
    ]


@has_aren
def test_log_probabilities_and_translations_of_a_real_model_equal_those_of_ctranslate2(tmp_path: Path) -> None:
    import_model(aren(tmp_path, "model.bin"), tmp_path / "model")
    settings = ["decoding.beam_size=4", "decoding.length_penalty=1", "decoding.check=false"]
    translator = create_translator(load_model(tmp_path / "model", settings))
    expected = expected_translations()

    found = [*translator.translate([Request(source) for source, _, _ in expected])]

    assert [each.best.text for each in found] == [target for _, target, _ in expected]
    tokenizer, (sources, targets, scores) = translator.tokenizer, zip(*expected, strict=True)
    sentences = [SentenceInput(i, row) for i, row in enumerate(tokenizer.encode_source(list(sources)))]
    for got, wanted in zip(
        translator.generator.score(sentences, tokenizer.encode_target(list(targets)), 1000), scores, strict=True
    ):
        assert got.token_log_probs == pytest.approx(wanted, abs=2e-6)
    assert (tmp_path / "model" / "source" / "LICENSE").is_file()


@has_aren
def test_dequantized_model_gives_the_log_probabilities_of_ctranslate2(tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    folder = aren(tmp_path, "model.int8.bin")
    there = ctranslate2.Translator(str(folder), compute_type="float32", intra_threads=1)
    sources, targets, _ = zip(*expected_translations(), strict=True)
    wanted = there.score_batch([line.split() for line in sources], [line.split() for line in targets])

    import_model(folder, tmp_path / "model")

    translator = create_translator(load_model(tmp_path / "model"))
    tokenizer = translator.tokenizer
    sentences = [SentenceInput(i, row) for i, row in enumerate(tokenizer.encode_source(list(sources)))]
    found = translator.generator.score(sentences, tokenizer.encode_target(list(targets)), 1000)
    for got, each in zip(found, wanted, strict=True):
        assert got.token_log_probs == pytest.approx(each.log_probs, abs=2e-6)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-100], "model.bin"),
        (lambda content: b"\x63" + content[1:], "version"),
        (lambda content: content.replace(b"decoder/alibi\0", b"decoder/alibx\0"), None),
        (lambda content: content.replace(b"TransformerSpec", b"WhisperEncSpec0"), "WhisperEncSpec0"),
        (lambda content: content.replace(b"decoder/layer_0/ffn/linear_0", b"decoder/layer_0/ffn/linear_9"), "linear_0"),
    ],
)
def test_damaged_or_unknown_model_is_refused(
    damage: Callable[[bytes], bytes], message: str | None, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    (tmp_path / "exported").mkdir()
    write(exported(decided(transformer(), tokenizer), tokenizer), tmp_path / "exported")
    path = tmp_path / "exported" / "model.bin"
    path.write_bytes(damage(path.read_bytes()))
    if message is None:  # an attribute that is zero is not needed
        import_model(tmp_path / "exported", tmp_path / "model")
        return
    with pytest.raises(ModelError, match=message):
        import_model(tmp_path / "exported", tmp_path / "model")
    assert not (tmp_path / "model").exists()
