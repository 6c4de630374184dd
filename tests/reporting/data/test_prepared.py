"""What became of prepared text, on a screen of 80 columns."""

from pathlib import Path

from fake_runs import write_prepared
from rich.cells import cell_len

from nmt_cli import files
from nmt_cli.data.preparation.manifest import PreparedSummary, read_prepared_summary
from nmt_cli.reporting.data.prepared import corpora_table, drop_lines


def inventory(folder: Path, source: str = "a source") -> PreparedSummary:
    write_prepared(folder)
    manifest = files.read_json(folder / files.MANIFEST)
    manifest["corpora"]["train/large"]["examples"]["too_long"][0]["source"] = source
    manifest["corpora"]["train/large"]["lengths"] = {"source": {"123456789": 1}, "target": {"99999": 1}}
    files.write_json(folder / files.MANIFEST, manifest)
    return read_prepared_summary(folder)


def test_each_corpus_has_a_row(tmp_path: Path) -> None:
    columns, rows = corpora_table(inventory(tmp_path / "prepared"))
    assert columns[:3] == ["corpus", "read", "kept"]
    assert rows[0] == ["train/large", "7", "4", "123.46 M", "99,999", "30864197.2 → 24999.8"]
    assert rows[1] == ["train/small", "4", "1", "2", "2", "2.0 → 2.0"]


def test_each_loss_is_told_with_its_share_and_an_example(tmp_path: Path) -> None:
    assert list(drop_lines(inventory(tmp_path / "prepared")))[:7] == [
        "train/large: 3 of 7 pairs dropped (42.86%)",
        "        2  28.57%  a side is empty (empty)",
        "    record 2: (nothing)",
        "              alone 2",
        "        1  14.29%  a side has more than 9 subwords (too_long)",
        "    record 4: a source",
        "              lang …",
    ]


def test_no_line_is_wider_than_the_screen(tmp_path: Path) -> None:
    for number, source in enumerate(("word " * 30, "漢字" * 90, "x" * 66, "x" * 67)):
        told = list(drop_lines(inventory(tmp_path / str(number), source)))
        assert max(map(cell_len, told)) <= 80
        assert told[5].endswith("…") == (len(source) > 66)
