"""The report of a run: all that it holds is there, and what is missing is said in a sentence."""

import json
import re
import shutil
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from written_runs import HOSTILE, WrittenRun, sentence, training, validation, write_run

from nmt_cli import files
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.reporting.plots.heatmap import AttentionMap
from nmt_cli.reporting.run_report import page as page_module
from nmt_cli.reporting.run_report.page import Attention, read_run, render_run_report, write_run_report

NO_ATTENTION = Attention()
VOID = {"meta", "link", "br", "img"}


class Outline(HTMLParser):
    """Elements that were opened, sections by name with their text, and whether all were closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sections: dict[str, str] = {}
        self.section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
            self.sections[self.section] = ""
        if tag not in VOID:
            self.open.append(tag)
        if self.section and tag in ("td", "th", "dt", "dd"):
            self.sections[self.section] += " "

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "section":
            self.section = ""

    def handle_data(self, data: str) -> None:
        if self.section:
            self.sections[self.section] += data


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    assert not found.open
    return found


def report(written: WrittenRun, attention: Attention = NO_ATTENTION, lines: tuple[int, ...] = ()) -> Outline:
    return outline(render_run_report(read_run(written.path), attention, lines))


def test_a_whole_run_is_told_in_sections(written: WrittenRun) -> None:
    sections = report(written, Attention([AttentionMap(1, ["▁a"], ["▁b"], [[1.0]])])).sections
    assert list(sections) == [
        "scores",
        "where-it-is-good",
        "learning-curves",
        "data",
        "samples",
        "attention",
        "environment-and-cost",
        "recipe",
    ]
    assert "38.25" in sections["scores"]
    assert "36.50 to 40.00" in sections["scores"]
    assert "nrefs:1|tok:13a" in sections["scores"]
    for title in ("Loss", "BLEU", "chrF", "Learning rate", "Gradient norm", "Target subwords per second", "Memory"):
        assert title in sections["learning-curves"]
    assert "best 30" in sections["learning-curves"]
    assert "update 200" in sections["learning-curves"]
    assert "läuft" in sections["samples"]
    assert "▁b" in sections["attention"]
    assert "1:02:05" in sections["environment-and-cost"]
    assert "source_language: en" in sections["recipe"]


def test_the_mixture_and_what_was_dropped_are_told(written: WrittenRun) -> None:
    text = re.sub(r"\s+", " ", report(written).sections["data"])
    assert "train/large 90.9 % – 7 4 3 empty 2, too long 1 20 20" in text
    assert "train/small 9.1 % – 4 1 3" in text
    assert "valid/dev – – 4 1 3" in text
    assert "Training read 15,000 target subwords in 3.0 epochs" in text
    assert "source: 5 lines, mean 4.4, median 4, longest 9" in text


def test_the_mixture_is_the_realised_one_where_the_journal_tells_it(written: WrittenRun) -> None:
    came = {"large": {"pairs": 6, "target_tokens": 30}, "small": {"pairs": 3, "target_tokens": 10}}
    written.journal([training(100), training(200, mixture=came)])
    text = re.sub(r"\s+", " ", report(written).sections["data"])
    assert "train/large 75.0 % 1.5 7 4 3" in text
    assert "train/small 25.0 % 3.0 4 1 3" in text


def test_each_reason_is_told_with_examples(written: WrittenRun) -> None:
    text = re.sub(r"\s+", " ", report(written).sections["data"])
    assert "train/large empty: a side is empty 2 28.57 % 2 alone 2 1,002 alone 1002" in text
    assert "too long: a side has more than 9 subwords 1 14.29 % 4 <b>long & … lang …" in text


def test_where_nothing_was_dropped_there_is_nothing_to_tell(written: WrittenRun) -> None:
    manifest = files.read_json(Path("prepared/manifest.json"))
    for entry in manifest["corpora"].values():
        entry |= {"dropped": {}, "examples": {}}
    files.write_json(Path("prepared/manifest.json"), manifest)
    text = report(written).sections["data"]
    assert "train/large" in text
    assert "What was dropped" not in text


def test_hashes_of_data_and_evaluation_are_told(written: WrittenRun) -> None:
    provenance = {"model": "m" * 64, "source": "s" * 64, "references": ["r" * 64]}
    written.evaluate("test", [sentence(0, "a", "b")], provenance=provenance)
    text = report(written).sections["environment-and-cost"]
    for letter in "msr":
        assert letter * 64 in text
    assert files.sha256(written.run.recipe) in text


def remove(name: str) -> Callable[[WrittenRun], None]:
    def change(written: WrittenRun) -> None:
        path = written.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def put(name: str, content: str) -> Callable[[WrittenRun], None]:
    return lambda written: (written.path / name).write_text(content) and None


@pytest.mark.parametrize(
    ("change", "section", "told"),
    [
        (remove("evaluation"), "scores", "No test set is evaluated yet"),
        (remove("evaluation"), "samples", "There are no translations yet"),
        (remove("evaluation/test/hypotheses.jsonl"), "samples", "There are no translations yet"),
        (remove("metrics.jsonl"), "learning-curves", "no journal"),
        (put("metrics.jsonl", ""), "learning-curves", "tells of no update yet"),
        (put("metrics.jsonl", "{\n"), "learning-curves", "tells of no update yet"),
        (remove("resolved.yaml"), "data", "recipe of the run cannot be read"),
        (remove("../../prepared"), "data", "prepared data is not at prepared"),
        (put("../../prepared/manifest.json", '{"kind": 7}'), "data", "is not data prepared by nmt"),
        (remove("run.json"), "", ""),
    ],
)
def test_what_is_missing_is_said_in_its_section(
    change: Callable[[WrittenRun], None], section: str, told: str, written: WrittenRun
) -> None:
    change(written)
    if not section:
        with pytest.raises(ModelError, match=r"run\.json"):
            read_run(written.path)
        return
    assert told in report(written).sections[section]


@pytest.mark.parametrize("content", ["{", "[]", '{"scores": 3}', '{"scores": [{"score": NaN}]}', '{"warnings": 1}'])
def test_damaged_scores_do_not_stop_the_report(content: str, written: WrittenRun) -> None:
    (written.run.evaluation("test") / "scores.json").write_text(content)
    assert "source_language" in report(written).sections["recipe"]


@pytest.mark.parametrize(
    "content", ["{}", '{"status": null, "best": 3, "environment": [], "seconds": "x", "update": "a"}']
)
def test_a_strange_summary_does_not_stop_the_report(content: str, written: WrittenRun) -> None:
    written.run.summary.write_text(content)
    assert "source_language" in report(written).sections["recipe"]


@pytest.mark.parametrize("content", ["{", "[]", '{"slices": 3}', '{"slices": [{"kind": 1}]}'])
def test_a_damaged_analysis_is_named(content: str, written: WrittenRun) -> None:
    (written.run.evaluation("test") / "analysis.json").write_text(content)
    assert "analysis.json" in report(written).sections["where-it-is-good"]


def test_where_translations_are_good_is_told(written: WrittenRun) -> None:
    folder = written.run.evaluation("test")
    phrase = {"words": "of the <b>", "produced": 9, "expected": 2.5, "surplus": 6.5}
    line = {"line": 3, "score": 1.25, "source": None, "hypothesis": "", "references": ["Nichts."]}
    analysis = {
        "test_set": "test",
        "slices": [{"kind": "source length", "name": "1-9 words", "sentences": 3, "scores": {"bleu": 17.5}}],
        "word_bands": [{"seen": "never", "expected": 5, "produced": 4, "matched": 3, "f1": 66.7}],
        "ngrams": {"too_often": [phrase], "too_rarely": []},
        "lines_by": "chrF2",
        "worst_lines": [line],
    }
    files.write_json(folder / "analysis.json", analysis)
    drop = {"metric": "bleu", "undisturbed": 38.0, "disturbed": 21.0, "difference": -17.0, "p": 0.0001}
    provenance = files.read_json(folder / "scores.json")["provenance"]
    robustness = {"sets": [{"name": "upper case", "changed": 3, "drops": [drop]}], "provenance": provenance}
    files.write_json(folder / "robustness.json", robustness)

    text = re.sub(r"\s+", " ", report(written).sections["where-it-is-good"])

    assert "source length 1-9 words 3 17.50" in text
    assert "never 5 4 3 66.70" in text
    assert "of the <b> 9 2.5" in text
    assert "upper case 3 BLEU 38.00 21.00 -17.00 < 0.001" in text
    assert "line 3 · chrF2 1.25" in text


def test_what_disturbances_cost_belongs_to_the_scores_or_is_not_told(written: WrittenRun) -> None:
    sentences = [sentence(0, "Ein Hund.", "Ein Hund.")]
    folder = written.evaluate("test", sentences, provenance={"model": "aa"})
    kinds = {"slices": [], "word_bands": [], "ngrams": {"too_often": [], "too_rarely": []}}
    files.write_json(folder / "analysis.json", kinds | {"lines_by": "chrF2", "worst_lines": []})
    drop = {"metric": "bleu", "undisturbed": 38.0, "disturbed": 21.0, "difference": -17.0, "p": 0.001}
    sets = [{"name": "upper case", "changed": 3, "drops": [drop]}]
    for model in ("aa", "bb"):
        files.write_json(folder / "robustness.json", {"sets": sets, "provenance": {"model": model}})
        assert ("upper case" in report(written).sections["where-it-is-good"]) == (model == "aa")


def test_a_run_that_is_going_on_is_told_so_far(written: WrittenRun) -> None:
    files.write_json(written.run.summary, {"format": 1, "status": "running", "started": "2026-01-02"})
    written.journal([training(50), training(100)])
    shutil.rmtree(written.run.evaluation("test").parent)
    page = render_run_report(read_run(written.path), Attention(), ())
    assert "running" in page
    assert "Loss" in outline(page).sections["learning-curves"]


def test_a_run_that_diverged_shows_where(written: WrittenRun) -> None:
    returned = {"time": 0, "update": 100, "kind": "event", "event": "rolled back", "diverged_after": 130}
    written.journal([training(50), training(100, loss=None, gradient_norm=None), returned, training(150)])
    text = report(written).sections["learning-curves"]
    assert "1 value was no number" in text
    assert "rolled back: diverged_after 130" in text


def test_damaged_lines_of_the_journal_are_counted(written: WrittenRun) -> None:
    with written.run.metrics.open("a") as file:
        file.write('{"update": 7\n')
    assert "1 line of metrics.jsonl could not be read and is left out" in report(written).sections["learning-curves"]


def test_damaged_hypotheses_are_counted(written: WrittenRun) -> None:
    with (written.run.evaluation("test") / "hypotheses.jsonl").open("a") as file:
        file.write("{\n")
    assert "1 lines of hypotheses.jsonl could not be read" in report(written).sections["scores"]


def test_chosen_lines_are_shown_in_place_of_samples(written: WrittenRun) -> None:
    text = report(written, lines=(2,)).sections["samples"]
    assert "Zwei Kinder." in text
    assert "Hund" not in text


def test_nothing_that_others_wrote_is_obeyed(written: WrittenRun) -> None:
    plain = report(written).tags
    written.evaluate("test", [sentence(n, HOSTILE, HOSTILE, HOSTILE) for n in range(3)], warnings=[HOSTILE])
    summary = json.loads(written.run.summary.read_text())
    files.write_json(written.run.summary, summary | {"reason": HOSTILE, "command": [HOSTILE], "status": HOSTILE})
    written.run.resolved.write_text(written.run.resolved.read_text() + f"# {HOSTILE}\n")
    written.journal([validation(1, 2.0, name=HOSTILE), training(1) | {"kind": "event", "event": HOSTILE}])

    page = render_run_report(read_run(written.path), Attention([AttentionMap(1, [HOSTILE], ["a"], [[1.0]])]), ())

    tags = outline(page).tags
    assert set(tags) <= set(plain) | {"rect", "circle"}
    assert "script" not in tags
    assert "\u202e" not in page
    assert "49" not in outline(page).sections["samples"], "what looks like a template is no template"


def test_a_page_asks_for_nothing_from_outside(written: WrittenRun) -> None:
    page = render_run_report(read_run(written.path), Attention(), ())
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?!["']?#|["']?data:,)""", page)


