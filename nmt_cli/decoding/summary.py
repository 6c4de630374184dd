"""What happened to lines, in numbers that can be added up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # who only adds summaries up needs no torch
    from nmt_cli.decoding.translator import Translation

_MOST = 20
"""Entries of a glossary that are told of one by one."""


@dataclass(frozen=True)
class Summary:
    """Counts of lines; those of parts, translated wherever, add up to those of the whole."""

    lines: int = 0
    endless: int = 0
    """Their translation was still going on when it, or a piece of it, had reached the greatest length."""
    cut: int = 0
    """They hold a sentence that was too long to be translated at once."""
    malformed: int = 0
    """Their tags are not well nested, where they should be."""
    mended: int = 0
    """Their first translation looked wrong, and the one that was kept looks better."""
    failing: int = 0
    """Their translation still looks wrong."""
    problems: Counter[str] = field(default_factory=Counter)
    """How many lines have each kind of problem left."""
    terms: Counter[str] = field(default_factory=Counter)
    """How often each entry of the glossary was asked for, such as `dog → Hund | Rüde`."""
    used: Counter[str] = field(default_factory=Counter)
    """How often it was used."""

    @classmethod
    def of(cls, translations: Sequence["Translation"]) -> Self:
        """Count what translations say of themselves."""
        left = [{finding.problem for finding in translation.problems} for translation in translations]
        return cls(
            len(translations),
            endless=sum(translation.endless for translation in translations),
            cut=sum(translation.cut for translation in translations),
            malformed=sum(translation.malformed for translation in translations),
            mended=sum(translation.mended for translation in translations),
            failing=sum(map(bool, left)),
            problems=Counter(problem for problems in left for problem in problems),
            terms=Counter(str(term) for translation in translations for term in translation.terms),
            used=Counter(str(term) for translation in translations for term in translation.terms if term.used),
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def warnings(self) -> list[str]:
        """What a user should know of, a line for each kind."""
        found = []
        if self.endless:
            found.append(
                f"{self.endless:,} of {self.lines:,} translations were cut off at the greatest length; "
                "see decoding.max_length_ratio"
            )
        if self.cut:
            found.append(f"{self.cut:,} of {self.lines:,} lines hold a sentence that is too long; it was cut in pieces")
        if self.malformed:
            found.append(f"{self.malformed:,} of {self.lines:,} lines have tags that are not well nested; each is kept")
        if self.failing:
            kinds = ", ".join(f"{problem} {count:,}" for problem, count in self.problems.most_common())
            found.append(
                f"{self.failing:,} of {self.lines:,} translations look wrong ({kinds}), {self.mended:,} were mended; "
                "--format jsonl marks them"
            )
        return found

    def glossary(self) -> list[str]:
        """What has become of the glossary's terms; each entry that was not always used, the most neglected first."""
        if not self.terms:
            return []
        asked, used = self.terms.total(), self.used.total()
        found = [
            f"glossary: used {used:,} of {asked:,} times ({100 * used / asked:.1f} %), {len(self.terms):,} entries"
        ]
        unused = self.terms - self.used
        found += [f"  {entry}: {self.used[entry]:,} of {self.terms[entry]:,}" for entry, _ in unused.most_common(_MOST)]
        if len(unused) > _MOST:
            found.append(f"  and {len(unused) - _MOST:,} more entries that were not always used")
        return found
