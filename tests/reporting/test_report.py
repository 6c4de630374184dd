"""One evaluated set: three files that belong together, and a page that reads well."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nmt_cli.errors import ResourceError
from nmt_cli.reporting import report
from nmt_cli.reporting.report import (
    EvaluatedSet,
    Provenance,
    Sentence,
    read_evaluation,
    render_report,
    spread,
    write_evaluation,
)

PROVENANCE = Provenance("aa", "bb", ["cc"], {"strategy": "beam", "beam_size": 5}, {"samples": 2}, {"nmt": "0.1"})


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class BleuLike:
    name: str = "BLEU"
    value: float = 38.123456
    signature: str = "nrefs:1|tok:13a"
    details: str = "70.0/40.0/30.0/20.0 (BP = 1.000)"
    interval: Interval | None = Interval(36.5, 39.756)

    def as_sacrebleu(self) -> dict[str, str | float]:
        return {"name": self.name, "score": self.value, "signature": self.signature}


def evaluated(*hypotheses: str, samples: int = 2) -> EvaluatedSet:
    sentences = [Sentence(f"source {place}", line, ["expected"], -1.5, -0.5) for place, line in enumerate(hypotheses)]
    return EvaluatedSet(
        name="test2016",
        languages="en → de",
        model="runs/x/model",
        weights="update 7",
        recipe="ee",
        sentences=sentences,
        scores=[BleuLike()],
        exact_match=12.5,
        length_ratio=0.9,
        warnings=[],
        samples=samples,
        provenance=PROVENANCE,
    )


def test_three_files_are_written_and_scores_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[str] = []
    replace_file = Path.replace
    monkeypatch.setattr(Path, "replace", lambda old, new: (published.append(new.name), replace_file(old, new)))

    write_evaluation(tmp_path, evaluated("a", "b"))

    assert published == ["hypotheses.jsonl", "report.md", "scores.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(published)


def test_hypotheses_hold_every_line_with_its_number(tmp_path: Path) -> None:
    write_evaluation(tmp_path, evaluated("ein\u2028Satz", 'zwei\t"Sätze"\r'))

    lines = (tmp_path / "hypotheses.jsonl").read_bytes().split(b"\n")[:-1]

    assert [list(json.loads(line)) for line in lines] == [
        ["id", "source", "hypothesis", "references", "log_probability", "score"]
    ] * 2
    assert [json.loads(line)["id"] for line in lines] == [0, 1]
    assert [json.loads(line)["hypothesis"] for line in lines] == ["ein\u2028Satz", 'zwei\t"Sätze"\r']


def test_scores_are_found_again_only_with_the_same_provenance(tmp_path: Path) -> None:
    written = write_evaluation(tmp_path, evaluated("a", ""))

    assert read_evaluation(tmp_path, PROVENANCE) == written
    assert written["empty_hypotheses"] == 1
    for change in ({"model": "dd"}, {"source": "dd"}, {"references": ["cc", "dd"]}, {"decoding": {}}):
        assert read_evaluation(tmp_path, replace(PROVENANCE, **change)) is None


@pytest.mark.parametrize("name", ["hypotheses.jsonl", "report.md", "scores.json"])
def test_a_missing_file_means_there_is_no_evaluation(tmp_path: Path, name: str) -> None:
    write_evaluation(tmp_path, evaluated("a"))
    (tmp_path / name).unlink()
    assert read_evaluation(tmp_path, PROVENANCE) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_damaged_scores_are_none(tmp_path: Path, content: bytes) -> None:
    write_evaluation(tmp_path, evaluated("a"))
    (tmp_path / "scores.json").write_bytes(content)
    assert read_evaluation(tmp_path, PROVENANCE) is None


def test_an_interrupted_writing_leaves_no_scores_that_do_not_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: EvaluatedSet) -> str:
        raise OSError(28, "No space left on device")

    write_evaluation(tmp_path, evaluated("old"))
    monkeypatch.setattr(report, "render_report", full_disk)

    with pytest.raises(ResourceError):
        write_evaluation(tmp_path, evaluated("new"))

    assert not (tmp_path / "scores.json").exists()
    assert not list(tmp_path.glob("*.tmp"))


def test_the_report_shows_scores_with_signatures_and_where_they_come_from() -> None:
    page = render_report(evaluated("a"))
    assert page.startswith("# test2016: en → de\n")
    assert "| BLEU | 38.12 | 36.50 to 39.76 |" in page
    assert "BLEU|nrefs:1|tok:13a = 38.12 70.0/40.0/30.0/20.0 (BP = 1.000)" in page
    assert "| exact match | 12.5 % | |" in page
    assert "| `beam_size` | 5 |" in page
    assert "`runs/x/model` (update 7)" in page


def test_every_table_of_the_report_has_even_rows() -> None:
    page = render_report(evaluated("a | b", "`c`", "<b>", ""))
    tables = [block.strip().split("\n") for block in page.split("\n\n") if block.strip().startswith("|")]
    assert len(tables) > 4
    for rows in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_text_in_the_report_stays_text() -> None:
    page = render_report(evaluated("a | b *c* <i> `d`\n# e"))
    assert "| translation | a \\| b \\*c\\* \\<i\\> \\`d\\`\\x0a# e |" in page.replace("\\\\x0a", "\\x0a")


def test_the_report_reads_well_raw() -> None:
    page = render_report(evaluated("a", "b", "c"))
    assert "\n\n\n" not in page
    assert page.endswith("|\n")


def test_warnings_are_part_of_the_report() -> None:
    page = render_report(replace(evaluated("a"), warnings=["3 hypotheses contain ▁"]))
    assert "## Warnings\n\n- 3 hypotheses contain ▁\n\n## Counts" in page


def test_without_samples_there_is_no_such_section() -> None:
    assert "## Samples" not in render_report(evaluated("a", samples=0))


def test_samples_are_spread_from_the_first_line_to_the_last() -> None:
    assert spread(1000, 5) == [0, 249, 499, 749, 999]
    assert spread(3, 10) == [0, 1, 2]
    assert spread(7, 1) == [0]
    assert spread(7, 0) == []


@pytest.mark.parametrize(("count", "wanted"), [(10, 9), (11, 10), (2, 2), (1014, 10)])
def test_no_sample_comes_twice(count: int, wanted: int) -> None:
    assert len(set(spread(count, wanted))) == wanted
