"""A perfect translation gets the highest score in every language by default; nmt check says if it cannot."""

import gzip
from pathlib import Path

import pytest

from nmt_cli.data.checking.sampling import CorpusSample, sample_corpus
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.evaluation.metrics import score
from nmt_cli.evaluation.reachable_scores import check_normalization
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.normalization import normalize_lines

SAMPLE = Path(__file__).parents[3] / "shared/data/ntrex-sample"
CHINESE = ["他说，他有10²个。", "好。", "今天去公园，明天回家。"]


def sample(lines: list[str], language: str) -> CorpusSample:
    return sample_corpus("data.test.a", ("en", language), [("x", line) for line in lines])


def test_normalization_that_lowers_the_highest_scores_is_reported() -> None:
    [finding] = check_normalization(sample(CHINESE, "zh"), "nfkc", Evaluation())
    bleu, chrf = score(normalize_lines("nfkc", CHINESE), [CHINESE], for_language(Evaluation(), "zh"))
    assert (finding.level, finding.where) == ("warning", "data.test.a")
    assert "67 %" in finding.message
    assert f"BLEU {bleu.value:.2f}" in finding.message
    assert f"chrF2 {chrf.value:.2f}" in finding.message


def test_default_normalization_is_reported_only_if_references_have_invisible_ends() -> None:
    assert check_normalization(sample(CHINESE, "zh"), TokenizerSettings().normalization, Evaluation()) == []
    lines = ["Ein Hund läuft über Gras. "] * 3
    [finding] = check_normalization(sample(lines, "de"), TokenizerSettings().normalization, Evaluation())
    assert finding.level == "fact"


@pytest.mark.parametrize("language", ["ben", "heb", "lao", "zho-CN"])
def test_references_survive_the_default_tokenizer_unharmed(language: str) -> None:
    if not SAMPLE.is_dir():
        pytest.skip("the sample of NTREX is not available")
    lines = gzip.decompress((SAMPLE / f"{language}.txt.gz").read_bytes()).decode().removesuffix("\n").split("\n")
    settings = TokenizerSettings(vocabulary_size=2000 if language == "zho-CN" else 1000)
    tokenizer = Tokenizer.train(settings, [], normalize_lines(settings.normalization, lines), seed=1)
    after = tokenizer.decode_target(tokenizer.encode_target(lines))
    assert all(each.value >= 99.9 for each in score(after, [lines], for_language(Evaluation(), language)))
