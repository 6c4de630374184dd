"""Whatever a sentence contains, a report shows it and nothing else."""

import pytest

from nmt_cli.reporting.markdown import code, text, visible


@pytest.mark.parametrize("character", "\\`*_[]<>|~&$")
def test_characters_with_a_meaning_are_escaped(character: str) -> None:
    assert text(f"a{character}b") == f"a\\{character}b"


def test_ordinary_punctuation_stays_readable() -> None:
    line = "Nr. 5 – „schön“ (1,5 %), oder? #1! 我们。"
    assert text(line) == line


def test_nothing_is_shown_as_empty() -> None:
    assert text("") == text("  ") == "*(empty)*"


def test_no_character_breaks_the_line_or_hides() -> None:
    assert visible("a\rb\x1b[31m\u2028\u0085\ufeff\u202e") == "a\\x0db\\x1b[31m\\u2028\\x85\\ufeff\\u202e"


def test_joiners_inside_words_and_emoji_stay() -> None:
    assert visible("می\u200cخواهم 👨\u200d👩") == "می\u200cخواهم 👨\u200d👩"


def test_code_may_contain_backticks() -> None:
    assert code("runs/x") == "`runs/x`"
    assert code("a`b``c") == "``` a`b``c ```"
