"""Translation of lines with markup or protected text: word alignment reinserts each masked piece exactly once."""

import re
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import regex

from nmt_cli.decoding.markup.placeholders import (
    CLOSING,
    FindSpans,
    MaskedLine,
    Placeholder,
    TextSpan,
    count_spans,
    escape_markup,
    mask_markup,
    mask_spans,
    mask_tags,
)
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.results import TranslatedText, Translation
from nmt_cli.decoding.scoring.annotation import Annotation, Link
from nmt_cli.errors import RecipeError

TranslateWindow = Callable[[Sequence[Request]], list[Translation]]
"""Translates lines together and aligns their words."""


_WORD = re.compile(r"[^ \t]+")
_MAX_SECONDS = 1.0
"""Time for finding the matches of a protected pattern in a line."""
_MAX_PATTERN_SIZE = 20_000
_PATTERN_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*+\]?|\{\d*,?\d*\}|.", re.DOTALL)
"""An escape, a character class, a repeat, or a single character of a regular expression."""

Bounds = tuple[int, int]
"""Start and end (exclusive), in characters of the translation."""


@dataclass(frozen=True)
class _MaskedRequest:
    request: Request
    line: MaskedLine
    escape: Callable[[str], str] = str
    is_malformed: bool = False

    @property
    def masked(self) -> Request:
        return replace(self.request, text=self.line.text)


class MarkupTransfer:
    """Masks text before translation and reinserts it afterwards.

    Tags are always masked. Protected text is first left to the model, and masked if a translation does not contain it
    as often as the source.
    """

    def __init__(self, options: TranslateOptions) -> None:
        """Create the transfer. Annotations that the options do not request are removed from translations.

        Raises:
            RecipeError: A protected pattern is not a regular expression.
        """
        self._options, self._protect = options, find_protected(options.protect)

    def translate(self, requests: Sequence[Request], translate: TranslateWindow) -> list[Translation]:
        """Translate lines with their markup and protected text."""
        lines = [self._mask(request) for request in requests]
        found = translate([line.masked for line in lines])
        if self._protect:
            protect = self._protect
            kept = [_preserving(line, each, protect) for line, each in zip(lines, found, strict=True)]
            failing = {index for index, each in enumerate(kept) if found[index].best not in each}
            found = [replace(each, hypotheses=tuple(own)) for each, own in zip(found, kept, strict=True)]
            for index in failing:
                lines[index] = replace(lines[index], line=mask_spans(lines[index].line, protect))
            if failing:
                blank = Request("")  # keeps the line numbers of the others
                again = translate([line.masked if index in failing else blank for index, line in enumerate(lines)])
                found = [again[index] if index in failing else each for index, each in enumerate(found)]
        return [self._unmask(line, translation) for line, translation in zip(lines, found, strict=True)]

    def _mask(self, request: Request) -> _MaskedRequest:
        if not self._options.markup:
            return _MaskedRequest(request, MaskedLine(request.text))
        masked = mask_markup(request.text)
        if masked is None:
            return _MaskedRequest(request, mask_tags(request.text), is_malformed=True)
        return _MaskedRequest(request, masked, escape=escape_markup)

    def _unmask(self, line: _MaskedRequest, translation: Translation) -> Translation:
        hypotheses = tuple(self._unmask_text(line, found) for found in translation.hypotheses)
        return replace(translation, source=line.request.text, hypotheses=hypotheses, is_malformed=line.is_malformed)

    def _unmask_text(self, line: _MaskedRequest, found: TranslatedText) -> TranslatedText:
        computed, options = found.annotation or Annotation(), self._options
        text = reinsert_markup(line.line, found.text, computed.alignment or (), line.escape)
        annotation = None
        if options.alignment or options.word_scores:
            annotation = Annotation(
                computed.alignment if options.alignment else None, computed.word_scores if options.word_scores else None
            )
        return replace(found, text=text, annotation=annotation)


