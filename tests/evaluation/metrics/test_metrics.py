"""Scores are sacreBLEU's, to the last digit."""

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
from nmt_cli.evaluation.metrics import METRICS, build_metrics, exact_match, length_ratio, measure, score
from nmt_cli.evaluation.metrics.contract import Texts
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


SACREBLEUS = ["bleu", "chrf", "chrf++", "ter"]


def sacrebleu(folder: Path, hypotheses: list[str], references: list[list[str]], *options: str) -> list[dict[str, Any]]:
    """What sacreBLEU's command line prints."""
    names = [f"reference{number}" for number in range(len(references))]
    for name, lines in zip(["hypotheses", *names], [hypotheses, *references], strict=True):
        (folder / name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    command = [sys.executable, "-m", "sacrebleu", *names, "-i", "hypotheses", "-w", "12", "-f", "json", *options]
    printed = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)
    return printed if isinstance(printed, list) else [printed]


def all_of_sacrebleu(
    folder: Path, hypotheses: list[str], references: list[list[str]], *options: str
) -> list[dict[str, Any]]:
    """BLEU, chrF, chrF++ and TER as it prints them."""
    [bleu, chrf, ter] = sacrebleu(folder, hypotheses, references, "-m", "bleu", "chrf", "ter", *options)
    [plus_plus] = sacrebleu(folder, hypotheses, references, "-m", "chrf", "--chrf-word-order", "2")
    return [bleu, chrf, plus_plus, ter]


def close(fields: dict[str, Any]) -> dict[str, Any]:
    """The same fields, the score to 1e-9."""
    return {**fields, "score": pytest.approx(fields["score"], abs=1e-9)}


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "zh", "char"])
def test_scores_are_what_sacrebleu_prints(tmp_path: Path, tokenizer: str) -> None:
    expected = all_of_sacrebleu(tmp_path, HYPOTHESES, [REFERENCES], "-tok", tokenizer)

    found = score(HYPOTHESES, [REFERENCES], Evaluation(metrics=SACREBLEUS, bleu_tokenizer=tokenizer))

    assert [each.as_sacrebleu() for each in found] == list(map(close, expected))


def test_several_references_are_scored_as_sacrebleu_does(tmp_path: Path) -> None:
    others = [line.replace("the", "a") for line in REFERENCES]

    expected = all_of_sacrebleu(tmp_path, HYPOTHESES, [REFERENCES, others])
    found = score(HYPOTHESES, [REFERENCES, others], Evaluation(metrics=SACREBLEUS))

    assert [each.as_sacrebleu() for each in found] == list(map(close, expected))
    assert all("nrefs:2" in each.signature for each in found)


def test_real_translations_score_the_same(tmp_path: Path) -> None:
    if not TEST2016.is_file():
        pytest.skip("Multi30k is not here")
    references = gzip.decompress(TEST2016.read_bytes()).decode().split("\n")[:300]
    chance = random.Random(1)
    hypotheses = [" ".join(word for word in line.split() if chance.random() < 0.9) for line in references]

    expected = all_of_sacrebleu(tmp_path, hypotheses, [references])
    found = score(hypotheses, [references], Evaluation(metrics=SACREBLEUS))

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


def random_corpus(chance: random.Random) -> tuple[list[str], list[list[str]]]:
    """Lines of pieces that tokenizers treat in their own ways; hypotheses have much in common with references."""
    sets = chance.choice([1, 1, 2, 3])
    references = [
        [" ".join(chance.choices(PIECES, k=chance.randrange(12))) for _ in range(chance.randrange(1, 6))]
        for _ in range(sets)
    ]
    shortest = min(map(len, references))
    references = [lines[:shortest] for lines in references]
    hypotheses = [
        " ".join(chance.choice([word, word, word, chance.choice(PIECES)]) for word in line.split(" "))
        for line in chance.choice(references)
    ]
    return hypotheses, references


