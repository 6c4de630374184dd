"""The list `data.filters`: what is left out of the training corpora, in this order."""

from typing import Annotated, Literal, Self

from pydantic import Field, Tag, model_validator

from nmt_cli.recipe.section import Count, Language, Section, discriminator

Side = Literal["pair", "source", "target"]
Command = Annotated[str, Field(min_length=1)]
"""For a shell. It gets lines on its standard input and says a line for each."""


class LengthFilter(Section):
    """Drops pairs with a side of too few or too many characters; `data.max_length` limits tokens."""

    type: Literal["length"] = "length"
    """Which filter it is."""
    fewest: Count = 1
    """Characters of either side."""
    most: Count = 2000
    """Characters of either side."""

    @model_validator(mode="after")
    def check_bounds(self) -> Self:
        if self.fewest > self.most:
            raise ValueError(f"fewest: {self.fewest} is more than most, {self.most}, so that no pair is left")
        return self


class RatioFilter(Section):
    """Drops pairs of which one side says far more than the other; a Chinese character counts as 2.5 letters."""

    type: Literal["ratio"] = "ratio"
    """Which filter it is."""
    most: Annotated[float, Field(ge=1)] = 3.0
    """One side may be so many times as long as the other."""
    slack: Annotated[int, Field(ge=0)] = 20
    """Letters that it may be longer, besides."""


class IdenticalFilter(Section):
    """Drops pairs whose sides are the same but for case, if there are letters in them and the languages differ."""

    type: Literal["identical"] = "identical"
    """Which filter it is."""


class ScriptFilter(Section):
    """Drops pairs with a side whose letters are too seldom of a script of its language."""

    type: Literal["script"] = "script"
    """Which filter it is."""
    fewest: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of a side's letters."""


class RepeatsFilter(Section):
    """Drops pairs with a side that says the same again and again, where the other does not."""

    type: Literal["repeats"] = "repeats"
    """Which filter it is."""


class UnmatchedFilter(Section):
    """Drops pairs with a number, URL or the like that is on one side only."""

    type: Literal["unmatched"] = "unmatched"
    """Which filter it is."""
    what: Annotated[list[Literal["number", "url", "email", "placeholder", "tag"]], Field(min_length=1)] = [
        "number",
        "url",
    ]
    """Of which kind."""


class DuplicatesFilter(Section):
    """Keeps the first of equal pairs, in the order of the recipe, and drops the others."""

    type: Literal["duplicates"] = "duplicates"
    """Which filter it is."""
    by: Side = "pair"
    """What must be equal."""


class NearDuplicatesFilter(Section):
    """Keeps the first of pairs that differ in case, accents, digits, punctuation and spaces only."""

    type: Literal["near_duplicates"] = "near_duplicates"
    """Which filter it is."""
    by: Side = "pair"
    """What must be nearly equal."""


class OverlapFilter(Section):
    """Finds pairs of which a line stands in a validation or test set, so that scores would promise too much."""

    type: Literal["overlap"] = "overlap"
    """Which filter it is."""
    by: Literal["pair", "source", "target", "either"] = "pair"
    """What must be equal to that of a set: both sides, one of them, or either."""
    action: Literal["remove", "refuse"] = "remove"
    """Drop them, or stop."""


class LanguageFilter(Section):
    """Drops pairs with a side that is in another language, as a program of yours finds."""

    type: Literal["language"] = "language"
    """Which filter it is."""
    command: Command
    """Says the code of each line's language, such as `de`, the first word of each of its own lines."""
    source: Language | None = None
    """Code that it must say of sources; else `data.source_language`."""
    target: Language | None = None
    """Code that it must say of targets; else `data.target_language`."""
    sides: Literal["both", "source", "target"] = "both"
    """Which sides are looked at."""

    @model_validator(mode="after")
    def check_sides(self) -> Self:
        for side, other in (("source", "target"), ("target", "source")):
            if self.sides == other and getattr(self, side) is not None:
                raise ValueError(f"{side}: says nothing, as sides is {other}; leave it out, or sides")
        return self


class ScoreFilter(Section):
    """Drops pairs whose score is too low, as their corpus says or a program of yours finds."""

    type: Literal["score"] = "score"
    """Which filter it is."""
    command: Command | None = None
    """Gets source, tab, target on each line and says a number; without it, corpora that say no `score` are kept."""
    fewest: float | None = None
    """The least score that is kept."""
    most: float | None = None
    """The highest score that is kept."""

    @model_validator(mode="after")
    def check_bounds(self) -> Self:
        if self.fewest is None and self.most is None:
            raise ValueError("fewest: must be given, or most")
        if self.fewest is not None and self.most is not None and self.fewest > self.most:
            raise ValueError(f"fewest: {self.fewest:g} is more than most, {self.most:g}, so that no pair is left")
        return self


Filter = Annotated[
    Annotated[LengthFilter, Tag("length")]
    | Annotated[RatioFilter, Tag("ratio")]
    | Annotated[IdenticalFilter, Tag("identical")]
    | Annotated[ScriptFilter, Tag("script")]
    | Annotated[RepeatsFilter, Tag("repeats")]
    | Annotated[UnmatchedFilter, Tag("unmatched")]
    | Annotated[DuplicatesFilter, Tag("duplicates")]
    | Annotated[NearDuplicatesFilter, Tag("near_duplicates")]
    | Annotated[OverlapFilter, Tag("overlap")]
    | Annotated[LanguageFilter, Tag("language")]
    | Annotated[ScoreFilter, Tag("score")],
    discriminator("type", ""),
]

DEFAULT_FILTERS: list[Filter] = [
    LengthFilter(),
    RatioFilter(),
    IdenticalFilter(),
    OverlapFilter(),
    DuplicatesFilter(),
]
"""Cheap, and seldom wrong."""
