"""Around a translator: what it must not touch is hidden from it, and put back into what it says."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nmt_cli.decoding.forced.annotation import NOTHING, Annotation, Wanted
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.shields.elements import Hidden
from nmt_cli.decoding.shields.hiding import hide_markup, hide_spans, hide_tags, shown, spans_of
from nmt_cli.decoding.shields.placing import put_back
from nmt_cli.errors import RecipeError

if TYPE_CHECKING:
    from nmt_cli.decoding.translator import TranslatedText, Translation

Translate = Callable[[Sequence[Request]], "list[Translation]"]
"""Translates lines together, and aligns their words."""


@dataclass(frozen=True)
class _Line:
    """A line, and what is hidden of it at present."""

    request: Request
    hidden: Hidden
    show: Callable[[str], str] = str
    malformed: bool = False

    @property
    def asked(self) -> Request:
        return replace(self.request, text=self.hidden.text)


class Shield:
    """Keeps markup, and what a pattern matches: each comes out exactly once.

    Tags are always hidden. What the pattern matches is left to the model first; it is hidden where the model does not
    say it just as often as it was there.
    """

    def __init__(self, markup: bool = False, protect: re.Pattern[str] | None = None, shown: Wanted = NOTHING) -> None:
        """Of what is known of words, and serves to place things, only what is to be `shown` stays.

        It is said of the text without what was hidden.
        """
        self._markup, self._protect, self._shown_words = markup, protect, shown

    def through(self, requests: Sequence[Request], translate: Translate) -> "list[Translation]":
        """Translations of lines as if nothing had been hidden."""
        lines = [self._hidden(request) for request in requests]
        found = translate([line.asked for line in lines])
        failing = [place for place, line in enumerate(lines) if not self._is_kept(line, found[place])]
        if failing and self._protect:
            for place in failing:
                lines[place] = replace(lines[place], hidden=hide_spans(lines[place].hidden, self._protect))
            missed = set(failing)
            nothing = Request("")  # so that the others keep their numbers
            again = translate([line.asked if place in missed else nothing for place, line in enumerate(lines)])
            found = [again[place] if place in missed else translation for place, translation in enumerate(found)]
        return [self._shown(line, translation) for line, translation in zip(lines, found, strict=True)]

    def _hidden(self, request: Request) -> _Line:
        if not self._markup:
            return _Line(request, Hidden(request.text))
        hidden = hide_markup(request.text)
        if hidden is None:
            return _Line(request, hide_tags(request.text), malformed=True)
        return _Line(request, hidden, show=shown)

    def _is_kept(self, line: _Line, translation: "Translation") -> bool:
        """Whether all translations hold what the pattern matches, just as often."""
        if not self._protect:
            return True
        wanted = spans_of(line.hidden.text, self._protect)
        return all(spans_of(found.text, self._protect) == wanted for found in translation.hypotheses)

    def _shown(self, line: _Line, translation: "Translation") -> "Translation":
        hypotheses = tuple(self._with_elements(line, found) for found in translation.hypotheses)
        return replace(translation, source=line.request.text, hypotheses=hypotheses, malformed=line.malformed)

    def _with_elements(self, line: _Line, found: "TranslatedText") -> "TranslatedText":
        known, shown = found.annotation or Annotation(), self._shown_words
        text = put_back(line.hidden, found.text, known.alignment or (), line.show)
        annotation = Annotation(
            known.alignment if shown.alignment else None, known.word_scores if shown.word_scores else None
        )
        return replace(found, text=text, annotation=annotation if shown != NOTHING else None)


def protecting(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """Regular expressions as one; RecipeError names the first that is none."""
    for pattern in patterns:
        try:
            re.compile(f"(?:{pattern})")
        except re.error as error:
            raise RecipeError(f"--protect {pattern!r}: is no regular expression: {error}") from error
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None
