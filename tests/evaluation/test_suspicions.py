"""Text that was not meant to be scored as it is gets a warning; ordinary text gets none."""

from nmt_cli.evaluation.suspicions import suspicions

REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen im Park."] * 100


def test_ordinary_translations_raise_no_suspicion() -> None:
    hypotheses = ["Der Hund läuft.", "Kinder spielen."] * 100
    assert suspicions(hypotheses, [REFERENCES]) == []


def test_tokenised_translations_are_noticed() -> None:
    [warning] = suspicions(["Ein Hund läuft ."] * 200, [REFERENCES])
    assert "200 of 200" in warning
    assert "detokenise" in warning


def test_a_few_odd_full_stops_are_not_tokenisation() -> None:
    assert suspicions(["Ein Hund läuft ."] * 99 + ["Ein Hund."] * 101, [REFERENCES]) == []


def test_most_lines_of_a_small_set_are_enough() -> None:
    assert len(suspicions(["Ein Hund .", "Ein Kind .", "Nein."], [["Ein Hund.", "Ein Kind.", "Nein."]])) == 1


def test_marks_of_subwords_are_noticed() -> None:
    clean = REFERENCES[:3]
    assert "▁" in suspicions(["▁Ein ▁Hund", *clean[1:]], [clean])[0]
    assert "@@" in suspicions(["Ein Hu@@ nd", *clean[1:]], [clean])[0]


def test_marks_that_the_references_have_too_are_text() -> None:
    lines = ["Schreiben Sie an x@@ oder y.", "A ▁ B"]
    assert suspicions(lines, [lines]) == []


def test_translations_without_capitals_are_noticed() -> None:
    [warning] = suspicions([line.lower() for line in REFERENCES], [REFERENCES])
    assert "capital" in warning


def test_a_language_without_capitals_is_fine() -> None:
    lines = ["我们 今天 去 公园"] * 5
    assert suspicions(lines, [lines]) == []


def test_empty_translations_are_counted() -> None:
    assert suspicions(["", "Ein Hund."], [["Ein Hund.", "Ein Hund."]]) == ["1 of 2 hypotheses is empty"]
    assert suspicions([" "] * 3, [["Ein Hund."] * 3]) == ["3 of 3 hypotheses are empty"]


def test_what_is_empty_in_the_references_too_may_be_empty() -> None:
    assert suspicions(["", "Ein Hund."], [["", "Ein Hund."]]) == []
