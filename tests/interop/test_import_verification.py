"""Imports are compared with what their own programs compute."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_models import write_marian, write_nllb, write_npz

from nmt_cli.commands.import_model import import_model
from nmt_cli.errors import ModelError
from nmt_cli.interop import import_verification
from nmt_cli.reporting.container import read_manifest_or_empty

ARTEFACTS = Path(__file__).parents[3] / "shared" / "artefacts"
AREN, MARIAN = ARTEFACTS / "aren", ARTEFACTS / "marian_opus"
has_marian = pytest.mark.skipif(not MARIAN.is_dir(), reason=f"{MARIAN}, a model of Marian, is missing")


def verification(folder: Path) -> str:
    return str(read_manifest_or_empty(folder)["verification"])


def answer(monkeypatch: pytest.MonkeyPatch, error: float) -> list[Mapping[str, Any]]:
    """Answer with nmt's own scores of the first test, all changed by `error`; return the requests."""
    requests, ours = list[Mapping[str, Any]](), list[torch.Tensor]()
    original = import_verification.log_probs

    def log_probs(*arguments: Any) -> torch.Tensor:
        ours.append(original(*arguments))
        return ours[-1]

    def scores(program: str, request: Mapping[str, Any]) -> list[list[float]]:
        requests.append(request)
        return [(row + error).tolist() for row in ours]

    monkeypatch.setattr(import_verification, "log_probs", log_probs)
    monkeypatch.setattr(import_verification, "_scores", scores)
    monkeypatch.setattr(import_verification.util, "find_spec", lambda name: name)
    monkeypatch.setattr(import_verification.metadata, "version", lambda name: "1.0")
    return requests


def test_small_difference_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_nllb(tmp_path / "source")
    requests = answer(monkeypatch, 5e-5)
    import_model(tmp_path / "source", tmp_path / "model", verify=True)
    (request,) = requests
    assert "transformers 1.0: log-probabilities of" in verification(tmp_path / "model")
    assert "at most 5.0e-05" in verification(tmp_path / "model")
    assert request["before"] == [2, 63]  # the first and the last language
    assert all(row[0] == 61 and row[-1] == 2 for row in request["rows"])


def test_large_difference_is_an_error_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_marian(tmp_path / "source")
    answer(monkeypatch, 2e-4)
    with pytest.raises(ModelError, match=r"differ from those of transformers 1.0 by up to 0\.0002"):
        import_model(tmp_path / "source", tmp_path / "model", verify=True)
    assert not (tmp_path / "model").exists()


def test_reason_is_given_if_an_import_is_not_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_marian(tmp_path / "source")
    answer(monkeypatch, 1.0)
    import_model(tmp_path / "source", tmp_path / "model")
    assert verification(tmp_path / "model") == "unverified"
    import_model(tmp_path / "source", tmp_path / "model", overrides=["model.positions.spacing=t2t"], verify=True)
    assert verification(tmp_path / "model") == "unverified: the settings of the model were changed"
    source, family = tmp_path / "source", "Hugging Face marian"
    monkeypatch.setattr(import_verification, "_MAX_WEIGHTS", 1)
    with pytest.raises(import_verification.VerificationSkipped, match="GiB"):
        import_verification.program_of(source, family)
    (source / "model.safetensors").unlink()
    with pytest.raises(import_verification.VerificationSkipped, match="pickle"):
        import_verification.program_of(source, family)
    monkeypatch.setattr(import_verification.util, "find_spec", lambda name: None)
    with pytest.raises(import_verification.VerificationSkipped, match="transformers is not installed"):
        import_verification.program_of(source, family)
    with pytest.raises(import_verification.VerificationSkipped, match="g2p_en"):
        import_verification.program_of(source, "g2p_en")


@pytest.mark.slow
@pytest.mark.skipif(not AREN.is_dir(), reason=f"{AREN}, a model with the outputs of CTranslate2, is missing")
def test_model_of_ctranslate2_is_verified_by_it(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    (tmp_path / "source").mkdir()
    for vocabulary in ("source_vocabulary.txt", "target_vocabulary.txt"):
        shutil.copyfile(AREN / vocabulary, tmp_path / "source" / vocabulary)
    shutil.copyfile(AREN / "model.bin", tmp_path / "source" / "model.bin")
    import_model(tmp_path / "source", tmp_path / "model", verify=True)
    assert verification(tmp_path / "model").startswith("verified with ctranslate2")


def test_marian_is_given_the_tokens_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_npz(tmp_path / "source")
    (request,) = [answer(monkeypatch, 0.0)]
    import_model(tmp_path / "source", tmp_path / "model", verify=True)
    calls = list[Any]()
    monkeypatch.setattr(import_verification, "word_scores", lambda *arguments: calls.append(arguments))

    import_verification._by_marian(request[0])

    ((model, _, (sources, targets)),) = calls
    assert model == tmp_path / "source" / "model.npz"
    entries = request[0]["entries"][0]
    assert entries[-1] == "<pad>"
    assert sources == [[entries[i] for i in row[:-1]] for row in request[0]["rows"]]
    assert targets == [[entries[i] for i in row] for row in request[0]["targets"]]
    assert "</s>" not in {token for row in sources for token in row}


@has_marian
def test_marian_itself_verifies_imports(tmp_path: Path) -> None:
    pytest.importorskip("pymarian", reason="pymarian is not installed")
    import_model(MARIAN, tmp_path / "model", verify=True)
    assert verification(tmp_path / "model").startswith("verified with pymarian")
