"""spBLEU needs a model, which is never downloaded without asking."""

from pathlib import Path

import pytest
import sentencepiece
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers import tokenizer_spm

from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics import build_metrics, sacrebleu, score
from nmt_cli.recipe.evaluation import Evaluation

SPBLEU = Evaluation(metrics=["spbleu"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of sacreBLEU's models; a download would fail the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("would download")

    for module in (sacrebleu, tokenizer_spm):
        monkeypatch.setattr(module, "SACREBLEU_DIR", str(tmp_path))
    monkeypatch.setattr(tokenizer_spm, "download_file", refuse)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.mark.parametrize("which", ["flores101", "flores200"])
def test_missing_model_is_named_and_not_downloaded(home: Path, which: str) -> None:
    with pytest.raises(RecipeError, match=rf"spbleu: .*{home}/.*https://"):
        build_metrics(Evaluation(metrics=["spbleu"], spbleu_tokenizer=which))


def test_damaged_model_is_rejected(home: Path) -> None:
    (home / "flores200sacrebleuspm").write_bytes(b"no model")
    with pytest.raises(RecipeError, match="flores200sacrebleuspm: "):
        build_metrics(SPBLEU)


def test_spbleu_equals_sacrebleu(home: Path) -> None:
    text = ["ein Hund läuft schnell", "zwei Hunde laufen langsam", "drei Kinder spielen im Sand"] * 5
    path = home / "flores200sacrebleuspm"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text), model_writer=file, vocab_size=30, minloglevel=2
        )
    hypotheses = ["ein Hund läuft langsam", "drei Hunde spielen im Sand"]
    references = ["ein Hund läuft schnell", "drei Kinder spielen im Sand"]

    [found] = score(hypotheses, [references], SPBLEU)

    expected = BLEU(tokenize="flores200", force=True).corpus_score(hypotheses, [references]).score
    assert (found.name, found.value) == ("spBLEU", pytest.approx(expected, abs=1e-9))
    assert "tok:flores200" in found.signature
