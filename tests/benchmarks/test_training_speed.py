from pathlib import Path

import pytest

from peers.child import Speed
from peers.contract import Corpus, Work
from training_speed import OURS, Result, table


def result(system: str, precision: str, tokens: int, batch: int = 1024) -> Result:
    work = Work(Corpus("text", Path("text")), "small", precision, batch, "cpu", 16.0)
    speed = Speed(tokens, wall=2.0, cpu=1.0, first_report=3.0, first_report_cpu=2.0, peak_memory=2**30)
    return Result(system, work, speed, of_product=0.5)


def cells(results: list[Result], system: str, precision: str) -> list[str]:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(results)]
    return next(row for row in rows if row[3] == precision and row[4] == system)


RESULTS = [
    *(result(OURS, "fp32", tokens) for tokens in (1200, 9000, 1300)),
    result("slow", "fp32", 500),
    result("fast", "fp32", 1000),
    result("fast", "fp32", 5000, batch=4096),
    result(OURS, "bf16", 3000),
    result("fast", "bf16", 2000),
]


@pytest.mark.parametrize(
    ("system", "precision", "ratios"),
    [(OURS, "fp32", ["1.30", "1.30"]), ("slow", "fp32", ["0.50", "0.50"]), (OURS, "bf16", ["1.50", "3.00"])],
)
def test_ratios_compare_with_the_fastest_peer(system: str, precision: str, ratios: list[str]) -> None:
    assert cells(RESULTS, system, precision)[-2:] == ratios


def test_figures_are_medians_over_rounds() -> None:
    assert cells(RESULTS, OURS, "fp32")[5:7] == ["650", "1,300"]


def test_unsupported_precision_is_compared_with_fp32() -> None:
    results = [result(OURS, "bf16", 3000), result("slow", "fp32", 500)]

    assert cells(results, OURS, "bf16")[-2:] == ["6.00", "6.00"]


def test_without_peers_there_is_no_ratio() -> None:
    assert cells([result(OURS, "fp32", 1000)], OURS, "fp32")[-2:] == ["", ""]
