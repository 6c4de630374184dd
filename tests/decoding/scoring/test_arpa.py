"""The ARPA format, also in damaged files."""

import gzip
import math
from pathlib import Path

import pytest

from nmt_cli.decoding.scoring import arpa
from nmt_cli.decoding.scoring.arpa import read_arpa
from nmt_cli.errors import NmtError

TEXT = """
\\data\\
ngram 1=3
ngram 2=1

\\1-grams:
-1.5\t<s>\t-0.25
-0.5\ta
-9.9e-1 </s>

\\2-grams:
-0.125\t<s> a

\\end\\
"""

IDS = {"<s>": 0, "a": 1, "</s>": 2}


def test_log_probabilities_and_backoff_weights_are_natural_logarithms(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(TEXT)
    padded = TEXT.replace("ngram 1=3", "ngram  1=   3")
    (tmp_path / "lm.arpa.gz").write_bytes(gzip.compress(padded.encode()))
    model = read_arpa(tmp_path / "lm.arpa", IDS)
    assert model == read_arpa(tmp_path / "lm.arpa.gz", IDS)
    assert model.order == 2
    assert model.log_probs[(0, 1)] == pytest.approx(-0.125 * math.log(10))
    assert model.log_probs[(2,)] == pytest.approx(-0.99 * math.log(10))
    assert model.backoffs == {(0,): pytest.approx(-0.25 * math.log(10))}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TEXT, ""),
        (TEXT, "one two\n"),
        (TEXT, "\\data\\\n\\1-grams:\n\\end\\\n"),
        ("ngram 1=3", "ngram 1=4"),
        ("ngram 1=3", "ngram 1=2"),
        ("ngram 1=3", "ngram 1=999999999999"),
        ("ngram 1=3", "ngram 1=-3"),
        ("ngram 2=1", "ngram 3=1"),
        ("ngram 2=1", "\n".join(f"ngram {order}=0" for order in range(2, 12))),
        ("-0.5", "nan"),
        ("-0.5", "-inf"),
        ("-0.5", "-1e999"),
        ("-0.5", "0.5"),
        ("-0.5", "1_0"),
        ("-0.25", "x"),
        ("\ta\n", f"\t{'a' * 200_000}\n"),
        ("-0.25", "-1e39"),
        ("\ta\n", "\ta\t-1\t-1\n"),
        ("\ta\n", "\t<s>\n"),
        ("\ta\n", "\n"),
        ("-0.125\t<s> a", "-0.125\t<s>"),
        ("\\end\\", ""),
        ("\\2-grams:", "\\3-grams:"),
    ],
)
def test_damaged_file_is_an_error_of_one_line(old: str, new: str, tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(TEXT.replace(old, new, 1))
    with pytest.raises(NmtError, match=r"^[^\n]*lm\.arpa: [^\n]*$"):
        read_arpa(tmp_path / "lm.arpa", IDS)


def test_ngrams_of_unknown_tokens_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(TEXT)
    found = read_arpa(tmp_path / "lm.arpa", {"a": 7, "</s>": 8})
    assert found.log_probs.keys() == {(7,), (8,)}
    assert not found.backoffs


def test_file_with_too_many_ngrams_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arpa, "MAX_NGRAMS", 3)
    (tmp_path / "lm.arpa").write_text(TEXT)
    with pytest.raises(NmtError, match="3 n-grams at most"):
        read_arpa(tmp_path / "lm.arpa", IDS)


def test_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_bytes(b"\\data\\\nngram 1=1\n\xff\xfe\x00")
    with pytest.raises(NmtError, match=r"^[^\n]*lm\.arpa: [^\n]*$"):
        read_arpa(tmp_path / "lm.arpa", IDS)
