"""The default metrics suit the target language; BLEU, TER and symbol error rates split its text."""

import importlib.util

import pytest
from sacrebleu.metrics import BLEU, TER

from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics import build_metrics, score
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.evaluation import Evaluation, MetricName

METRICS: list[MetricName] = ["bleu", "ter", "per"]
SETTINGS = Evaluation(metrics=METRICS)
PAIRS = {
    "zh": ("我们今天去公园散布。", "我们今天去公园散步。"),
    "ja": ("今日は公園へ行きます。", "今日は公園に行きます。"),
    "th": ("วันนี้เราไปสวน", "วันนี้เขาไปสวน"),
    "km": ("ថ្ងៃនេះយើងទៅសួន", "ថ្ងៃនេះយើងទៅផ្សារ"),
    "bo": ("དེ་རིང་ང་ཚོ་འགྲོ", "དེ་རིང་ང་ཚོ་ཡོང"),
}


@pytest.mark.parametrize(
    ("language", "bleu", "ter"),
    [
        ("de", "13a", "tercom"),
        ("hi", "13a", "tercom"),
        ("ko", "13a", "tercom"),
        ("zh", "zh", "asian"),
        ("zho-TW", "zh", "asian"),
        ("yue_Hant", "zh", "asian"),
        ("ja", "char", "char"),
        ("tha", "char", "char"),
        ("mya_Mymr", "char", "char"),
        ("dz", "char", "char"),
        ("xx", "13a", "tercom"),
        (None, "13a", "tercom"),
    ],
)
def test_auto_follows_the_target_language(
    monkeypatch: pytest.MonkeyPatch, language: str | None, bleu: str, ter: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = for_language(SETTINGS, language)
    assert (found.bleu_tokenizer, found.ter_tokenizer) == (bleu, ter)


@pytest.mark.parametrize(
    ("language", "chrf"),
    [
        *(("de", "chrf++"), ("ko", "chrf++"), ("vi", "chrf++"), ("xx", "chrf++"), (None, "chrf++")),
        *(("zh", "chrf"), ("yue_Hant", "chrf"), ("ja", "chrf"), ("tha", "chrf"), ("mya_Mymr", "chrf"), ("bo", "chrf")),
    ],
)
def test_default_metrics_have_words_only_in_scripts_with_spaces(language: str | None, chrf: str) -> None:
    found = for_language(Evaluation(), language)
    assert found.metrics == ["bleu", chrf]
    signature = score(["a b"], [["a b"]], found)[1].signature
    assert ("nw:2" in signature) == (chrf == "chrf++")


@pytest.mark.parametrize(("language", "tokenizer"), [("ja", "ja-mecab"), ("ko", "ko-mecab")])
def test_auto_uses_mecab_if_its_packages_are_installed(
    monkeypatch: pytest.MonkeyPatch, language: str, tokenizer: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert for_language(SETTINGS, language).bleu_tokenizer == tokenizer
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=rf"evaluation\.bleu_tokenizer: .*nmt-cli\[{language}\]"):
        build_metrics(Evaluation(bleu_tokenizer=tokenizer))


def test_given_tokenizers_and_metrics_are_kept() -> None:
    given = Evaluation(metrics=["chrf++"], bleu_tokenizer="char", ter_tokenizer="tercom")
    assert for_language(given, "zh") == given


@pytest.mark.parametrize("language", PAIRS)
def test_one_wrong_letter_in_a_script_without_spaces_is_a_small_error(language: str) -> None:
    (hypothesis, reference), settings = PAIRS[language], for_language(SETTINGS, language)
    by_words = [each.value for each in score([hypothesis], [[reference]], SETTINGS)]
    bleu, ter, per = (each.value for each in score([hypothesis], [[reference]], settings))
    assert by_words[:2] == [0, 100]
    assert bleu > 40
    assert 0 < ter < 50
    assert 0 < per < 50


@pytest.mark.parametrize("language", PAIRS)
def test_scores_equal_sacrebleu_with_the_chosen_tokenizers(language: str) -> None:
    hypotheses, references = (list(lines) for lines in zip(PAIRS[language], reversed(PAIRS[language]), strict=True))
    settings = for_language(SETTINGS, language)
    bleu, ter, _ = score(hypotheses, [references], settings)
    assert bleu.value == BLEU(tokenize=settings.bleu_tokenizer).corpus_score(hypotheses, [references]).score
    assert f"tok:{settings.bleu_tokenizer}" in bleu.signature
    if settings.ter_tokenizer == "asian":
        expected, signs = TER(normalized=True, asian_support=True), (hypotheses, references)
        assert "tok:tercom" in ter.signature
        assert "asian:yes" in ter.signature
    else:
        expected, signs = TER(), tuple([" ".join(line) for line in lines] for lines in (hypotheses, references))
        assert "tok:char-tercom" in ter.signature
    assert ter.value == expected.corpus_score(signs[0], [signs[1]]).score
