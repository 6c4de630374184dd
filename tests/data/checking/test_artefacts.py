"""Traces of other programs in a corpus are reported; plain text in any language has none."""

import gzip
from pathlib import Path

import pytest

from nmt_cli.data.checking.artefacts import check_artefacts
from nmt_cli.data.checking.sampling import sample_corpus

SAMPLE = Path(__file__).parents[4] / "shared/data/ntrex-sample"


@pytest.mark.parametrize(
    ("odd", "name"),
    [
        ("Wie geht&apos;s?", "&apos;"),
        ("Ein Hu@@ nd.", "@@"),
        ("Ein Cafe\u0301.", "decomposed"),
        ("7\tEin Hund.", "tabs"),
        ("我们 今天 去 公园 散步 。", "spaces"),
        ("Ein Hund , zwei Hunde .", "full stop"),
    ],
)
def test_artefacts_of_a_side_are_reported(odd: str, name: str) -> None:
    [finding] = check_artefacts(sample_corpus("data.train.a", ("en", "de"), [("A dog.", odd)] * 50))
    assert (finding.level, finding.where) == ("warning", "data.train.a")
    assert name in finding.message
    assert "target" in finding.message
    assert check_artefacts(sample_corpus("data.train.a", ("en", "de"), [("A dog.", "Ein Hund.")] * 300)) == []


def test_real_text_has_no_artefacts_but_decomposed_letters() -> None:
    if not SAMPLE.is_dir():
        pytest.skip("the sample of NTREX is not available")
    found: dict[str, list[str]] = {}
    for path in sorted(SAMPLE.glob("*.txt.gz")):
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")
        findings = check_artefacts(sample_corpus("data.test.a", ("en", "xx"), [("A dog.", line) for line in lines]))
        for finding in findings:
            found.setdefault(path.name.partition(".")[0], []).append(finding.message)
    assert found.keys() == {"mya", "sin", "yor"}
    assert all("decomposed" in message for messages in found.values() for message in messages)
