"""Results of check and preprocess, for a terminal of 80 columns."""

from pathlib import Path

from fake_runs import write_prepared
from rich.cells import cell_len

from nmt_cli import files
from nmt_cli.data.checking import DataFinding, percentage
from nmt_cli.data.preparation.manifest import PreparedSummary, read_prepared_summary
from nmt_cli.reporting.data_report import CheckReport, corpora_table, drop_lines


def report(*findings: DataFinding) -> CheckReport:
    return CheckReport("recipe.yaml", [], [], "", None, "CPU", findings)


def test_findings_are_ordered_by_level_and_counted() -> None:
    text = report(
        DataFinding("fact", "leaks", "data.filters", "known"),
        DataFinding("warning", "batch", "training", "small", "enlarge it"),
        DataFinding("error", "files", "data.train.x", "gone"),
    ).as_text()
    assert text.index("error    data.train.x: ") < text.index("warning  training: ") < text.index("fact ")
    assert "      →  enlarge it" in text
    assert "1 error and 1 warning" in text
    assert "nmt check recipe.yaml" in text


def test_long_findings_are_wrapped() -> None:
    text = report(DataFinding("warning", "x", "data.train.y", "word " * 60, "advice " * 40)).as_text()
    assert max(map(len, text.split("\n"))) <= 80


def test_control_characters_are_escaped() -> None:
    assert "\x1b" not in report(DataFinding("warning", "x", "data.train.y", "\x1b[2J")).as_text()


def test_percentage_rounds_only_exact_values_to_0_or_100() -> None:
    assert percentage(0, 10) == "0 %"
    assert percentage(1, 10**6) == "less than 0.1 %"
    assert percentage(10**6 - 1, 10**6) == "more than 99.9 %"
    assert percentage(1, 40) == "2.5 %"
    assert percentage(1, 2) == "50 %"


def summary(folder: Path, source: str = "a source") -> PreparedSummary:
    write_prepared(folder)
    manifest = files.read_json(folder / files.MANIFEST)
    manifest["corpora"]["train/large"]["examples"]["too_long"][0]["source"] = source
    manifest["corpora"]["train/large"]["lengths"] = {"source": {"123456789": 1}, "target": {"99999": 1}}
    files.write_json(folder / files.MANIFEST, manifest)
    return read_prepared_summary(folder)


def test_corpora_table_has_a_row_per_corpus(tmp_path: Path) -> None:
    columns, rows = corpora_table(summary(tmp_path / "prepared"))
    assert columns[:3] == ["corpus", "read", "kept"]
    assert rows[0] == ["train/large", "7", "4", "123.46 M", "99,999", "30864197.2 → 24999.8"]
    assert rows[1] == ["train/small", "4", "1", "2", "2", "2.0 → 2.0"]


def test_corpora_table_of_text_has_one_side(tmp_path: Path) -> None:
    columns, rows = corpora_table(summary(tmp_path / "prepared"), is_monolingual=True)
    assert columns == ["corpus", "read", "kept", "tokens", "mean"]
    assert rows[1] == ["train/small", "4", "1", "2", "2.0"]


def test_drop_lines_show_counts_and_an_example(tmp_path: Path) -> None:
    assert list(drop_lines(summary(tmp_path / "prepared"), "pairs"))[:7] == [
        "train/large: 3 of 7 pairs dropped (42.86%)",
        "        2  28.57%  a side is empty (empty)",
        "    record 2: (nothing)",
        "              alone 2",
        "        1  14.29%  a side has more than 9 subwords (too_long)",
        "    record 4: a source",
        "              lang …",
    ]


def test_drop_lines_are_at_most_80_columns_wide(tmp_path: Path) -> None:
    for number, source in enumerate(("word " * 30, "漢字" * 90, "x" * 66, "x" * 67)):
        lines = list(drop_lines(summary(tmp_path / str(number), source), "pairs"))
        assert max(map(cell_len, lines)) <= 80
        assert lines[5].endswith("…") == (len(source) > 66)
