"""Lines translated worst, and lines that changed most."""

from nmt_cli.evaluation.metrics import build_metrics, measure
from nmt_cli.evaluation.metrics.contract import Measured, Texts
from nmt_cli.evaluation.where.single_lines import changed_lines, telling, worst_lines
from nmt_cli.recipe.evaluation import Evaluation

REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen.", "Drei Frauen singen."]
SOURCES = ["A dog runs.", "Two children play.", "Three women sing."]
GOOD = Texts(REFERENCES, [REFERENCES], SOURCES)
MIXED = Texts(["Ein Hund rennt.", "Zwei Kinder spielen.", "Lieder."], [REFERENCES], SOURCES)


def measured(texts: Texts, key: str) -> Measured:
    return measure(texts, build_metrics(Evaluation(metrics=[key])))[0]


def test_the_worst_line_comes_first() -> None:
    for key in ("chrf", "ter"):
        found = worst_lines(MIXED, measured(MIXED, key), 2)
        assert [(line.line, line.hypothesis) for line in found] == [(3, "Lieder."), (1, "Ein Hund rennt.")]
    assert (found[0].source, found[0].references) == ("Three women sing.", ["Drei Frauen singen."])


def test_gains_and_losses_are_parted_and_unchanged_lines_left_out() -> None:
    for key in ("chrf", "ter"):
        gained, lost = changed_lines(MIXED, measured(MIXED, key), GOOD, measured(GOOD, key), 5)
        assert ([change.line for change in gained], lost) == ([3, 1], [])
        gained, lost = changed_lines(GOOD, measured(GOOD, key), MIXED, measured(MIXED, key), 1)
        assert (gained, [change.line for change in lost]) == ([], [3])
    assert (lost[0].first, lost[0].second) == ("Drei Frauen singen.", "Lieder.")


def test_lines_are_put_in_order_by_chrf_if_it_is_there() -> None:
    metrics = build_metrics(Evaluation(metrics=["ter", "bleu", "chrf"]))
    assert telling(measure(GOOD, metrics)).metric.key == "chrf"
    assert telling(measure(GOOD, metrics[:1])).metric.key == "ter"
