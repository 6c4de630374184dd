"""Results of translation, their statistics, which can be added up, and their output formats."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from nmt_cli.text.checks import TranslationFinding

if TYPE_CHECKING:  # statistics can be added up without torch
    from nmt_cli.decoding.constraints.builder import ConstraintUse, TermUse
    from nmt_cli.decoding.scoring.annotation import Annotation

OUTPUT_KEYS = frozenset(
    [
        *("source", "hypothesis", "log_probability", "score", "alignment", "word_scores"),
        "copy_probabilities",
        *("hypotheses", "repaired", "terms", "constraints", "problems"),
    ]
)
"""Keys of a translation in JSON, which are never copied from the input."""
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
    n_best: int = 1
    """Number of translations that were asked for; there may be fewer different ones."""
    problems: tuple[TranslationFinding, ...] = ()
    """Problems of the best translation that remain after any retry."""
    is_repaired: bool = False
    """Whether a retry found the best translation."""
    is_split: bool = False
    """Whether a sentence of the line was too long and was translated in parts."""
    is_malformed: bool = False
    """Whether the line's markup is not well nested; then each tag is kept by itself."""
    is_truncated: bool = False
    """Whether the best translation, or that of a segment, reached the maximum length without eos."""
    terms: "tuple[TermUse, ...]" = ()
    """Glossary terms of the line, and whether the best translation uses them."""
    constraints: "tuple[ConstraintUse, ...]" = ()
    """Constraints of the line, and whether the best translation satisfies them."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """JSON keys of the input that are copied to the output, with their values as raw JSON."""

    @property
    def best(self) -> TranslatedText:
        return self.hypotheses[0]


@dataclass(frozen=True)
class TranslationStats:
    """Counts of lines. The counts of several processes can be added."""

    lines: int = 0
    truncated: int = 0
    """Lines whose translation reached the maximum length."""
    split: int = 0
    """Lines with a sentence that was too long and was split."""
    malformed: int = 0
    """Lines whose tags are not well nested."""
    repaired: int = 0
    """Lines whose first translation had a problem and was replaced by a better one."""
    failing: int = 0
    """Lines whose translation still has a problem."""
    problems: Counter[str] = field(default_factory=Counter)
    """Lines by kind of remaining problem."""
    terms: Counter[str] = field(default_factory=Counter)
    """Occurrences of each glossary entry in the input, such as `dog → Hund | Rüde`."""
    terms_used: Counter[str] = field(default_factory=Counter)
    """Occurrences for which the translation uses the entry."""
    terms_impossible: Counter[str] = field(default_factory=Counter)
    """Occurrences of each entry that cannot be used, with the reason, such as `dog → 犬 (the vocabulary cannot …)`."""
    constraints: Counter[str] = field(default_factory=Counter)
    """Constraints by kind, such as `required`."""
    unsatisfied: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Constraints that are not satisfied, by kind and reason."""

    @classmethod
    def count(cls, translations: Sequence[Translation]) -> Self:
        """Count translations."""
        remaining = [{finding.problem for finding in translation.problems} for translation in translations]
        return cls(
            len(translations),
            truncated=sum(translation.is_truncated for translation in translations),
            split=sum(translation.is_split for translation in translations),
            malformed=sum(translation.is_malformed for translation in translations),
            repaired=sum(translation.is_repaired for translation in translations),
            failing=sum(map(bool, remaining)),
            problems=Counter(problem for problems in remaining for problem in problems),
            terms=Counter(str(term) for translation in translations for term in translation.terms),
            terms_used=Counter(str(term) for translation in translations for term in translation.terms if term.is_used),
            terms_impossible=Counter(
                f"{term} ({term.reason})" for translation in translations for term in translation.terms if term.reason
            ),
            constraints=Counter(each.kind for translation in translations for each in translation.constraints),
            unsatisfied=Counter(
                (each.kind, each.reason)
                for translation in translations
                for each in translation.constraints
                if not each.is_satisfied
            ),
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
        for (kind, reason), count in self.unsatisfied.most_common():
            found.append(
                f"{count:,} of {self.constraints[kind]:,} constraints `{kind}` are not satisfied, because {reason};"
                " --format jsonl marks them"
            )
        if self.failing:
            kinds = ", ".join(f"{problem} {count:,}" for problem, count in self.problems.most_common())
            found.append(
                f"{self.failing:,} of {self.lines:,} translations may be wrong ({kinds}), after {self.repaired:,} were "
                "replaced by better ones; --format jsonl marks them"
            )
        return found

    def glossary_report(self) -> list[str]:
        """Return how often glossary terms were used, and a line for each entry not always used, worst first."""
        if not self.terms:
            return []
        occurrences, used = self.terms.total(), self.terms_used.total()
        percentage = 100 * used / occurrences
        found = [f"glossary: used {used:,} of {occurrences:,} times ({percentage:.1f} %), {len(self.terms):,} entries"]
        unused = self.terms - self.terms_used
        found += [
            f"  {entry}: {self.terms_used[entry]:,} of {self.terms[entry]:,}"
            for entry, _ in unused.most_common(_MAX_GLOSSARY_ENTRIES)
        ]
        impossible = self.terms_impossible.most_common(_MAX_GLOSSARY_ENTRIES)
        found += [f"  cannot be used: {entry}: {count:,}" for entry, count in impossible]
        if len(unused) > _MAX_GLOSSARY_ENTRIES:
            found.append(f"  and {len(unused) - _MAX_GLOSSARY_ENTRIES:,} more entries that were not always used")
        return found


def format_text(index: int, translation: Translation) -> str:
    """Format the best translation, then ` ||| ` and its alignment, ` ||| ` and its word scores, if requested."""
    return " ||| ".join([translation.best.text, *_annotation_texts(translation.best)]) + "\n"


def format_nbest(index: int, translation: Translation) -> str:
    """Format each hypothesis as `0 ||| hypothesis ||| F0= log-probability ||| score`, as Moses and Marian do.

    Alignment and word scores follow, if requested.
    """
    return "".join(
        f"{index} ||| {found.text} ||| F0= {found.log_probability:.4f} ||| "
        + " ||| ".join([f"{found.score:.4f}", *_annotation_texts(found)])
        + "\n"
        for found in translation.hypotheses
    )


def format_jsonl(index: int, translation: Translation) -> str:
    """Format one JSON object; `hypotheses` lists all of them if more than one was asked for.

    `repaired` is true if a retry found the best translation. `problems` of the best, glossary `terms` and
    `constraints` of the line are included if there are any. Keys of the input are copied, and an `id` of the input
    replaces the index.
    """
    record: dict[str, Any] = {"source": translation.source}
    record |= _record(translation.best)
    if translation.n_best > 1:
        record["hypotheses"] = [_record(found) for found in translation.hypotheses]
    if translation.is_repaired:
        record["repaired"] = True
    if translation.terms:
        record["terms"] = [
            {"source": term.source, "targets": list(term.targets), "used": term.is_used} for term in translation.terms
        ]
    if translation.constraints:
        record["constraints"] = [_constraint_record(each) for each in translation.constraints]
    if translation.problems:
        record["problems"] = [{"kind": found.problem, "about": found.description} for found in translation.problems]
    values = {key: json.dumps(value, ensure_ascii=False, allow_nan=False) for key, value in record.items()}
    members = {"id": str(index), **translation.extra, **values}
    return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {value}" for key, value in members.items()) + "}\n"


