"""Scores equal sacreBLEU's to the last digit."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sacrebleu.metrics import BLEU, CHRF, TER

from nmt_cli.errors import DataError
from nmt_cli.evaluation.metrics import METRICS, build_metrics, compute_statistics, exact_match, length_ratio, score
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.recipe.evaluation import Evaluation, MetricName

TEST2016 = Path(__file__).parents[4] / "shared/data/multi30k/test_2016_flickr.de.gz"

REFERENCES = [
    "The cat sat on the mat, and the dog saw it.",
    "Nobody expects 1,000 lines by 9.30 p.m.!",
    'Wait… what? She said: "No."',
    "我们 今天 去 公园 散步。",
    "A line\u2028with a separator, and a\rreturn.",
]
HYPOTHESES = [
    "The cat sat on a mat and the dog saw it.",
    "Nobody expects 1,000 lines at 9.30 p.m.",
    "",
    "我们 今天 去 散步。",
    "A line\u2028with a separator, and a return.",
]


SACREBLEU_METRICS = ["bleu", "chrf", "chrf++", "ter"]


def sacrebleu(folder: Path, hypotheses: list[str], references: list[list[str]], *options: str) -> list[dict[str, Any]]:
    """Run sacreBLEU's command line."""
    names = [f"reference{number}" for number in range(len(references))]
    for name, lines in zip(["hypotheses", *names], [hypotheses, *references], strict=True):
        (folder / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    command = [sys.executable, "-m", "sacrebleu", *names, "-i", "hypotheses", "-w", "12", "-f", "json", *options]
    printed = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)
    return printed if isinstance(printed, list) else [printed]


def sacrebleu_scores(
    folder: Path, hypotheses: list[str], references: list[list[str]], *options: str
) -> list[dict[str, Any]]:
    """BLEU, chrF, chrF++ and TER from sacreBLEU's command line."""
    [bleu, chrf, ter] = sacrebleu(folder, hypotheses, references, "-m", "bleu", "chrf", "ter", *options)
    [plus_plus] = sacrebleu(folder, hypotheses, references, "-m", "chrf", "--chrf-word-order", "2")
    return [bleu, chrf, plus_plus, ter]


def close(fields: dict[str, Any]) -> dict[str, Any]:
    """The same fields, with the score compared to 1e-9."""
    return {**fields, "score": pytest.approx(fields["score"], abs=1e-9)}


@pytest.mark.parametrize("tokenizer", ["13a", "zh"])
def test_score_equals_sacrebleu_command_line(tmp_path: Path, tokenizer: str) -> None:
    expected = sacrebleu_scores(tmp_path, HYPOTHESES, [REFERENCES], "-tok", tokenizer)

    found = score(HYPOTHESES, [REFERENCES], Evaluation(metrics=SACREBLEU_METRICS, bleu_tokenizer=tokenizer))

    assert [each.as_sacrebleu() for each in found] == list(map(close, expected))


def test_score_with_several_references_equals_sacrebleu(tmp_path: Path) -> None:
    others = [line.replace("the", "a") for line in REFERENCES]

    expected = sacrebleu_scores(tmp_path, HYPOTHESES, [REFERENCES, others])
    found = score(HYPOTHESES, [REFERENCES, others], Evaluation(metrics=SACREBLEU_METRICS))

    assert [each.as_sacrebleu() for each in found] == list(map(close, expected))
    assert all("nrefs:2" in each.signature for each in found)


def test_score_of_real_text_equals_sacrebleu(tmp_path: Path) -> None:
    if not TEST2016.is_file():
        pytest.skip("Multi30k is not available")
    references = gzip.decompress(TEST2016.read_bytes()).decode().split("\n")[:300]
    rng = random.Random(1)
    hypotheses = [" ".join(word for word in line.split() if rng.random() < 0.9) for line in references]

    expected = sacrebleu_scores(tmp_path, hypotheses, [references])
    found = score(hypotheses, [references], Evaluation(metrics=SACREBLEU_METRICS))

    assert [each.as_sacrebleu() for each in found] == list(map(close, expected))


PIECES = [
    "der",
    "Hund",
    ",",
    ".",
    "läuft",
    "10,5",
    "«",
    "»",
    "Zwei-Mann",
    "我们",
    "…",
    "&quot;",
    "n't",
    "\u2028",
    "\r",
    "",
]


def random_corpus(rng: random.Random) -> tuple[list[str], list[list[str]]]:
    """Lines of words that tokenizers treat differently; hypotheses resemble references."""
    sets = rng.choice([1, 1, 2, 3])
    references = [
        [" ".join(rng.choices(PIECES, k=rng.randrange(12))) for _ in range(rng.randrange(1, 6))] for _ in range(sets)
    ]
    shortest = min(map(len, references))
    references = [lines[:shortest] for lines in references]
    hypotheses = [
        " ".join(rng.choice([word, word, word, rng.choice(PIECES)]) for word in line.split(" "))
        for line in rng.choice(references)
    ]
    return hypotheses, references


