"""A pair with a side that shows nothing is of no use."""

import pytest

from nmt_cli.text.pairs import fault


@pytest.mark.parametrize("blank", ["", " ", "\xa0", "\u200b", "\x0c", "\t\u3000", "\ufeff", "\u2028"])
def test_a_side_that_shows_nothing_is_empty(blank: str) -> None:
    assert fault(blank, "text") == fault("text", blank) == fault(blank, blank) == "empty"


@pytest.mark.parametrize("text", ["a", " .", "0", "⁇", "\u0301"])
def test_a_side_that_shows_anything_is_not(text: str) -> None:
    assert fault(text, text) is None