def test_the_page_is_written_whole_or_not_at_all(
    written: WrittenRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "report.html"
    write_run_report(read_run(written.path), Attention(), (), output)
    whole = output.read_bytes()

    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page_module, "render_run_report", full_disk)
    with pytest.raises(ResourceError):
        write_run_report(read_run(written.path), Attention(), (), output)
    assert output.read_bytes() == whole
    assert not list(tmp_path.glob("*.tmp"))


def test_the_same_run_makes_the_same_page(written: WrittenRun) -> None:
    pages = {render_run_report(read_run(written.path), Attention(), ()) for _ in range(2)}
    assert len(pages) == 1


@pytest.mark.slow
def test_a_run_of_a_hundred_thousand_updates_is_quick_and_small(written: WrittenRun) -> None:
    """Each update reported: a hundred times as many records as usual."""
    records = [training(step, loss=3 + (step * 7919 % 1000) / 1000) for step in range(1, 100_001)]
    written.journal([*records, *(validation(step, step / 5000) for step in range(500, 100_001, 500))])
    began = time.process_time()

    page = render_run_report(read_run(written.path), Attention(), ())

    assert time.process_time() - began < 5
    assert len(page.encode()) < 3_000_000


def test_very_long_sentences_are_cut(written: WrittenRun) -> None:
    written.evaluate("test", [sentence(0, "ab " * 100_000, "c " * 100_000, "d" * 1_000_000)])
    page = render_run_report(read_run(written.path), Attention(), ())
    assert len(page) < 500_000
    assert "characters more" in page


def test_other_names_of_the_same_data_are_not_taken_for_it(written: WrittenRun, tmp_path: Path) -> None:
    other = write_run(tmp_path / "runs" / "other", data="another fingerprint")
    assert "now holds other data" in report(other).sections["data"]
