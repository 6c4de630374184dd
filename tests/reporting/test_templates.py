"""Texts of others are shown, never obeyed."""

from markupsafe import Markup

from nmt_cli.reporting.templates import render_html, score_text


def test_html_is_escaped_and_the_invisible_spelt_out() -> None:
    page = render_html("absent.html.j2", content='<b onclick="x">\u202e&\x1b')
    assert page == Markup('<p class="absent">&lt;b onclick=&#34;x&#34;&gt;\\u202e&amp;\\x1b</p>\n')


def test_a_recipe_keeps_its_lines() -> None:
    page = render_html("recipe.html.j2", content=("resolved.yaml", "a: 1\nb: <2>\n"))
    assert "a: 1\nb: &lt;2&gt;\n" in page


def test_small_scores_have_more_digits() -> None:
    assert [score_text(value) for value in (39.446, 0.81234, 0, 100)] == ["39.45", "0.8123", "0.00", "100.00"]
    assert [score_text(0.25, of=score) for score in (39.4, 0.8)] == ["0.25", "0.2500"]
