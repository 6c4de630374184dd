"""Templates and text escaping of all reports; untrusted text is shown and never interpreted."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nmt_cli.reporting.text_diff import diff_words
from nmt_cli.text.lines import escape_invisible

METRIC_NAMES = {
    "loss": "loss", "bleu": "BLEU", "spbleu": "spBLEU", "chrf": "chrF", "chrf++": "chrF++", "ter": "TER", "wer": "WER",
    "per": "PER", "exact_match": "exact match", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L",
    "meteor": "METEOR",
}  # fmt: skip
"""Display names of validation metrics."""
_MARKDOWN_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$]")
_MAX_SENTENCE_LENGTH = 1500
"""Characters of a sentence that are shown."""


@dataclass(frozen=True)
class PageSection:
    """A heading of a page, followed by `template` rendered with `content`."""

    title: str
    template: str
    content: Any

    @property
    def anchor(self) -> str:
        """Identifier of the section in links."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Fact:
    """A name and its value, with an optional explanation."""

    name: str
    value: str
    note: str = ""


def empty_section(title: str, reason: str) -> PageSection:
    """Return a section without content that gives the reason."""
    return PageSection(title, "empty.html.j2", reason)


def render_markdown(template: str, **content: Any) -> str:
    """Render a Markdown template. Text must pass through the filter `text` or `code`."""
    return _environment(html=False).get_template(template).render(content)


def render_html(template: str, **content: Any) -> Markup:
    """Render an HTML or SVG template. Everything but Markup is escaped, including invisible characters."""
    return Markup(_environment(html=True).get_template(template).render(content))


def format_score(value: float, of: float | None = None) -> str:
    """Format a score with two digits, or four if it lies between 0.1 and 1, as those of COMET do.

    A score out of 100 below 0.1, that of a model which has hardly learned, keeps two digits like the others beside it.

    Args:
        of: Score that determines the number of digits, if `value` is its interval or a difference to it.
    """
    score = value if of is None else of
    return f"{value:.4f}" if 0.1 <= abs(score) < 1 else f"{value:.2f}"


def shorten(text: str) -> str:
    """Shorten a sentence to a length that can be shown."""
    if len(text) <= _MAX_SENTENCE_LENGTH:
        return text
    return f"{text[:_MAX_SENTENCE_LENGTH]} … ({len(text) - _MAX_SENTENCE_LENGTH:,} more characters)"


def escape_markdown(value: str) -> str:
    """Escape text for a line or table cell of Markdown."""
    if not value.strip():
        return "*(empty)*"
    return _MARKDOWN_SPECIAL.sub(r"\\\g<0>", escape_invisible(value))


def code_span(value: str) -> str:
    """Return text, such as a file name or hash, as a Markdown code span."""
    shown = escape_invisible(value)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    padding = " " if "`" in shown else ""
    return f"{ticks}{padding}{shown}{padding}{ticks}"


@cache
def _environment(html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("nmt_cli.reporting"),
        autoescape=html,
        undefined=StrictUndefined,
        finalize=_finalize_html if html else None,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(text=escape_markdown, code=code_span, block=_escape_lines, score=format_score)
    environment.filters.update(shorten=shorten, diff=lambda text, other: diff_words(text, other).hypothesis)
    return environment


def _escape_lines(value: str) -> Markup:
    """Escape text of several lines, keeping the line breaks."""
    return Markup("\n").join(escape_invisible(line) for line in value.split("\n"))


def _finalize_html(value: Any) -> Any:
    """Escape invisible characters in text, so that no control character affects the page."""
    is_safe = isinstance(value, Markup) or not isinstance(value, str) or value.isprintable()
    return value if is_safe else escape_invisible(value)
