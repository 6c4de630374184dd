"""Results of translation: lines with their translations, and statistics of them that can be added up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from nmt_cli.text.checks import TranslationFinding

if TYPE_CHECKING:  # statistics can be added up without torch
    from nmt_cli.decoding.constraints.builder import TermUse
    from nmt_cli.decoding.scoring.annotation import Annotation

_MAX_GLOSSARY_ENTRIES = 20
"""Glossary entries that are listed individually."""


@dataclass(frozen=True)
class TranslatedText:
    """One translation of a line."""

    text: str
    log_probability: float
    score: float
    annotation: "Annotation | None" = None
    """Word alignment and word scores, if requested."""


@dataclass(frozen=True)
class Translation:
    """A line and its translations, best first. A blank line has one, empty and with log-probability 0."""

    source: str
    hypotheses: tuple[TranslatedText, ...]
    problems: tuple[TranslationFinding, ...] = ()
    """Problems of the best translation that remain after any retry."""
    is_retried: bool = False
    """Whether the best translation was found by another search than the first."""
    is_split: bool = False
    """Whether the line holds a sentence that was too long and was translated in parts."""
    is_malformed: bool = False
    """Whether the line's tags, where there is markup, are not well nested; then each is kept on its own."""
    is_truncated: bool = False
    """Whether the best translation, or that of a segment, reached the maximum length without eos."""
    terms: "tuple[TermUse, ...]" = ()
    """Glossary terms of the line, and whether the best translation uses them."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """JSON keys of the input that are copied to the output."""

    @property
    def best(self) -> TranslatedText:
        return self.hypotheses[0]


@dataclass(frozen=True)
class TranslationStats:
    """Counts of lines. Those of parts, translated by several processes, can be added."""

    lines: int = 0
    truncated: int = 0
    """Lines whose translation reached the maximum length."""
    split: int = 0
    """Lines with a sentence that was too long and was split."""
    malformed: int = 0
    """Lines whose tags are not well nested."""
    retried: int = 0
    """Lines whose first translation had a problem and was replaced by a better one."""
    failing: int = 0
    """Lines whose translation still has a problem."""
    problems: Counter[str] = field(default_factory=Counter)
    """Lines by kind of remaining problem."""
    terms: Counter[str] = field(default_factory=Counter)
    """Occurrences of each glossary entry in the input, such as `dog → Hund | Rüde`."""
    used: Counter[str] = field(default_factory=Counter)
    """Occurrences for which the translation uses the entry."""

    @classmethod
    def count(cls, translations: Sequence[Translation]) -> Self:
        """Count translations."""
        remaining = [{finding.problem for finding in translation.problems} for translation in translations]
        return cls(
            len(translations),
            truncated=sum(translation.is_truncated for translation in translations),
            split=sum(translation.is_split for translation in translations),
            malformed=sum(translation.is_malformed for translation in translations),
            retried=sum(translation.is_retried for translation in translations),
            failing=sum(map(bool, remaining)),
            problems=Counter(problem for problems in remaining for problem in problems),
            terms=Counter(str(term) for translation in translations for term in translation.terms),
            used=Counter(str(term) for translation in translations for term in translation.terms if term.is_used),
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def warnings(self) -> list[str]:
        """Return one message for each kind of possible problem."""
        found = []
        if self.truncated:
            found.append(
                f"{self.truncated:,} of {self.lines:,} translations were truncated at the maximum length; "
                "see decoding.max_length_ratio"
            )
        if self.split:
            found.append(f"{self.split:,} of {self.lines:,} lines contain a sentence that was too long and was split")
        if self.malformed:
            found.append(
                f"{self.malformed:,} of {self.lines:,} lines have tags that are not well nested; each tag was kept"
            )
        if self.failing:
            kinds = ", ".join(f"{problem} {count:,}" for problem, count in self.problems.most_common())
            found.append(
                f"{self.failing:,} of {self.lines:,} translations may be wrong ({kinds}); {self.retried:,} others were "
                "replaced after a retry; --format jsonl marks them"
            )
        return found

    def glossary_report(self) -> list[str]:
        """Return lines on how often glossary terms were used, then the entries not always used, worst first."""
        if not self.terms:
            return []
        occurrences, used = self.terms.total(), self.used.total()
        percentage = 100 * used / occurrences
        found = [f"glossary: used {used:,} of {occurrences:,} times ({percentage:.1f} %), {len(self.terms):,} entries"]
        unused = self.terms - self.used
        found += [
            f"  {entry}: {self.used[entry]:,} of {self.terms[entry]:,}"
            for entry, _ in unused.most_common(_MAX_GLOSSARY_ENTRIES)
        ]
        if len(unused) > _MAX_GLOSSARY_ENTRIES:
            found.append(f"  and {len(unused) - _MAX_GLOSSARY_ENTRIES:,} more entries that were not always used")
        return found
