"""Tokenised, segmented, lower-cased or empty hypotheses cause warnings; ordinary text does not."""

import pytest

from nmt_cli.evaluation.metrics import build_metrics
from nmt_cli.evaluation.sanity_checks import sanity_checks
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.evaluation import Evaluation

REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen im Park."] * 100


def test_ordinary_hypotheses_cause_no_warning() -> None:
    hypotheses = ["Der Hund läuft.", "Kinder spielen."] * 100
    assert sanity_checks(hypotheses, [REFERENCES]) == []


def test_tokenised_hypotheses_cause_a_warning() -> None:
    [warning] = sanity_checks(["Ein Hund läuft ."] * 200, [REFERENCES])
    assert "200 of 200" in warning
    assert "detokenise" in warning


def test_a_minority_of_separate_full_stops_causes_no_warning() -> None:
    assert sanity_checks(["Ein Hund läuft ."] * 99 + ["Ein Hund."] * 101, [REFERENCES]) == []


def test_hundred_lines_of_a_large_set_cause_a_warning() -> None:
    assert sanity_checks(["Ein Hund läuft ."] * 99 + ["Ein Hund."] * 201, [REFERENCES]) == []
    assert len(sanity_checks(["Ein Hund läuft ."] * 100 + ["Ein Hund."] * 201, [REFERENCES])) == 1


def test_most_lines_of_a_small_set_cause_a_warning() -> None:
    assert len(sanity_checks(["Ein Hund .", "Ein Kind .", "Nein."], [["Ein Hund.", "Ein Kind.", "Nein."]])) == 1


def test_subword_markers_cause_a_warning() -> None:
    clean = REFERENCES[:3]
    assert "▁" in sanity_checks(["▁Ein ▁Hund", *clean[1:]], [clean])[0]
    assert "@@" in sanity_checks(["Ein Hu@@ nd", *clean[1:]], [clean])[0]


def test_subword_markers_in_the_references_cause_no_warning() -> None:
    lines = ["Schreiben Sie an x@@ oder y.", "A ▁ B"]
    assert sanity_checks(lines, [lines]) == []


def test_hypotheses_without_capitals_cause_a_warning() -> None:
    [warning] = sanity_checks([line.lower() for line in REFERENCES], [REFERENCES])
    assert "capital" in warning


def test_a_language_without_capitals_causes_no_warning() -> None:
    lines = ["我们 今天 去 公园"] * 5
    assert sanity_checks(lines, [lines]) == []


def test_empty_hypotheses_are_counted() -> None:
    assert sanity_checks(["", "Ein Hund."], [["Ein Hund.", "Ein Hund."]]) == ["1 of 2 hypotheses is empty"]
    assert sanity_checks([" "] * 3, [["Ein Hund."] * 3]) == ["3 of 3 hypotheses are empty"]


def test_hypotheses_may_be_empty_where_references_are() -> None:
    assert sanity_checks(["", "Ein Hund."], [["", "Ein Hund."]]) == []


def test_metrics_that_split_at_spaces_cause_a_warning_for_text_without_spaces() -> None:
    lines = ["我们今天去公园。", "好的。"]
    settings = Evaluation(metrics=["bleu", "chrf", "chrf++", "ter"])
    [warning] = sanity_checks(lines, [lines], build_metrics(settings))
    assert "BLEU and chrF2++ and TER" in warning
    suitable = for_language(settings.model_copy(update={"metrics": ["bleu", "chrf", "ter"]}), "zh")
    assert sanity_checks(lines, [lines], build_metrics(suitable)) == []
    assert sanity_checks(REFERENCES, [REFERENCES], build_metrics(settings)) == []


@pytest.mark.parametrize(
    ("clean", "odd"),
    [
        ("Wie geht's?", "Wie geht&apos;s?"),
        ("Ein Hund.", "Ein <unk>."),
        ("Ein Hund.", "Ein ⁇."),
        ("Ein Hund.", "Ein Hu@@ nd."),
        ("Ein Hund.", "▁Ein▁Hund."),
        ("Ein E-Bike.", "Ein E @-@ Bike."),
        ("Ein Hund.", '<seg id="1">Ein Hund.</seg>'),
        ("Ein Hund.", '{"text": "Ein Hund."}'),
        ("Ein Hund.", "0 ||| Ein Hund. ||| -1.5"),
        ("Ein Hund.", "7\tEin Hund."),
        ("Ein Café.", "Ein Cafe\u0301."),
        ("我们今天去公园散步。", "我们 今天 去 公园 散步 。"),
    ],
)
def test_artefacts_of_one_side_cause_a_warning(clean: str, odd: str) -> None:
    assert len(sanity_checks([odd] * 300, [[clean] * 300])) == 1
    assert len(sanity_checks([clean] * 300, [[odd] * 300])) == 1
    assert sanity_checks([odd] * 300, [[odd] * 300]) == []
    assert sanity_checks([clean] * 298 + [odd], [[clean] * 299]) == []


def test_letters_that_nfc_decomposes_cause_no_warning() -> None:
    assert sanity_checks(["\u09dc\u09be"] * 300, [["\u09dc\u09be"] * 299 + ["x"]]) == []


def test_blank_references_are_counted() -> None:
    [warning] = sanity_checks(["Ein Hund.", "Ein Hund."], [["", "Ein Hund."]])
    assert "1 of 2" in warning
