"""The program that measures how long a paired test takes."""

import pytest

from compare_speed import MULTI30K, SENTENCES, disturbed, seconds
from nmt_cli.evaluation.system_comparison import SystemOutput
from nmt_cli.text.lines import read_lines


def systems(references: list[str]) -> list[SystemOutput]:
    return [SystemOutput(name, (name,), (disturbed(references, rate, 1),)) for name, rate in (("A", 0.2), ("B", 0.19))]


def test_every_part_is_measured() -> None:
    references = ["Ein Hund läuft über das Gras.", "Zwei Kinder spielen."] * 5
    took = seconds(references, systems(references))
    assert list(took) == [
        *(f"statistics of {key}, both systems" for key in ("bleu", "chrf", "ter")),
        *(f"whole comparison, {method}" for method in ("bootstrap", "randomisation")),
    ]


def test_lines_are_disturbed_alike_each_time() -> None:
    lines = ["Ein Hund läuft über das Gras."] * 20
    assert disturbed(lines, 0.2, 1) == disturbed(lines, 0.2, 1) != lines
    assert disturbed(lines, 0.0, 1) == lines


@pytest.mark.slow
def test_a_thousand_sentences_are_compared_in_ten_seconds_of_one_core() -> None:
    if not MULTI30K.is_file():
        pytest.skip("Multi30k is not here")
    references = list(read_lines(MULTI30K))[:SENTENCES]
    took = seconds(references, systems(references))
    assert max(time for part, time in took.items() if part.startswith("whole")) < 10
