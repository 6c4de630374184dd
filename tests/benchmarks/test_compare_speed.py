"""The benchmark of a comparison."""

import pytest

from compare_speed import MULTI30K, SENTENCES, perturb, seconds
from nmt_cli.evaluation.system_comparison import SystemOutput
from nmt_cli.text.lines import read_lines


def systems(references: list[str]) -> list[SystemOutput]:
    return [SystemOutput(name, (name,), (perturb(references, rate, 1),)) for name, rate in (("A", 0.2), ("B", 0.19))]


def test_seconds_measures_every_part() -> None:
    references = ["Ein Hund läuft über das Gras.", "Zwei Kinder spielen."] * 5
    times = seconds(references, systems(references))
    assert list(times) == [
        *(f"statistics of {key}, both systems" for key in ("bleu", "chrf", "ter")),
        *(f"complete comparison, {method}" for method in ("bootstrap", "randomisation")),
    ]


def test_perturb_is_deterministic() -> None:
    lines = ["Ein Hund läuft über das Gras."] * 20
    assert perturb(lines, 0.2, 1) == perturb(lines, 0.2, 1) != lines
    assert perturb(lines, 0.0, 1) == lines


@pytest.mark.slow
def test_comparison_of_1000_sentences_takes_less_than_10_seconds() -> None:
    if not MULTI30K.is_file():
        pytest.skip("Multi30k is not available")
    references = list(read_lines(MULTI30K))[:SENTENCES]
    times = seconds(references, systems(references))
    assert max(time for part, time in times.items() if part.startswith("complete")) < 10
