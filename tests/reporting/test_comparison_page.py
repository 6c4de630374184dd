"""HTML page of a comparison."""

import re
from pathlib import Path

import pytest
from fake_comparisons import make_comparison
from fake_runs import HOSTILE, FakeRun, write_run

from nmt_cli.errors import ResourceError
from nmt_cli.evaluation.system_comparison import Comparison
from nmt_cli.reporting import comparison_page
from nmt_cli.reporting.comparison_page import render_comparison, write_comparison


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("<main>") :]))


def render(found: Comparison) -> str:
    return render_comparison({"test": found}, {})


def test_page_shows_verdicts_scores_and_intervals() -> None:
    text = text_of(render(make_comparison()))
    assert "BLEU: verdict on Ein Satz" in text
    assert "1,000 sentences, paired bootstrap with 1,000 resamples" in text
    assert "second BLEU 39.50 38.00 to 41.00 ± 0.35 s1 39.25, s2 39.75" in text
    assert "length 1-9 words 12 30.00 35.00" in text


@pytest.mark.parametrize(("better", "sign"), [(True, "▲"), (False, "▼"), (None, "≈")])
def test_verdicts_have_a_symbol_besides_their_colour(better: bool | None, sign: str) -> None:
    assert f"{sign} BLEU: verdict" in text_of(render(make_comparison(better)))


@pytest.mark.parametrize(("lower_is_better", "best"), [(False, "35.00"), (True, "30.00")])
def test_best_score_of_each_slice_is_bold(lower_is_better: bool, best: str) -> None:
    assert re.findall(r"<strong>(\d+\.\d+)</strong>", render(make_comparison(lower_is_better=lower_is_better))) == [
        best
    ]


def test_changed_lines_mark_different_words() -> None:
    page = render(make_comparison())
    assert '<mark class="ours">eins</mark>' in page
    assert '<mark class="ours">zwei</mark>' not in page
    assert "line 7 · chrF2 20.00 → 80.00" in page
    assert page.count('<p class="empty">None.</p>') == 1


def test_page_shows_ngrams_of_each_system() -> None:
    text = text_of(render(make_comparison()))
    assert "Ein Satz 5 2.5" in text
    assert "war 1 9" in text


def test_page_shows_curves_settings_and_cost_of_runs(fake_run: FakeRun, tmp_path: Path) -> None:
    other = write_run(tmp_path / "runs" / "other", prepared="elsewhere")
    text = text_of(render_comparison({"test": make_comparison()}, {"first": fake_run.path, "second": other.path}))
    assert "Validation BLEU" in text
    assert "data.prepared prepared elsewhere" in text
    assert "data.source_language" not in text, "equal settings are omitted"
    assert "training time 1:02:05 1:02:05" in text


def test_page_escapes_untrusted_text() -> None:
    page = render(make_comparison(text=HOSTILE))
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page


def test_write_comparison_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(comparison_page, "render_comparison", full_disk)
    with pytest.raises(ResourceError):
        write_comparison({"test": make_comparison()}, {}, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_colour_belongs_to_the_system_not_to_its_place_in_a_chart(fake_run: FakeRun) -> None:
    """The first system has no curves, so the second is alone in the charts."""
    page = render_comparison({"test": make_comparison()}, {"second": fake_run.path})
    charts = page[page.index(">Training loss<") :]
    assert 'class="line s2"' in charts
    assert 'class="line s1"' not in charts
    assert re.search(r"Training loss.{0,200}second", charts[:600], re.DOTALL)
