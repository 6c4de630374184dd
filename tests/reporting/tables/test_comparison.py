"""Comparisons as Markdown, LaTeX and CSV, read by programs for these."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fake_comparisons import make_comparison
from markdown_it import MarkdownIt

from nmt_cli.evaluation.system_comparison import Comparison
from nmt_cli.recipe.schema import SettingChange
from nmt_cli.reporting.tables.comparison import format_table

CHANGES = {"first": [], "second": [SettingChange("model.norm", '"pre"', '"post_&_100%"')]}
HASHES = {"source": "ab" * 32}


def comparisons(**values: object) -> dict[str, Comparison]:
    given = replace(make_comparison(), changes=CHANGES, sha256=HASHES, **values)  # type: ignore[arg-type]
    return {"one": replace(given, test_set="one"), "two": replace(given, test_set="two")}


def html_cells(markdown: str) -> list[list[str]]:
    page = MarkdownIt().enable("table").render(markdown)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, flags=re.S)]


def test_markdown_has_a_row_per_system_and_marks_what_is_significant() -> None:
    text = format_table(comparisons(), "markdown")
    assert html_cells(text) == [
        ["System", "one BLEU", "two BLEU"],
        ["first", "37.25", "37.25"],
        ["second", *(2 * ["<strong>39.50 ± 0.35‡</strong>"])],
    ]
    notes = text.split("\n\n")[1]
    assert "1,000 sentences, SHA-256 of source abababababab" in notes
    assert all(part in notes for part in ("p \\< 0.01 against first", "over 2 seeds", "nrefs:1"))


@pytest.mark.parametrize(("p", "seed_p", "mark"), [(0.003, None, "‡"), (0.03, None, "†"), (0.003, 0.02, "†")])
def test_marks_follow_the_larger_p(p: float, seed_p: float | None, mark: str) -> None:
    [result] = make_comparison().results
    text = format_table(comparisons(results=[replace(result, p=p, seed_p=seed_p)]), "markdown")
    assert f"39.50 ± 0.35{mark}**" in text
    even = replace(result, p=p, seed_p=seed_p, second_is_better=None)
    assert "39.50 ± 0.35**" in format_table(comparisons(results=[even]), "markdown")


def test_ablation_names_settings_and_shows_differences() -> None:
    rows = html_cells(format_table(comparisons(), "markdown", ablation=True))
    assert [row[0] for row in rows[1:]] == ["first", "model.norm &quot;pre&quot; → &quot;post_&amp;_100%&quot;"]
    assert rows[2][1] == "<strong>39.50 ± 0.35 (+2.00)‡</strong>"


def test_latex_escapes_text() -> None:
    text = format_table(comparisons(), "latex", ablation=True)
    assert r"post\_\&\_100\%" in text
    assert text.count(r"\\") == 3
    assert not re.search(r"(?<!\\)[%#_]", text)
    assert text.isascii()


def test_latex_can_be_typeset(tmp_path: Path) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("pdflatex is not installed")
    text = format_table(comparisons(), "latex", ablation=True)
    page = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}{text}\\end{{document}}"
    (tmp_path / "page.tex").write_text(page)
    subprocess.run([program, "-halt-on-error", "page.tex"], cwd=tmp_path, check=True, capture_output=True)


def test_csv_has_every_figure() -> None:
    rows = list(csv.DictReader(io.StringIO(format_table(comparisons(), "csv"))))
    assert [(row["test_set"], row["system"]) for row in rows] == [
        ("one", "first"), ("one", "second"), ("two", "first"), ("two", "second")
    ]  # fmt: skip
    assert rows[1]["changes"] == 'model.norm="post_&_100%"'
    assert float(rows[1]["stdev"]) == 0.35
    assert (rows[1]["p"], rows[1]["is_significant"], rows[0]["p"]) == ("0.003", "true", "")
