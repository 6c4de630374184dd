"""Pages as Chromium sees them: no complaint, no request, nothing too wide, soon there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from compared_systems import comparison
from written_runs import HOSTILE, WrittenRun, sentence, training, validation

from nmt_cli.reporting.comparison import write_comparison
from nmt_cli.reporting.plots.heatmap import AttentionMap
from nmt_cli.reporting.run_report.page import Attention, read_run, write_run_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]
WIDE_MAP = AttentionMap(1, ["▁word"] * 60, ["▁Wort"] * 60, [[1 / 60] * 60] * 60)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(written: WrittenRun, tmp_path: Path) -> Path:
    """A report with sentences that would do harm if they could."""
    written.evaluate("test", [sentence(n, HOSTILE, "Ein Satz.", "x" * 300) for n in range(3)])
    output = tmp_path / "report.html"
    write_run_report(read_run(written.path), Attention([WIDE_MAP]), (), output)
    return output


def test_the_browser_tells_of_requests_and_complaints(tmp_path: Path, browser: Browser) -> None:
    address = "http://127.0.0.1:9/a.png"  # where nobody listens
    (tmp_path / "bad.html").write_text(f'<img src="{address}"><script>console.error("x")</script>')
    opened = browser.open(tmp_path / "bad.html")
    assert opened.requests == [address]
    assert opened.complaints


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_a_report_opens_without_complaint_and_asks_for_nothing(
    width: int, dark: bool, page: Path, browser: Browser
) -> None:
    opened = browser.open(page, width, dark)
    assert opened.complaints == []
    assert opened.requests == []
    assert opened.width <= width, "nothing has to be scrolled sideways but what scrolls by itself"
    assert opened.picture.startswith(b"\x89PNG")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_comparison_opens_without_complaint_and_asks_for_nothing(
    width: int, written: WrittenRun, tmp_path: Path, browser: Browser
) -> None:
    output = tmp_path / "comparison.html"
    write_comparison({"test": comparison(text=HOSTILE)}, {"first": written.path}, output)
    opened = browser.open(output, width)
    assert opened.complaints == []
    assert opened.requests == []
    assert opened.width <= width


def test_light_and_dark_differ(page: Path, browser: Browser) -> None:
    assert browser.open(page, 390, dark=False).picture != browser.open(page, 390, dark=True).picture


def test_a_report_of_a_hundred_thousand_updates_opens_in_under_a_second(
    written: WrittenRun, tmp_path: Path, browser: Browser
) -> None:
    written.journal(
        [
            *(training(step, loss=3 + (step * 7919 % 1000) / 1000) for step in range(1, 100_001)),
            *(validation(step, step / 5000) for step in range(500, 100_001, 500)),
        ]
    )
    write_run_report(read_run(written.path), Attention([WIDE_MAP] * 3), (), tmp_path / "long.html")
    assert min(browser.open(tmp_path / "long.html").load_seconds for _ in range(3)) < 1
