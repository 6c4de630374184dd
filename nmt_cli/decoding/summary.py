"""What happened to lines, in numbers that can be added up."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # who only adds summaries up needs no torch
    from nmt_cli.decoding.translator import Translation


@dataclass(frozen=True)
class Summary:
    """Counts of lines; those of parts, translated wherever, add up to those of the whole."""

    lines: int = 0
    endless: int = 0
    """Their best translation was still going on when it had reached the greatest length."""

    @classmethod
    def of(cls, translations: Sequence["Translation"]) -> Self:
        """Count what translations say of themselves."""
        return cls(len(translations), sum(translation.endless for translation in translations))

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def warnings(self) -> list[str]:
        """What a user should know of, a line for each kind."""
        found = []
        if self.endless:
            found.append(
                f"{self.endless:,} of {self.lines:,} translations were cut at the greatest length; "
                "see decoding.max_length_ratio"
            )
        return found
