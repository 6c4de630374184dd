"""Models in Marian's own format give Marian's scores and translations."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_models import LINES, write_npz

from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import LoadedModel, load_model
from nmt_cli.commands.translators import create_translator
from nmt_cli.decoding.requests import Request
from nmt_cli.errors import ModelError
from nmt_cli.interop.marian_files import read_yaml
from nmt_cli.models.contract import DecoderInput, ModelInputs

ARTEFACTS = Path(__file__).parents[3] / "shared" / "artefacts"
OPUS, STUDENT = ARTEFACTS / "marian_opus", ARTEFACTS / "marian_student"
has_opus = pytest.mark.skipif(not OPUS.is_dir(), reason=f"{OPUS}, a model with the outputs of Marian, is missing")
has_student = pytest.mark.skipif(not STUDENT.is_dir(), reason=f"{STUDENT}, a model with an SSRU decoder, is missing")


def lines(name: str) -> list[str]:
    return (OPUS / name).read_text(encoding="utf-8").removesuffix("\n").split("\n")


@pytest.fixture(scope="module")
def opus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marian")
    (folder / "source").mkdir()
    for name in ("opus.npz", "opus.npz.decoder.yml", "vocab.yml", "source.spm", "target.spm"):
        shutil.copyfile(OPUS / name, folder / "source" / name)
    import_model(folder / "source", folder / "model")
    return folder / "model"


@has_opus
def test_lines_are_tokenized_as_for_marian(opus: Path) -> None:
    tokenizer = load_model(opus).tokenizer
    for rows, entries, name in (
        (tokenizer.encode_source(lines("test.fr")), tokenizer.source.entries, "test.sp.fr"),
        (tokenizer.encode_target(lines("test.ipa")), tokenizer.target.entries, "test.sp.ipa"),
    ):
        assert [" ".join(entries[i] for i in row) for row in rows] == lines(name)


def word_scores(loaded: LoadedModel, source: list[int], target: list[int]) -> list[float]:
    special = loaded.tokenizer.special_tokens
    with torch.inference_mode():
        encoded = loaded.model.encode(ModelInputs.from_ids(torch.tensor([[*source, special.eos]])))
        decoded = loaded.model.decode(encoded, DecoderInput(torch.tensor([[special.decoder_start, *target]])))
        found = loaded.model.logits(decoded).log_softmax(-1)
    return [float(found[position, token]) for position, token in enumerate([*target, special.eos])]


@has_opus
def test_word_scores_equal_those_of_marian(opus: Path) -> None:
    loaded = load_model(opus)
    sources = loaded.tokenizer.encode_source(lines("test.fr"))
    targets = loaded.tokenizer.encode_target(lines("test.ipa"))
    for source, target, line in zip(sources, targets, lines("expected.word_scores"), strict=True):
        expected = [float(score) for score in line.partition("WordScores= ")[2].split()]
        assert word_scores(loaded, source, target) == pytest.approx(expected, abs=2e-5)


def translate(model: Path, sources: list[str], *settings: str) -> list[str]:
    translator = create_translator(load_model(model, ["decoding.check=false", *settings]))
    return [each.best.text for each in translator.translate(map(Request, sources))]


@has_opus
@pytest.mark.parametrize(("beam", "penalty"), [(1, 0.0), (4, 0.6)])
def test_translations_equal_those_of_marian(opus: Path, beam: int, penalty: float) -> None:
    settings = [f"decoding.beam_size={beam}", f"decoding.length_penalty={penalty}"]
    found, wrong = translate(opus, lines("test.fr"), *settings), []
    for text, line, source in zip(found, lines(f"expected.beam{beam}"), lines("test.sp.fr"), strict=True):
        expected = line.replace(" ", "").replace("▁", " ").strip()
        # Marian's maximum follows from the longest source of a batch, that of nmt from each source.
        is_at_limit = len(line.split()) > 3 * (len(source.split()) + 1)
        if text != expected and not (is_at_limit and expected.startswith(text)):
            wrong.append((text, expected))
    assert wrong == []


def write_student(folder: Path) -> None:
    folder.mkdir()
    for name in ("student.npz", "vocab.fripa.spm"):
        shutil.copyfile(STUDENT / name, folder / name)
    (folder / "decoder.yml").write_text("models: [student.npz]\nvocabs: [vocab.fripa.spm, vocab.fripa.spm]\n")


@has_student
def test_translations_of_an_ssru_decoder_equal_those_of_marian(tmp_path: Path) -> None:
    write_student(tmp_path / "source")
    import_model(tmp_path / "source", tmp_path / "model")
    source, expected = (
        (STUDENT / name).read_text(encoding="utf-8").splitlines() for name in ("input.fr", "expected.marian.beam1")
    )
    assert translate(tmp_path / "model", source, "decoding.beam_size=1") == expected


@has_student
def test_other_recurrent_decoder_is_refused_by_name(tmp_path: Path) -> None:
    write_student(tmp_path / "source")
    path = tmp_path / "source" / "student.npz"
    arrays = dict(np.load(path))
    options = arrays["special:model.yml"].tobytes().replace(b"dec-cell: ssru", b"dec-cell: lstm")
    arrays["special:model.yml"] = np.frombuffer(options, np.int8)
    np.savez(path, **arrays)
    with pytest.raises(ModelError, match="dec-cell: lstm"):
        import_model(tmp_path / "source", tmp_path / "model")


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("tying", [("-all",), ("", "-src"), ("",), ("-src",), ()])
def test_tensors_of_each_kind_of_tying_and_norm_are_used(tmp_path: Path, tying: tuple[str, ...], norm: str) -> None:
    write_npz(tmp_path / "source", tying, norm)
    import_model(tmp_path / "source", tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.config.model.norm.position == norm
    assert (loaded.decoding.beam_size, loaded.decoding.length_penalty) == (6, 0.6)
    tokenizer = loaded.tokenizer
    rows = tokenizer.encode_source(LINES[:1])
    assert tokenizer.special_tokens.unk not in rows[0]
    # Marian has no pad: it takes nothing from the probability of other words.
    start = tokenizer.special_tokens.decoder_start
    encoded = loaded.model.encode(ModelInputs.from_ids(torch.tensor(rows)))
    logits = loaded.model.logits(loaded.model.decode(encoded, DecoderInput(torch.tensor([[start]]))))
    assert logits.softmax(-1)[0, start] == 0


@pytest.mark.parametrize(
    "option",
    ["transformer-train-position-embeddings", "transformer-no-projection", "right-left", "transformer-pool"],
)
def test_unsupported_option_is_refused_by_name(tmp_path: Path, option: str) -> None:
    write_npz(tmp_path / "source", **{option: "true"})
    with pytest.raises(ModelError, match=option):
        import_model(tmp_path / "source", tmp_path / "model")


def test_scripts_and_damaged_files_are_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "source")
    (tmp_path / "source" / "preprocess.sh").write_text("exit 1\n")
    with pytest.raises(ModelError, match=r"preprocess\.sh"):
        import_model(tmp_path / "source", tmp_path / "model")
    (tmp_path / "source" / "preprocess.sh").unlink()
    model = tmp_path / "source" / "model.npz"
    model.write_bytes(model.read_bytes()[:-500])
    with pytest.raises(ModelError, match=r"model\.npz"):
        import_model(tmp_path / "source", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_words_of_a_vocabulary_stay_text() -> None:
    assert read_yaml(b'no: 0\n1:30: 1\n"\\x20": 2\n~: 3\n', "vocab.yml") == {"no": "0", "1:30": "1", " ": "2", "~": "3"}
