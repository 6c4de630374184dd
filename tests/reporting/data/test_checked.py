"""What a check found is wrapped to 80 columns, the worst first."""

from nmt_cli.data.checking.finding import Finding, share
from nmt_cli.reporting.data.checked import Checked


def checked(*findings: Finding) -> Checked:
    return Checked("recipe.yaml", [], [], "", None, "CPU", findings)


def test_errors_come_first_and_are_counted() -> None:
    text = checked(
        Finding("fact", "leaks", "data.filters", "known"),
        Finding("warning", "batch", "training", "small", "enlarge it"),
        Finding("error", "files", "data.train.x", "gone"),
    ).as_text()
    assert text.index("error    data.train.x: gone") < text.index("warning  training: small") < text.index("fact ")
    assert "      →  enlarge it" in text
    assert "1 error and 1 warning" in text
    assert "nmt check recipe.yaml" in text


def test_long_findings_are_wrapped() -> None:
    text = checked(Finding("warning", "x", "data.train.y", "word " * 60, "advice " * 40)).as_text()
    assert max(map(len, text.split("\n"))) <= 80


def test_what_text_holds_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in checked(Finding("warning", "x", "data.train.y", "\x1b[2J")).as_text()


def test_shares_are_never_rounded_to_nothing_or_all() -> None:
    assert share(0, 10) == "0 %"
    assert share(1, 10**6) == "less than 0.1 %"
    assert share(10**6 - 1, 10**6) == "more than 99.9 %"
    assert share(1, 40) == "2.5 %"
    assert share(1, 2) == "50 %"
