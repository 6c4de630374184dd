"""Escaping of untrusted text, and formatting of scores."""

import pytest
from markupsafe import Markup

from nmt_cli.reporting.rendering import (
    code_span,
    escape_markdown,
    format_score,
    render_html,
)
from nmt_cli.text.lines import escape_invisible


def test_render_html_escapes_markup_and_invisible_characters() -> None:
    page = render_html("empty.html.j2", content='<b onclick="x">\u202e&\x1b')
    assert page == Markup('<p class="empty">&lt;b onclick=&#34;x&#34;&gt;\\u202e&amp;\\x1b</p>\n')


def test_render_html_keeps_the_lines_of_a_recipe() -> None:
    page = render_html("recipe.html.j2", content=("resolved.yaml", "a: 1\nb: <2>\n"))
    assert "a: 1\nb: &lt;2&gt;\n" in page


def test_format_score_gives_small_scores_more_digits() -> None:
    assert [format_score(value) for value in (39.446, 0.81234, 0, 100, 0.0382)] == [
        "39.45",
        "0.8123",
        "0.00",
        "100.00",
        "0.04",
    ]
    assert [format_score(0.25, of=score) for score in (39.4, 0.8)] == ["0.25", "0.2500"]


@pytest.mark.parametrize("character", "\\`*_[]<>|~&$")
def test_escape_markdown_escapes_special_characters(character: str) -> None:
    assert escape_markdown(f"a{character}b") == f"a\\{character}b"


def test_escape_markdown_keeps_ordinary_punctuation() -> None:
    line = "Nr. 5 – „schön“ (1,5 %), oder? #1! 我们。"
    assert escape_markdown(line) == line


def test_escape_markdown_shows_empty_text() -> None:
    assert escape_markdown("") == escape_markdown("  ") == "*(empty)*"


def test_escape_invisible_escapes_control_and_format_characters() -> None:
    assert escape_invisible("a\rb\x1b[31m\u2028\u0085\ufeff\u202e") == "a\\x0db\\x1b[31m\\u2028\\x85\\ufeff\\u202e"


def test_escape_invisible_keeps_joiners() -> None:
    assert escape_invisible("می\u200cخواهم 👨\u200d👩") == "می\u200cخواهم 👨\u200d👩"


def test_code_span_may_contain_backticks() -> None:
    assert code_span("runs/x") == "`runs/x`"
    assert code_span("a`b``c") == "``` a`b``c ```"
