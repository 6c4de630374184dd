"""The templates of all pages: Markdown as it is, HTML with every text of others escaped."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nmt_cli.reporting.markdown import code, text, visible


def render_markdown(template: str, **content: Any) -> str:
    """Fill in a template of Markdown; texts pass through the filters `text` and `code`."""
    return _environment(html=False).get_template(template).render(content)


def render_html(template: str, **content: Any) -> Markup:
    """Fill in a template of HTML or SVG; whatever is not Markup is escaped, and shows what is invisible."""
    return Markup(_environment(html=True).get_template(template).render(content))


def score_text(value: float, of: float | None = None) -> str:
    """A score, or what belongs to one, with two digits, or four if that score is one of those between 0 and 1."""
    score = value if of is None else of
    return f"{value:.4f}" if 0 < abs(score) < 1 else f"{value:.2f}"


@cache
def _environment(html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("nmt_cli.reporting"),
        autoescape=html,
        undefined=StrictUndefined,
        finalize=_shown if html else None,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(text=text, code=code, block=_block, score=score_text)
    return environment


def _block(value: str) -> Markup:
    """Text of several lines that keeps them."""
    return Markup("\n").join(visible(line) for line in value.split("\n"))


def _shown(value: Any) -> Any:
    """Text of others as it is seen: no control character steers the page."""
    is_safe = isinstance(value, Markup) or not isinstance(value, str) or value.isprintable()
    return value if is_safe else visible(value)