def _constraint_record(use: "ConstraintUse") -> dict[str, Any]:
    record: dict[str, Any] = {"kind": use.kind, "text": use.text, "satisfied": use.is_satisfied}
    record |= {"found": use.found} if use.found else {}
    return record | ({"reason": use.reason} if use.reason else {})


def format_tsv(index: int, translation: Translation) -> str:
    """Format `source<TAB>hypothesis<TAB>score`, then alignment and word scores, if requested.

    Tabs and line breaks within a text become spaces.
    """
    best = translation.best
    texts = (text.replace("\t", " ").replace("\n", " ") for text in (translation.source, best.text))
    return "\t".join([*texts, f"{best.score:.4f}", *_annotation_texts(best)]) + "\n"


def format_pharaoh(links: Sequence[tuple[int, int]]) -> str:
    """Format links as `0-0 1-2` (source-target), as fast_align, Moses and Marian do."""
    return " ".join(f"{source}-{target}" for source, target in links)


def _annotation_texts(found: TranslatedText) -> list[str]:
    texts, annotation = list[str](), found.annotation
    if annotation is not None and annotation.alignment is not None:
        texts.append(format_pharaoh(annotation.alignment))
    if annotation is not None and annotation.word_scores is not None:
        texts.append(" ".join(f"{score:.4f}" for score in annotation.word_scores))
    return texts


def _record(found: TranslatedText) -> dict[str, Any]:
    record: dict[str, Any] = {
        "hypothesis": found.text,
        "log_probability": round(found.log_probability, 4),
        "score": round(found.score, 4),
    }
    if found.annotation is not None and found.annotation.alignment is not None:
        record["alignment"] = [list(link) for link in found.annotation.alignment]
    if found.annotation is not None and found.annotation.word_scores is not None:
        record["word_scores"] = [round(score, 4) for score in found.annotation.word_scores]
    if found.annotation is not None and found.annotation.copy_probabilities is not None:
        record["copy_probabilities"] = [[piece, round(each, 4)] for piece, each in found.annotation.copy_probabilities]
    return record


FORMATS: dict[str, Callable[[int, Translation], str]] = {
    "text": format_text,
    "nbest": format_nbest,
    "jsonl": format_jsonl,
    "tsv": format_tsv,
}
"""Functions from a 0-based line index and a translation to lines of output."""
