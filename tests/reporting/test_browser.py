"""Pages in headless Chromium: no console messages, no requests, no horizontal scrolling, fast loading."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from fake_comparisons import make_comparison
from fake_runs import HOSTILE, FakeRun, sentence, training, validation

from nmt_cli.reporting.comparison_page import write_comparison
from nmt_cli.reporting.plots.figures import AttentionMap
from nmt_cli.reporting.run_report import read_run
from nmt_cli.reporting.run_report.page import AttentionMaps, write_run_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
WIDE_MAP = AttentionMap(1, ["▁word"] * 60, ["▁Wort"] * 60, [[1 / 60] * 60] * 60)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(fake_run: FakeRun, tmp_path: Path) -> Path:
    """A report with hostile text."""
    fake_run.evaluate("test", [sentence(n, HOSTILE, "Ein Satz.", "x" * 300) for n in range(3)])
    output = tmp_path / "report.html"
    write_run_report(read_run(fake_run.path), AttentionMaps([WIDE_MAP]), (), output)
    return output


def test_browser_records_requests_and_messages(tmp_path: Path, browser: Browser) -> None:
    address = "http://127.0.0.1:9/a.png"  # nothing listens there
    (tmp_path / "bad.html").write_text(f'<img src="{address}"><script>console.error("x")</script>')
    opened = browser.open(tmp_path / "bad.html")
    assert opened.requests == [address]
    assert opened.messages


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_report_opens_without_messages_and_requests(width: int, dark: bool, page: Path, browser: Browser) -> None:
    opened = browser.open(page, width, dark)
    assert opened.messages == []
    assert opened.requests == []
    assert opened.width <= width, "only elements with their own scroll bar may be wider"
    assert opened.screenshot.startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [1280, 390])
def test_comparison_opens_without_messages_and_requests(
    width: int, fake_run: FakeRun, tmp_path: Path, browser: Browser
) -> None:
    output = tmp_path / "comparison.html"
    write_comparison({"test": make_comparison(text=HOSTILE)}, {"first": fake_run.path}, output)
    opened = browser.open(output, width)
    assert opened.messages == []
    assert opened.requests == []
    assert opened.width <= width


def test_report_follows_the_colour_scheme(page: Path, browser: Browser) -> None:
    assert browser.open(page, 390, dark=False).screenshot != browser.open(page, 390, dark=True).screenshot


def test_report_of_100_000_updates_opens_in_under_a_second(fake_run: FakeRun, tmp_path: Path, browser: Browser) -> None:
    fake_run.journal(
        [
            *(training(step, loss=3 + (step * 7919 % 1000) / 1000) for step in range(1, 100_001)),
            *(validation(step, step / 5000) for step in range(500, 100_001, 500)),
        ]
    )
    write_run_report(read_run(fake_run.path), AttentionMaps([WIDE_MAP] * 3), (), tmp_path / "long.html")
    assert min(browser.open(tmp_path / "long.html").load_seconds for _ in range(3)) < 1
