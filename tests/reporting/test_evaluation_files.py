"""Files of an evaluated test set, and their Markdown report."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nmt_cli.errors import ResourceError
from nmt_cli.evaluation.breakdown import Analysis
from nmt_cli.evaluation.breakdown.words import NgramDifferences
from nmt_cli.evaluation.metrics.metric import ConfidenceInterval, MetricScore
from nmt_cli.reporting import evaluation_files
from nmt_cli.reporting.evaluation_files import (
    EvaluatedSentence,
    EvaluatedTestSet,
    Provenance,
    read_current_scores,
    render_evaluation,
    write_evaluation,
)

PROVENANCE = Provenance("aa", "bb", ["cc"], {"strategy": "beam", "beam_size": 5}, {"samples": 2}, {"nmt": "0.1"})
ANALYSIS = Analysis([], [], NgramDifferences([], []), "chrF2", [])
BLEU = MetricScore(
    "bleu",
    "BLEU",
    38.123456,
    "nrefs:1|tok:13a",
    "70.0/40.0/30.0/20.0 (BP = 1.000)",
    interval=ConfidenceInterval(38.1, 36.5, 39.756, 1000, 1),
)


def evaluated(*hypotheses: str, samples: int = 2) -> EvaluatedTestSet:
    sentences = [
        EvaluatedSentence(f"source {index}", line, ["expected"], -1.5, -0.5) for index, line in enumerate(hypotheses)
    ]
    return EvaluatedTestSet(
        name="test2016",
        languages="en → de",
        model="runs/x/model",
        weights="update 7",
        recipe="ee",
        sentences=sentences,
        scores=[BLEU],
        exact_match=12.5,
        length_ratio=0.9,
        warnings=[],
        samples=samples,
        provenance=PROVENANCE,
    )


def test_write_evaluation_writes_scores_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[str] = []
    replace_file = Path.replace
    monkeypatch.setattr(Path, "replace", lambda old, new: (published.append(new.name), replace_file(old, new)))

    write_evaluation(tmp_path, evaluated("a", "b"), ANALYSIS)

    assert published == ["analysis.json", "hypotheses.jsonl", "report.md", "scores.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(published)


def test_write_evaluation_writes_every_line_with_its_index(tmp_path: Path) -> None:
    write_evaluation(tmp_path, evaluated("ein\u2028Satz", 'zwei\t"Sätze"\r'), ANALYSIS)

    lines = (tmp_path / "hypotheses.jsonl").read_bytes().split(b"\n")[:-1]

    assert [list(json.loads(line)) for line in lines] == [
        ["id", "source", "hypothesis", "references", "log_probability", "score"]
    ] * 2
    assert [json.loads(line)["id"] for line in lines] == [0, 1]
    assert [json.loads(line)["hypothesis"] for line in lines] == ["ein\u2028Satz", 'zwei\t"Sätze"\r']


def test_read_current_scores_requires_equal_provenance(tmp_path: Path) -> None:
    written = write_evaluation(tmp_path, evaluated("a", ""), ANALYSIS)

    assert read_current_scores(tmp_path, PROVENANCE) == written
    assert written["empty_hypotheses"] == 1
    for change in ({"model": "dd"}, {"source": "dd"}, {"references": ["cc", "dd"]}, {"decoding": {}}):
        assert read_current_scores(tmp_path, replace(PROVENANCE, **change)) is None


@pytest.mark.parametrize("name", ["analysis.json", "hypotheses.jsonl", "report.md", "scores.json"])
def test_read_current_scores_requires_every_file(tmp_path: Path, name: str) -> None:
    write_evaluation(tmp_path, evaluated("a"), ANALYSIS)
    (tmp_path / name).unlink()
    assert read_current_scores(tmp_path, PROVENANCE) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_read_current_scores_of_damaged_scores(tmp_path: Path, content: bytes) -> None:
    write_evaluation(tmp_path, evaluated("a"), ANALYSIS)
    (tmp_path / "scores.json").write_bytes(content)
    assert read_current_scores(tmp_path, PROVENANCE) is None


def test_failed_write_evaluation_leaves_no_old_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_: EvaluatedTestSet) -> str:
        raise OSError(28, "No space left on device")

    write_evaluation(tmp_path, evaluated("old"), ANALYSIS)
    monkeypatch.setattr(evaluation_files, "render_evaluation", full_disk)

    with pytest.raises(ResourceError):
        write_evaluation(tmp_path, evaluated("new"), ANALYSIS)

    assert not (tmp_path / "scores.json").exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_render_evaluation_shows_scores_signatures_and_settings() -> None:
    page = render_evaluation(evaluated("a"))
    assert page.startswith("# test2016: en → de\n")
    assert "| BLEU | 38.12 | 36.50 to 39.76 |" in page
    assert "BLEU|nrefs:1|tok:13a = 38.12 70.0/40.0/30.0/20.0 (BP = 1.000)" in page
    assert "| exact match | 12.5 % | |" in page
    assert "| `beam_size` | 5 |" in page
    assert "`runs/x/model` (update 7)" in page


def test_render_evaluation_tables_have_equal_rows() -> None:
    page = render_evaluation(evaluated("a | b", "`c`", "<b>", ""))
    tables = [block.strip().split("\n") for block in page.split("\n\n") if block.strip().startswith("|")]
    assert len(tables) > 4
    for rows in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_render_evaluation_escapes_text() -> None:
    page = render_evaluation(evaluated("a | b *c* <i> `d`\n# e"))
    assert "| translation | a \\| b \\*c\\* \\<i\\> \\`d\\`\\x0a# e |" in page.replace("\\\\x0a", "\\x0a")


def test_render_evaluation_has_no_double_blank_lines() -> None:
    page = render_evaluation(evaluated("a", "b", "c"))
    assert "\n\n\n" not in page
    assert page.endswith("|\n")


def test_render_evaluation_shows_warnings() -> None:
    page = render_evaluation(replace(evaluated("a"), warnings=["3 hypotheses contain ▁"]))
    assert "## Warnings\n\n- 3 hypotheses contain ▁\n\n## Counts" in page


def test_render_evaluation_without_samples() -> None:
    assert "## Samples" not in render_evaluation(evaluated("a", samples=0))
