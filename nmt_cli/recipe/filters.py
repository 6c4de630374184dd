"""The list `data.filters`: filters of the training corpora, applied in order."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nmt_cli.recipe.section import Conflicts, Count, Language, Section

Compare = Literal["pair", "source", "target"]
Command = Annotated[str, Field(min_length=1)]
"""A shell command that reads lines from standard input and prints one line for each."""


class LengthFilter(Section):
    """Drops pairs with a side of too few or too many characters. See `data.max_length` for a limit in tokens."""

    type: Literal["length"] = "length"
    """Type of the filter."""
    min: Count = 1
    """Minimum characters of either side."""
    max: Count = 2000
    """Maximum characters of either side."""

    @classmethod
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raise the maximum above a large minimum."""
        least = given.get("min")
        return {"max": 2 * least} if type(least) is int and least > cls.model_fields["max"].default else {}

    def conflicts(self) -> Conflicts:
        if self.min > self.max:
            yield "min", f"{self.min} is greater than max ({self.max}), so no pair would be left"


class RatioFilter(Section):
    """Drops pairs in which one side is much longer than the other. A Chinese character counts as 2.5 letters."""

    type: Literal["ratio"] = "ratio"
    """Type of the filter."""
    max: Annotated[float, Field(ge=1)] = 3.0
    """Maximum ratio of the lengths."""
    tolerance: Annotated[int, Field(ge=0)] = 20
    """Letters that the longer side may have in addition."""


class IdenticalFilter(Section):
    """Drops pairs with equal sides, ignoring case, if they contain letters and the languages differ."""

    type: Literal["identical"] = "identical"
    """Type of the filter."""


class ScriptFilter(Section):
    """Drops pairs with a side that has too few letters of the script of its language."""

    type: Literal["script"] = "script"
    """Type of the filter."""
    min: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Minimum fraction of the letters of a side. Half of it suffices if the letters of other scripts are in words
    of both sides, such as names."""


class RepeatsFilter(Section):
    """Drops pairs in which one side repeats the same text over and over and the other does not."""

    type: Literal["repeats"] = "repeats"
    """Type of the filter."""


class UnmatchedFilter(Section):
    """Drops pairs with a number, URL or the like that only one side has."""

    type: Literal["unmatched"] = "unmatched"
    """Type of the filter."""
    kinds: Annotated[list[Literal["number", "url", "email", "placeholder", "tag"]], Field(min_length=1)] = [
        "number",
        "url",
    ]
    """What must be on both sides."""


class DuplicatesFilter(Section):
    """Keeps the first of equal pairs, in the order of the recipe, and drops the others."""

    type: Literal["duplicates"] = "duplicates"
    """Type of the filter."""
    compare: Compare = "pair"
    """What must be equal."""


class NearDuplicatesFilter(Section):
    """Keeps the first of pairs that differ only in case, accents, digits, punctuation and spaces."""

    type: Literal["near_duplicates"] = "near_duplicates"
    """Type of the filter."""
    compare: Compare = "pair"
    """What must be nearly equal."""


class OverlapFilter(Section):
    """Drops pairs that are also in a validation or test set, because they would make scores too optimistic."""

    type: Literal["overlap"] = "overlap"
    """Type of the filter."""
    compare: Literal["pair", "source", "target", "either"] = "pair"
    """What must equal a line of a set: both sides, one of them, or either."""
    action: Literal["remove", "refuse"] = "remove"
    """Drop such pairs, or stop with an error."""


class LanguageFilter(Section):
    """Drops pairs with a side that is clearly in another language, as py3langid or your command identifies it."""

    type: Literal["language"] = "language"
    """Type of the filter."""
    command: Command | None = None
    """Program that prints one line per input line, beginning with a language code such as `de`; default: py3langid,
    which needs `pip install 'nmt-cli[language]'`. It never drops a side in a language that it does not know."""
    source: Language | None = None
    """Expected code of sources; default: the source language of the corpus."""
    target: Language | None = None
    """Expected code of targets; default: the target language of the corpus."""
    sides: Literal["both", "source", "target"] = "both"
    """Sides to check."""

    def conflicts(self) -> Conflicts:
        for side, other in (("source", "target"), ("target", "source")):
            if self.sides == other and getattr(self, side) is not None:
                yield side, f"has no effect with sides: {other}; remove it, or sides"


class ScoreFilter(Section):
    """Drops pairs whose score, given by the corpus or by your command, is outside of a range."""

    type: Literal["score"] = "score"
    """Type of the filter."""
    command: Command | None = None
    """Program that reads source, tab, target and prints a number per line; default: the `score` of the corpus."""
    min: float | None = None
    """Minimum score."""
    max: float | None = None
    """Maximum score."""

    def conflicts(self) -> Conflicts:
        if self.min is None and self.max is None:
            yield "min", "is missing; give min, max or both"
        if self.min is not None and self.max is not None and self.min > self.max:
            yield "min", f"{self.min:g} is greater than max ({self.max:g}), so no pair would be left"


Filter = Annotated[
    LengthFilter
    | RatioFilter
    | IdenticalFilter
    | ScriptFilter
    | RepeatsFilter
    | UnmatchedFilter
    | DuplicatesFilter
    | NearDuplicatesFilter
    | OverlapFilter
    | LanguageFilter
    | ScoreFilter,
    Field(discriminator="type"),
]

DEFAULT_FILTERS: list[Filter] = [
    LengthFilter(),
    RatioFilter(),
    IdenticalFilter(),
    OverlapFilter(),
    DuplicatesFilter(),
]
"""Cheap filters that rarely drop a good pair."""
