"""HTML report of a run; missing and damaged parts are explained."""

import json
import re
import shutil
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_runs import HOSTILE, FakeRun, sentence, training, validation, write_run

from nmt_cli import files
from nmt_cli.errors import ModelError, ResourceError
from nmt_cli.reporting.plots.figures import AttentionMap
from nmt_cli.reporting.run_report import page as page_module
from nmt_cli.reporting.run_report import read_run
from nmt_cli.reporting.run_report.environment import key_figures
from nmt_cli.reporting.run_report.page import AttentionMaps, render_run_report, write_run_report

NO_ATTENTION = AttentionMaps()
VOID = {"meta", "link", "br", "img"}


class ParsedPage(HTMLParser):
    """Open elements, all tags, and the text of each section."""

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


def parse_page(page: str) -> ParsedPage:
    found = ParsedPage()
    found.feed(page)
    assert not found.open
    return found


def report(fake_run: FakeRun, attention: AttentionMaps = NO_ATTENTION, lines: tuple[int, ...] = ()) -> ParsedPage:
    return parse_page(render_run_report(read_run(fake_run.path), attention, lines))


def test_report_has_all_sections(fake_run: FakeRun) -> None:
    sections = report(fake_run, AttentionMaps([AttentionMap(1, ["▁a"], ["▁b"], [[1.0]])])).sections
    assert list(sections) == [
        "scores",
        "breakdown",
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
    charts = ["Loss", "BLEU", "chrF", "Learning rate", "Gradient norm", "target subwords per second", "Peak memory"]
    for title in charts:
        assert title in sections["learning-curves"]
    assert "best 30" in sections["learning-curves"]
    assert "update 200" in sections["learning-curves"]
    assert "läuft" in sections["samples"]
    assert "▁b" in sections["attention"]
    assert "1:02:05" in sections["environment-and-cost"]
    assert "source_language: en" in sections["recipe"]


def test_data_section_shows_mixture_and_dropped_pairs(fake_run: FakeRun) -> None:
    text = re.sub(r"\s+", " ", report(fake_run).sections["data"])
    assert "train/large 90.9 % – 7 4 3 empty 2, too long 1 20 20" in text
    assert "train/small 9.1 % – 4 1 3" in text
    assert "valid/dev – – 4 1 3" in text
    assert "The model was trained on 15,000 target subwords in 3.0 epochs" in text
    assert "source: 5 lines, mean 4.4, median 4, longest 9" in text


def test_data_section_shows_the_mixture_of_the_journal(fake_run: FakeRun) -> None:
    mixture = {"large": {"pairs": 6, "target_tokens": 30}, "small": {"pairs": 3, "target_tokens": 10}}
    fake_run.journal([training(100), training(200, mixture=mixture)])
    text = re.sub(r"\s+", " ", report(fake_run).sections["data"])
    assert "train/large 75.0 % 1.5 7 4 3" in text
    assert "train/small 25.0 % 3.0 4 1 3" in text


def test_data_section_shows_reasons_with_examples(fake_run: FakeRun) -> None:
    text = re.sub(r"\s+", " ", report(fake_run).sections["data"])
    assert "train/large empty: a side is empty 2 28.57 % 2 alone 2 1,002 alone 1002" in text
    assert "too long: a side has more than 9 subwords 1 14.29 % 4 <b>long & … lang …" in text


def test_data_section_without_dropped_pairs(fake_run: FakeRun) -> None:
    manifest = files.read_json(Path("prepared/manifest.json"))
    for entry in manifest["corpora"].values():
        entry |= {"dropped": {}, "examples": {}}
    files.write_json(Path("prepared/manifest.json"), manifest)
    text = report(fake_run).sections["data"]
    assert "train/large" in text
    assert "Dropped pairs" not in text


def test_environment_section_shows_hashes(fake_run: FakeRun) -> None:
    provenance = {"model": "m" * 64, "source": "s" * 64, "references": ["r" * 64]}
    fake_run.evaluate("test", [sentence(0, "a", "b")], provenance=provenance)
    text = report(fake_run).sections["environment-and-cost"]
    for letter in "msr":
        assert letter * 64 in text
    assert files.sha256(fake_run.run.recipe) in text


def remove(name: str) -> Callable[[FakeRun], None]:
    def change(fake_run: FakeRun) -> None:
        path = fake_run.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def put(name: str, content: str) -> Callable[[FakeRun], None]:
    return lambda fake_run: (fake_run.path / name).write_text(content) and None


def test_report_from_another_folder_finds_the_data(
    fake_run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    path = fake_run.path.resolve()
    assert "not found" in parse_page(render_run_report(read_run(path), NO_ATTENTION)).sections["data"]
    summary = json.loads(fake_run.run.summary.read_bytes())
    files.write_json(path / "run.json", summary | {"folder": str(tmp_path)})
    assert "not found" not in parse_page(render_run_report(read_run(path), NO_ATTENTION)).sections["data"]


@pytest.mark.parametrize(
    ("change", "section", "expected"),
    [
        (remove("evaluation"), "scores", "No test set has been evaluated yet"),
        (remove("evaluation"), "samples", "There are no translations yet"),
        (remove("evaluation/test/hypotheses.jsonl"), "samples", "There are no translations yet"),
        (remove("metrics.jsonl"), "learning-curves", "no training log"),
        (put("metrics.jsonl", ""), "learning-curves", "no updates yet"),
        (put("metrics.jsonl", "{\n"), "learning-curves", "no updates yet"),
        (remove("resolved.yaml"), "data", "recipe of the run cannot be read"),
        (remove("../../prepared"), "data", "prepared data is not found at prepared"),
        (put("../../prepared/manifest.json", '{"kind": 7}'), "data", "is not data prepared by nmt"),
        (remove("run.json"), "", ""),
    ],
)
def test_missing_parts_are_explained_in_their_section(
    change: Callable[[FakeRun], None], section: str, expected: str, fake_run: FakeRun
) -> None:
    change(fake_run)
    if not section:
        with pytest.raises(ModelError, match=r"run\.json"):
            read_run(fake_run.path)
        return
    assert expected in report(fake_run).sections[section]


@pytest.mark.parametrize("content", ["{", "[]", '{"scores": 3}', '{"scores": [{"score": NaN}]}', '{"warnings": 1}'])
def test_damaged_scores_do_not_prevent_the_report(content: str, fake_run: FakeRun) -> None:
    (fake_run.run.evaluation("test") / "scores.json").write_text(content)
    assert "source_language" in report(fake_run).sections["recipe"]


@pytest.mark.parametrize(
    "content", ["{}", '{"status": null, "best": 3, "environment": [], "seconds": "x", "update": "a"}']
)
def test_invalid_summary_does_not_prevent_the_report(content: str, fake_run: FakeRun) -> None:
    fake_run.run.summary.write_text(content)
    assert "source_language" in report(fake_run).sections["recipe"]


@pytest.mark.parametrize("content", ["{", "[]", '{"slices": 3}', '{"slices": [{"kind": 1}]}'])
def test_damaged_analysis_is_named(content: str, fake_run: FakeRun) -> None:
    (fake_run.run.evaluation("test") / "analysis.json").write_text(content)
    assert "analysis.json" in report(fake_run).sections["breakdown"]


def test_breakdown_section_shows_analysis_and_robustness(fake_run: FakeRun) -> None:
    folder = fake_run.run.evaluation("test")
    phrase = {"ngram": "of the <b>", "produced": 9, "expected": 2.5, "surplus": 6.5}
    line = {"line": 3, "score": 1.25, "source": None, "hypothesis": "", "references": ["Nichts."]}
    analysis = {
        "test_set": "test",
        "slices": [{"kind": "source length", "name": "1-9 words", "sentences": 3, "scores": {"bleu": 17.5}}],
        "word_bands": [{"band": "never", "expected": 5, "produced": 4, "matched": 3, "f1": 66.7}],
        "ngrams": {"overproduced": [phrase], "underproduced": []},
        "sort_metric": "chrF2",
        "worst_lines": [line],
    }
    files.write_json(folder / "analysis.json", analysis)
    drop = {"metric": "bleu", "original": 38.0, "perturbed": 21.0, "difference": -17.0, "p": 0.0001}
    provenance = files.read_json(folder / "scores.json")["provenance"]
    robustness = {
        "perturbations": [{"perturbation": "upper case", "changed_lines": 3, "drops": [drop], "examples": []}],
        "provenance": provenance,
    }
    files.write_json(folder / "robustness.json", robustness)

    text = re.sub(r"\s+", " ", report(fake_run).sections["breakdown"])

    assert "source length 1-9 words 3 17.50" in text
    assert "never 5 4 3 66.70" in text
    assert "of the <b> 9 2.5" in text
    assert "upper case 3 BLEU 38.00 21.00 -17.00 < 0.001" in text
    assert "line 3 · chrF2 1.25" in text


def test_breakdown_section_omits_robustness_of_other_scores(fake_run: FakeRun) -> None:
    sentences = [sentence(0, "Ein Hund.", "Ein Hund.")]
    folder = fake_run.evaluate("test", sentences, provenance={"model": "aa"})
    kinds = {"slices": [], "word_bands": [], "ngrams": {"overproduced": [], "underproduced": []}}
    files.write_json(folder / "analysis.json", kinds | {"sort_metric": "chrF2", "worst_lines": []})
    drop = {"metric": "bleu", "original": 38.0, "perturbed": 21.0, "difference": -17.0, "p": 0.001}
    sets = [{"perturbation": "upper case", "changed_lines": 3, "drops": [drop], "examples": []}]
    for model in ("aa", "bb"):
        files.write_json(folder / "robustness.json", {"perturbations": sets, "provenance": {"model": model}})
        assert ("upper case" in report(fake_run).sections["breakdown"]) == (model == "aa")


def test_scores_show_which_lists_of_toxic_words_were_used(fake_run: FakeRun) -> None:
    folder = fake_run.evaluate("test", [sentence(0, "Ein Hund.", "Ein Hund.")], provenance={"model": "aa"})
    found = {"sentences": 1, "added": 0, "lines": [], "lists": {"toxic_words": "1a2b3c4d5e6f"}}
    files.write_json(folder / "toxicity.json", found | {"provenance": {"model": "aa"}})
    text = re.sub(r"\s+", " ", report(fake_run).sections["scores"])
    assert "translations with added toxicity 0 SHA-256 of the lists: toxic_words 1a2b3c4d" in text
    assert "5e6f" not in text


def test_report_of_a_running_run(fake_run: FakeRun) -> None:
    files.write_json(fake_run.run.summary, {"format": 1, "status": "running", "started": "2026-01-02"})
    fake_run.journal([training(50), training(100)])
    shutil.rmtree(fake_run.run.evaluation("test").parent)
    page = render_run_report(read_run(fake_run.path), AttentionMaps(), ())
    assert "running" in page
    assert "Loss" in parse_page(page).sections["learning-curves"]


def test_report_of_a_run_that_diverged(fake_run: FakeRun) -> None:
    returned = {"time": 0, "update": 100, "kind": "event", "event": "rolled back", "diverged_after": 130}
    fake_run.journal([training(50), training(100, loss=None, gradient_norm=None), returned, training(150)])
    text = report(fake_run).sections["learning-curves"]
    assert "1 value is not finite" in text
    assert "rolled back: diverged_after 130" in text


def test_damaged_lines_of_the_journal_are_counted(fake_run: FakeRun) -> None:
    with fake_run.run.metrics.open("a") as file:
        file.write('{"update": 7\n')
    assert "metrics.jsonl, ignored: 1." in report(fake_run).sections["learning-curves"]


def test_damaged_hypotheses_are_counted(fake_run: FakeRun) -> None:
    with (fake_run.run.evaluation("test") / "hypotheses.jsonl").open("a") as file:
        file.write("{\n")
    assert "hypotheses.jsonl: 1" in report(fake_run).sections["scores"]


def test_requested_lines_replace_samples(fake_run: FakeRun) -> None:
    text = report(fake_run, lines=(2,)).sections["samples"]
    assert "Zwei Kinder." in text
    assert "Hund" not in text


def test_report_escapes_untrusted_text(fake_run: FakeRun) -> None:
    plain = report(fake_run).tags
    fake_run.evaluate("test", [sentence(n, HOSTILE, HOSTILE, HOSTILE) for n in range(3)], warnings=[HOSTILE])
    summary = json.loads(fake_run.run.summary.read_text())
    files.write_json(fake_run.run.summary, summary | {"reason": HOSTILE, "command": [HOSTILE], "status": HOSTILE})
    fake_run.run.resolved.write_text(fake_run.run.resolved.read_text() + f"# {HOSTILE}\n")
    fake_run.journal([validation(1, 2.0, name=HOSTILE), training(1) | {"kind": "event", "event": HOSTILE}])

    page = render_run_report(read_run(fake_run.path), AttentionMaps([AttentionMap(1, [HOSTILE], ["a"], [[1.0]])]), ())

    tags = parse_page(page).tags
    assert set(tags) <= set(plain) | {"rect", "circle"}
    assert "script" not in tags
    assert "\u202e" not in page
    assert "49" not in parse_page(page).sections["samples"], "template syntax in text is not evaluated"


def test_report_refers_to_no_other_file(fake_run: FakeRun) -> None:
    page = render_run_report(read_run(fake_run.path), AttentionMaps(), ())
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?!["']?#|["']?data:,)""", page)


def test_write_run_report_is_atomic(fake_run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "report.html"
    write_run_report(read_run(fake_run.path), AttentionMaps(), (), output)
    whole = output.read_bytes()

    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page_module, "render_run_report", full_disk)
    with pytest.raises(ResourceError):
        write_run_report(read_run(fake_run.path), AttentionMaps(), (), output)
    assert output.read_bytes() == whole
    assert not list(tmp_path.glob("*.tmp"))


def test_report_is_deterministic(fake_run: FakeRun) -> None:
    pages = {render_run_report(read_run(fake_run.path), AttentionMaps(), ()) for _ in range(2)}
    assert len(pages) == 1


@pytest.mark.slow
def test_report_of_100_000_updates_is_fast_and_small(fake_run: FakeRun) -> None:
    """Every update is reported, a hundred times as many records as usual."""
    records = [training(step, loss=3 + (step * 7919 % 1000) / 1000) for step in range(1, 100_001)]
    fake_run.journal([*records, *(validation(step, step / 5000) for step in range(500, 100_001, 500))])
    began = time.process_time()

    page = render_run_report(read_run(fake_run.path), AttentionMaps(), ())

    assert time.process_time() - began < 5
    assert len(page.encode()) < 3_000_000


def test_very_long_sentences_are_shortened(fake_run: FakeRun) -> None:
    fake_run.evaluate("test", [sentence(0, "ab " * 100_000, "c " * 100_000, "d" * 1_000_000)])
    page = render_run_report(read_run(fake_run.path), AttentionMaps(), ())
    assert len(page) < 500_000
    assert "more characters" in page


def test_data_section_rejects_data_with_another_fingerprint(fake_run: FakeRun, tmp_path: Path) -> None:
    other = write_run(tmp_path / "runs" / "other", data="another fingerprint")
    assert "no longer the data" in report(other).sections["data"]


def test_evaluations_of_checkpoints_are_folded_and_come_last(fake_run: FakeRun) -> None:
    fake_run.evaluate("dev", [sentence(1, "a", "b")])
    fake_run.evaluate("another@step_5", [sentence(1, "a", "b")])
    page = render_run_report(read_run(fake_run.path), NO_ATTENTION)
    assert re.findall(r"<summary>([^:<]*)", page) == ["another@step_5"] * 2
    scores = parse_page(page).sections["scores"]
    assert scores.index("test") < scores.index("dev") < scores.index("another@step_5")


def test_figures_at_the_top_are_scores_of_test_sets(fake_run: FakeRun) -> None:
    fake_run.evaluate("dev", [sentence(1, "a", "b")])
    names = [fact.name for fact in key_figures(read_run(fake_run.path))]
    assert names[:3] == ["status", "BLEU on test", "best BLEU on dev"]


@pytest.mark.parametrize(("architecture", "has_heads"), [("transformer", True), ("rnn", False)])
def test_attention_text_fits_the_architecture(architecture: str, has_heads: bool, fake_run: FakeRun) -> None:
    text = fake_run.run.resolved.read_text()
    start, end = text.index("model:\n"), text.index("training:\n")
    fake_run.run.resolved.write_text(
        f"{text[:start]}model: {{architecture: {architecture}, preset: tiny}}\n{text[end:]}"
    )
    maps = AttentionMaps([AttentionMap(1, ["a"], ["b"], [[0.02]])])
    section = parse_page(render_run_report(read_run(fake_run.path), maps)).sections["attention"]
    assert ("heads" in section) == has_heads
    assert "0.02" in section  # the scale
