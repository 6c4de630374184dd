"""The page of a comparison tells all that was found, and obeys no text of others."""

import re
from pathlib import Path

import pytest
from compared_systems import Comparison, comparison
from written_runs import HOSTILE, WrittenRun, write_run

from nmt_cli.errors import ResourceError
from nmt_cli.reporting import comparison as comparison_module
from nmt_cli.reporting.comparison import render_comparison, write_comparison


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page[page.index("<main>") :]))


def render(found: Comparison) -> str:
    return render_comparison({"test": found}, {})


def test_verdicts_scores_and_intervals_are_told() -> None:
    text = text_of(render(comparison()))
    assert "BLEU: what is to be said of Ein Satz" in text
    assert "1,000 sentences, paired bootstrap with 1,000 resamples" in text
    assert "second BLEU 39.50 38.00 to 41.00 ± 0.35 s1 39.25, s2 39.75" in text
    assert "length 1-9 words 12 30.00 35.00" in text


@pytest.mark.parametrize(("better", "sign"), [(True, "▲"), (False, "▼"), (None, "≈")])
def test_a_verdict_is_told_by_more_than_colour(better: bool | None, sign: str) -> None:
    assert f"{sign} BLEU: what" in text_of(render(comparison(better)))


@pytest.mark.parametrize(("lower_is_better", "best"), [(False, "35.00"), (True, "30.00")])
def test_the_best_of_each_kind_is_bold(lower_is_better: bool, best: str) -> None:
    assert re.findall(r"<strong>(\d+\.\d+)</strong>", render(comparison(lower_is_better=lower_is_better))) == [best]


def test_lines_that_changed_show_the_words_that_differ() -> None:
    page = render(comparison())
    assert '<mark class="ours">eins</mark>' in page
    assert '<mark class="ours">zwei</mark>' not in page
    assert "line 7 · chrF2 20.0 → 80.0" in page
    assert "No line lost." in page


def test_phrases_of_each_system_are_told() -> None:
    text = text_of(render(comparison()))
    assert "Ein Satz 5 2.5" in text
    assert "war 1 9" in text


def test_runs_are_set_beside_each_other(written: WrittenRun, tmp_path: Path) -> None:
    other = write_run(tmp_path / "runs" / "other", prepared="elsewhere")
    text = text_of(render_comparison({"test": comparison()}, {"first": written.path, "second": other.path}))
    assert "Validation BLEU" in text
    assert "data.prepared prepared elsewhere" in text
    assert "data.source_language" not in text, "what is equal is not told"
    assert "training time 1:02:05 1:02:05" in text


def test_nothing_that_others_wrote_is_obeyed() -> None:
    page = render(comparison(text=HOSTILE))
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(comparison_module, "render_comparison", full_disk)
    with pytest.raises(ResourceError):
        write_comparison({"test": comparison()}, {}, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