def sacrebleu_itself(hypotheses: list[str], references: list[list[str]], tokenizer: str) -> list[float]:
    """What its command line computes, without starting it a thousand times."""
    metrics = [BLEU(tokenize=tokenizer, force=True), CHRF(), CHRF(word_order=2), TER()]
    return [metric.corpus_score(hypotheses, references).score for metric in metrics]


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "zh", "char"])
def test_random_corpora_score_as_with_sacrebleu(tokenizer: str) -> None:
    chance = random.Random(tokenizer)
    settings_of_all = Evaluation(metrics=SACREBLEUS, bleu_tokenizer=tokenizer)
    for _ in range(60):
        hypotheses, references = random_corpus(chance)
        found = [each.value for each in score(hypotheses, references, settings_of_all)]
        assert found == pytest.approx(sacrebleu_itself(hypotheses, references, tokenizer), abs=1e-9)


def test_random_corpora_score_as_on_sacrebleus_command_line(tmp_path: Path) -> None:
    plain = [piece for piece in PIECES if piece not in ("\r", "\u2028")]  # it cuts lines at these
    chance = random.Random(5)
    references = [[" ".join(chance.choices(plain, k=chance.randrange(12))) for _ in range(40)] for _ in range(2)]
    hypotheses = [" ".join(chance.sample(line.split(" "), k=len(line.split(" ")))) for line in references[0]]
    expected = all_of_sacrebleu(tmp_path, hypotheses, references)
    found = score(hypotheses, references, Evaluation(metrics=SACREBLEUS))
    assert [each.as_sacrebleu() for each in found] == list(map(close, expected))


def test_the_score_of_some_sentences_is_that_of_a_corpus_of_them_alone() -> None:
    settings_of_all = Evaluation(metrics=[*SACREBLEUS, "exact_match", "wer", "per"])
    texts = Texts(HYPOTHESES, [REFERENCES])
    lines = [0, 3, 4]
    alone = score([HYPOTHESES[line] for line in lines], [[REFERENCES[line] for line in lines]], settings_of_all)
    found = [each.value_of(lines) for each in measure(texts, build_metrics(settings_of_all))]
    assert found == pytest.approx([each.value for each in alone], abs=1e-9)


def test_the_recipe_chooses_metrics_and_their_order() -> None:
    found = score(HYPOTHESES, [REFERENCES], Evaluation(metrics=["chrf", "bleu"]))
    assert [(each.key, each.name) for each in found] == [("chrf", "chrF2"), ("bleu", "BLEU")]


def test_every_metric_of_the_schema_exists() -> None:
    assert tuple(METRICS) == get_args(MetricName)


def test_translations_that_say_nothing_score_zero() -> None:
    found = score(["", ""], [["a b c d e", "f"]], Evaluation())
    assert [each.value for each in found] == [0.0, 0.0]


@settings(max_examples=50)
@given(some.lists(some.tuples(some.text(), some.text()), min_size=1, max_size=5))
def test_any_text_gets_a_score_that_is_a_plain_number(pairs: list[tuple[str, str]]) -> None:
    hypotheses, references = map(list, zip(*pairs, strict=True))
    for found in score(hypotheses, [references], Evaluation()):
        assert type(found.value) is float
        assert 0 <= found.value <= 100 + 1e-9


def test_sacrebleu_itself_stays_silent_about_tokenised_text(caplog: pytest.LogCaptureFixture) -> None:
    score(["It is ."] * 100, [["It is."] * 100], Evaluation())
    assert not caplog.records


def test_sides_of_unequal_length_are_refused_with_both_counts() -> None:
    with pytest.raises(DataError, match="3 hypotheses but 2 references in set 2"):
        score(["a", "b", "c"], [["a", "b", "c"], ["a", "b"]], Evaluation())


def test_no_sentences_and_no_references_are_refused() -> None:
    with pytest.raises(DataError, match="no sentences"):
        score([], [[]], Evaluation())
    with pytest.raises(DataError, match="at least one set of references"):
        score(["a"], [], Evaluation())


def test_an_exact_match_equals_any_one_reference() -> None:
    assert exact_match(["a", "b", "c ", "D"], [["a", "x", "c", "d"], ["x", "b", "c", "d"]]) == 50.0


def test_lengths_are_compared_with_the_mean_of_the_references() -> None:
    assert length_ratio(["aaaa"], [["aa"], ["aaaaaa"]]) == 1.0
    assert length_ratio(["aaaa"], [[""]]) == 0.0


def test_a_score_names_the_version_that_made_it() -> None:
    metric = BLEU()
    metric.corpus_score(["a"], [["a"]])
    assert score(["a"], [["a"]], Evaluation())[0].signature == metric.get_signature().format()
