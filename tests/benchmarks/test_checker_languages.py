"""In every script, human translations are rarely reported, and artificial errors nearly always."""

import gzip
from pathlib import Path

import pytest

from benchmarks.checker_languages import BOUNDS, ERRORS, LANGUAGES, found_fraction, percentages

NTREX = Path(__file__).parents[3] / "shared" / "data" / "ntrex-sample"
MAX_NUMBERS = 5.0
"""Percentage of lines of one language with other numbers: these 200 lines have several with converted miles."""
SPELLED_NUMBERS = {"yor": 8}
"""Percentage of Yoruba lines with a number in words."""
pytestmark = pytest.mark.skipif(not NTREX.is_dir(), reason="the sample of NTREX-128 is not there")


def lines(language: str) -> list[str]:
    return gzip.decompress((NTREX / f"{language}.txt.gz").read_bytes()).decode().splitlines()


@pytest.mark.slow
def test_human_translations_are_rarely_reported() -> None:
    english, numbers = lines("eng"), []
    for language in sorted(path.name.split(".")[0] for path in NTREX.glob("*.txt.gz")):
        if language != "eng":
            found = percentages(english, lines(language), language)
            numbers.append(found.pop("number"))
            assert numbers[-1] <= SPELLED_NUMBERS.get(language, MAX_NUMBERS), language
            for kind, percentage in found.items():
                assert percentage <= BOUNDS[kind] + 0.5, (language, kind)  # one line more of 200
    assert sum(numbers) / len(numbers) <= BOUNDS["number"]


@pytest.mark.parametrize("kind", ERRORS)
def test_artificial_errors_are_found(kind: str) -> None:
    english = lines("eng")
    for language in LANGUAGES:
        assert found_fraction(kind, list(zip(english, lines(language), strict=True)), language) >= 0.9, language