def _preserving(line: _MaskedRequest, translation: Translation, find: FindSpans) -> list[TranslatedText]:
    """Return the hypotheses that contain the spans as often as the source."""
    wanted = count_spans(line.line.text, find)
    return [found for found in translation.hypotheses if count_spans(found.text, find) == wanted]


def find_protected(patterns: Sequence[str]) -> FindSpans | None:
    """Return a function that finds the matches of regular expressions; overlapping ones become one span.

    Each expression is searched for on its own, so that its groups and flags do not affect the others. None if there
    are none.

    Raises:
        RecipeError: A pattern is not a regular expression, or too large. The function raises it if a search takes
            longer than a second.
    """
    compiled = [_compile(pattern) for pattern in patterns]

    def find(text: str) -> list[TextSpan]:
        merged = list[TextSpan]()
        for start, end in sorted(span for each in compiled for span in _search(each, text)):
            if merged and start < merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        return merged

    return find if compiled else None


def _compile(pattern: str) -> "regex.Pattern[str]":
    try:
        if _expanded_size(pattern) > _MAX_PATTERN_SIZE:
            raise RecipeError(f"--protect {pattern[:80]!r}: repeats too much; use * or + instead of large numbers")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError, ValueError) as error:
        raise RecipeError(f"--protect {pattern[:80]!r}: is not a regular expression: {error}") from error


def _search(pattern: "regex.Pattern[str]", text: str) -> list[TextSpan]:
    try:
        return [found.span() for found in pattern.finditer(text, timeout=_MAX_SECONDS) if found[0]]
    except TimeoutError as error:
        raise RecipeError(
            f"--protect {pattern.pattern[:80]!r}: the search takes more than {_MAX_SECONDS:g} s in the line that begins"
            f" {text[:40]!r}; use an expression without nested repeats, such as a+ instead of (a+)+"
        ) from error


def _expanded_size(pattern: str) -> int:
    """Return about how large a pattern becomes in memory, where a repeat such as a{1000} is written out."""
    sizes, last = [0], 0
    """The sizes of the groups that are open, and of the last item."""
    for part in _PATTERN_PART.finditer(pattern):
        if part[0] == "(":
            sizes.append(0)
        elif part[0] == ")" and len(sizes) > 1:
            last = sizes.pop() + 1
            sizes[-1] += last
        elif part[0][0] == "{" and (numbers := re.findall(r"\d+", part[0])):
            count = max(int(number[:9]) for number in numbers)
            sizes[-1] += last * count
            last *= count + 1
        else:
            last = 1
            sizes[-1] += 1
    return sum(sizes)


def reinsert_markup(masked: MaskedLine, translation: str, links: Iterable[Link], escape: Callable[[str], str]) -> str:
    """Insert each placeholder of a line into its translation exactly once, nested as before.

    A placeholder that encloses words goes around the words aligned to them; an aligned word is left out if more
    unaligned than aligned words would be enclosed with it. A placeholder that encloses nothing goes before the word
    aligned to the next source word.

    Args:
        links: The alignment of the words of the masked text and of the translation.
        escape: Applied to the text between placeholders.
    """
    return _Reinsertion(masked.text, translation, links).write(masked.placeholders, (0, len(translation)), escape)