def sacrebleu_library(hypotheses: list[str], references: list[list[str]], tokenizer: str) -> list[float]:
    """The same scores from the library, without starting a process."""
    metrics = [BLEU(tokenize=tokenizer, force=True), CHRF(), CHRF(word_order=2), TER()]
    return [metric.corpus_score(hypotheses, references).score for metric in metrics]


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "zh", "char"])
def test_score_of_random_corpora_equals_sacrebleu(tokenizer: str) -> None:
    rng = random.Random(tokenizer)
    settings_of_all = Evaluation(metrics=SACREBLEU_METRICS, bleu_tokenizer=tokenizer)
    for _ in range(60):
        hypotheses, references = random_corpus(rng)
        found = [each.value for each in score(hypotheses, references, settings_of_all)]
        assert found == pytest.approx(sacrebleu_library(hypotheses, references, tokenizer), abs=1e-9)


def test_score_of_a_random_corpus_equals_sacrebleu_command_line(tmp_path: Path) -> None:
    plain = [piece for piece in PIECES if piece not in ("\r", "\u2028")]  # sacreBLEU splits lines at these
    rng = random.Random(5)
    references = [[" ".join(rng.choices(plain, k=rng.randrange(12))) for _ in range(40)] for _ in range(2)]
    hypotheses = [" ".join(rng.sample(line.split(" "), k=len(line.split(" ")))) for line in references[0]]
    expected = sacrebleu_scores(tmp_path, hypotheses, references)
    found = score(hypotheses, references, Evaluation(metrics=SACREBLEU_METRICS))
    assert [each.as_sacrebleu() for each in found] == list(map(close, expected))


def test_value_of_some_lines_equals_their_corpus_score() -> None:
    settings_of_all = Evaluation(metrics=[*SACREBLEU_METRICS, "exact_match", "wer", "per"])
    texts = EvaluationTexts(HYPOTHESES, [REFERENCES])
    lines = [0, 3, 4]
    alone = score([HYPOTHESES[line] for line in lines], [[REFERENCES[line] for line in lines]], settings_of_all)
    found = [each.value_of(lines) for each in compute_statistics(texts, build_metrics(settings_of_all))]
    assert found == pytest.approx([each.value for each in alone], abs=1e-9)


def test_score_follows_the_order_of_the_recipe() -> None:
    found = score(HYPOTHESES, [REFERENCES], Evaluation(metrics=["chrf", "bleu"]))
    assert [(each.key, each.name) for each in found] == [("chrf", "chrF2"), ("bleu", "BLEU")]


def test_metrics_match_the_schema() -> None:
    assert tuple(METRICS) == get_args(MetricName)


def test_score_of_empty_hypotheses_is_zero() -> None:
    found = score(["", ""], [["a b c d e", "f"]], Evaluation())
    assert [each.value for each in found] == [0.0, 0.0]


@settings(max_examples=50)
@given(some.lists(some.tuples(some.text(), some.text()), min_size=1, max_size=5))
def test_score_of_any_text_is_a_float_within_bounds(pairs: list[tuple[str, str]]) -> None:
    hypotheses, references = map(list, zip(*pairs, strict=True))
    for found in score(hypotheses, [references], Evaluation()):
        assert type(found.value) is float
        assert 0 <= found.value <= 100 + 1e-9


def test_score_suppresses_sacrebleu_warnings(caplog: pytest.LogCaptureFixture) -> None:
    score(["It is ."] * 100, [["It is."] * 100], Evaluation())
    assert not caplog.records


def test_score_rejects_sides_of_unequal_length() -> None:
    with pytest.raises(DataError, match=r"\b3\b.*\b2\b.*\b2\b"):
        score(["a", "b", "c"], [["a", "b", "c"], ["a", "b"]], Evaluation())


def test_score_rejects_no_sentences_and_no_references() -> None:
    with pytest.raises(DataError, match="sentences"):
        score([], [[]], Evaluation())
    with pytest.raises(DataError, match="references"):
        score(["a"], [], Evaluation())


def test_exact_match_accepts_any_reference() -> None:
    assert exact_match(["a", "b", "c ", "D"], [["a", "x", "c", "d"], ["x", "b", "c", "d"]]) == 50.0


def test_length_ratio_uses_the_mean_length_of_references() -> None:
    assert length_ratio(["aaaa"], [["aa"], ["aaaaaa"]]) == 1.0
    assert length_ratio(["aaaa"], [[""]]) == 0.0


def test_signature_contains_the_version() -> None:
    metric = BLEU()
    metric.corpus_score(["a"], [["a"]])
    assert score(["a"], [["a"]], Evaluation())[0].signature == metric.get_signature().format()