class _Reinsertion:
    """A line and its translation, with their words and alignment."""

    def __init__(self, source: str, target: str, links: Iterable[Link]) -> None:
        self.source, self.target = source, target
        self.source_words = [found.span() for found in _WORD.finditer(source)]
        self.target_words = [found.span() for found in _WORD.finditer(target)]
        self.links = sorted(
            {(one, other) for one, other in links if one < len(self.source_words) and other < len(self.target_words)}
        )
        self._starts, self._ends = ([span[side] for span in self.source_words] for side in (0, 1))
        self._linked_words = [one for one, _ in self.links]

    def write(self, placeholders: Sequence[Placeholder], bounds: Bounds, escape: Callable[[str], str]) -> str:
        """Return the translation within bounds with the placeholders of one level."""
        written, position = "", bounds[0]
        for (start, end), placeholder in self._arrange(placeholders, bounds):
            written += escape(self.target[position:start])
            before, after = self._spacing(written[-1:], self.target[start : min(start + 1, bounds[1])], placeholder)
            inner = self.write(placeholder.children, (start, end), escape)
            written += before + placeholder.opening + inner + placeholder.closing + after
            position = end
        return written + escape(self.target[position : bounds[1]])

    def _arrange(self, placeholders: Sequence[Placeholder], bounds: Bounds) -> list[tuple[Bounds, Placeholder]]:
        """Return the placeholders of one level in target order, each with its own bounds, which do not overlap."""
        ranges = [(*self._range(placeholder), index) for index, placeholder in enumerate(placeholders)]
        placed, free = [], bounds[0]
        for start, end, index in sorted(ranges):
            start = min(max(start, free), bounds[1])
            free = min(max(end, start), bounds[1])
            placed.append(((start, free), placeholders[index]))
        return placed

    def _range(self, placeholder: Placeholder) -> Bounds:
        """Return the characters of the translation that a placeholder should enclose."""
        first = bisect_right(self._ends, placeholder.start)
        end = bisect_left(self._starts, placeholder.end)
        links = self.links[bisect_left(self._linked_words, first) : bisect_left(self._linked_words, end)]
        aligned = sorted({other for _, other in links})
        if placeholder.start == placeholder.end or not aligned:
            position = self._single_position(placeholder, first)
            return position, position
        first_target, last_target = _densest_run(aligned)
        start = self._target_position(placeholder.start, first, first_target, at_end=False)
        return start, max(start, self._target_position(placeholder.end, end - 1, last_target, at_end=True))

    def _single_position(self, placeholder: Placeholder, next_word: int) -> int:
        """Return where a placeholder that encloses nothing goes; `next_word` is the source word after it."""
        if placeholder.anchor == "first":
            return 0
        if placeholder.anchor == "last":
            return len(self.target)
        num_before = bisect_left(self._linked_words, bisect_left(self._starts, placeholder.start))
        if placeholder.anchor == "previous" and num_before:
            start, end = self.target_words[self.links[num_before - 1][1]]
            return start + len(self.target[start:end].rstrip(CLOSING))
        following = bisect_left(self._linked_words, next_word)
        if following < len(self.links):
            return self.target_words[self.links[following][1]][0]
        return self.target_words[self.links[-1][1]][1] if self.links and next_word else len(self.target)

    def _target_position(self, position: int, source_word: int, target_word: int, at_end: bool) -> int:
        """Return where a boundary within or beside a source word falls in its target word.

        In a word that is copied it stays in place; beside punctuation it stays beside it.
        """
        source_start, source_end = self.source_words[source_word]
        start, end = self.target_words[target_word]
        is_inside = source_start < position < source_end
        if is_inside and self.source[source_start:source_end] == self.target[start:end]:
            return start + position - source_start
        word = self.target[start:end]
        rest = self.source[position:source_end] if at_end else self.source[source_start:position]
        if not is_inside or any(map(str.isalnum, rest)):
            return end if at_end else start
        return start + len(word.rstrip(rest)) if at_end else end - len(word.lstrip(rest))

    def _spacing(self, before: str, after: str, placeholder: Placeholder) -> tuple[str, str]:
        """Return the spaces that separate a span from words it did not touch, given the characters beside it."""
        touches_before, touches_after = placeholder.touches
        needs_before = not touches_before and before.strip()
        needs_after = not touches_after and after.strip() and after not in CLOSING
        return " " if needs_before else "", " " if needs_after else ""


def _densest_run(indices: Sequence[int]) -> tuple[int, int]:
    """Return first and last of the run with the highest score: these indices in it less the others in it."""
    best, best_count = (indices[0], indices[0]), 0
    count, start = 0, indices[0]
    for position, index in enumerate(indices):
        gap = index - indices[position - 1] - 1 if position else 0
        count, start = (count - gap + 1, start) if position and count > gap else (1, index)
        if count > best_count:
            best_count, best = count, (start, index)
    return best
