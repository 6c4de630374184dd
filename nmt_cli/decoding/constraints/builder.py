"""Build the constraints of a translation, in tokens, from a request and a glossary; report the terms it used."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.constraints.glossary import Glossary, TermOccurrence, find_terms
from nmt_cli.decoding.constraints.spelling import Speller
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.sentences import NO_CONSTRAINTS, Constraints, HardTerm, Phrase, PhraseBonus
from nmt_cli.text.terms import TermList, TermMatch, term_list, without_wildcards
from nmt_cli.text.word_boundaries import count_phrase, split_words


@dataclass(frozen=True)
class TermUse:
    """A glossary entry whose source term occurs in a line. Each occurrence has its own."""

    source: str
    targets: tuple[str, ...]
    is_used: bool
    """Whether the best translation contains one of the targets for it."""
    reason: str = ""
    """Why it cannot be used."""

    def __str__(self) -> str:
        return f"{self.source} → {' | '.join(self.targets)}"


@dataclass(frozen=True)
class ConstraintUse:
    """A constraint of a line, and whether the best translation satisfies it."""

    kind: Literal["prefix", "required", "forbidden"]
    text: str
    is_satisfied: bool
    reason: str = ""
    """Why not."""
    found: str = ""
    """The form of a forbidden term that the translation contains."""


_UNSPELLABLE = "the vocabulary cannot spell it"
_BLANK = "the line is blank"
_NO_ROOM = "it does not fit into the maximum length, or contradicts other constraints"
_FORBIDDEN = "it contains a bad word"
_NO_OTHER = "no other translation was found"


class ConstraintBuilder:
    """Builds the constraints of each line from its request and the options of all lines."""

    def __init__(self, tokenizer: Tokenizer, options: TranslateOptions, glossary_bonus: float) -> None:
        """`glossary_bonus`, in nats, is decoding.glossary_bonus."""
        self._options, self._bonus, self._speller = options, glossary_bonus, Speller(tokenizer)
        self._glossary = Glossary(options.glossary) if options.glossary else None
        self._bad_words = TermList(options.bad_words)
        self._bad_phrases = tuple(dict.fromkeys(self._spellings(options.bad_words)))
        self.is_active = options.has_constraints
        """Whether the options constrain all translations; otherwise only requests with constraints need `build`."""

    def build(self, request: Request, segments: Sequence[tuple[int, int]]) -> list[Constraints]:
        """Return the constraints on each segment of a line.

        The prefix and the required phrases belong to the first segment, and terms to the segment in which they begin.

        Args:
            segments: Start and end (exclusive) of each segment, in characters, in order.
        """
        bad_phrases = self._bad_phrases
        if request.forbidden:
            bad_phrases = tuple(dict.fromkeys((*bad_phrases, *self._spellings(request.forbidden))))
        occurrences = self._occurrences(request)
        if not (bad_phrases or occurrences or request.prefix or request.required):
            return [NO_CONSTRAINTS] * len(segments)
        prefix = self._speller.encode_prefix(request.prefix)
        constraints, spell = [], self._speller.usual_spelling
        allowed = [each for each in request.required if not self._is_forbidden(each, request)]
        for index, (start, end) in enumerate(segments):
            here = [each for each in occurrences if start <= each.start < end]
            required = allowed if index == 0 else []
            hard, bonuses = self._term_constraints(request, here)
            constraints.append(
                Constraints(
                    prefix=prefix.tokens if index == 0 else (),
                    prefix_completions=prefix.completions if index == 0 else (),
                    forced_phrases=tuple(filter(None, map(spell, (*required, *(each.target for each in hard))))),
                    bad_words=bad_phrases,
                    bonuses=tuple(bonuses),
                    hard_terms=tuple(replace(each, start=each.start - start, end=each.end - start) for each in hard),
                )
            )
        return constraints

    def forbidding(self, constraints: Constraints, forms: Iterable[str]) -> Constraints:
        """Return constraints that also forbid these words or phrases."""
        bad_phrases = (*constraints.bad_words, *self._spellings(forms))
        return replace(constraints, bad_words=tuple(dict.fromkeys(bad_phrases)))

    def has_bad_words(self, request: Request) -> bool:
        """Return whether there are words that the translation of a request must not contain."""
        return bool(self._bad_words or request.forbidden)

    def bad_words_in(self, request: Request, text: str, prefix: str) -> list[TermMatch]:
        """Return where a translation contains a bad word, more often than the prefix with which it begins."""
        found = self._matches(request, text)
        if not found or not prefix:
            return found
        allowed, kept = Counter(each.term for each in self._matches(request, prefix)), list[TermMatch]()
        for each in found:
            allowed[each.term] -= 1
            if allowed[each.term] < 0:
                kept.append(each)
        return kept

    def with_prefix(self, request: Request, text: str) -> str:
        """Return a translation that begins with exactly the characters of the request's prefix."""
        return self._speller.with_prefix(request.prefix, text) if request.prefix else text

    def term_uses(self, request: Request, text: str) -> tuple[TermUse, ...]:
        """Return whether a translation uses the glossary's terms. Each occurrence of a target counts for one term."""
        occurrences = self._occurrences(request)
        if not occurrences:
            return ()
        present = find_terms([target for each in occurrences for target in each.entry.targets], text)
        uses = []
        for occurrence in occurrences:
            entry = occurrence.entry
            target = next((target for target in entry.targets if target in present), None)
            if target is not None:
                present.remove(target)
            reason = "" if target is not None else self._term_reason(request, entry.targets)
            uses.append(TermUse(entry.source, entry.targets, target is not None, reason))
        return tuple(uses)

    def constraint_uses(self, request: Request, text: str) -> tuple[ConstraintUse, ...]:
        """Return whether a translation satisfies each constraint of its request, and the bad words that it contains."""
        uses = list[ConstraintUse]()
        otherwise = _NO_ROOM if request.text.strip() else _BLANK
        if request.prefix:
            is_satisfied = text.startswith((request.prefix, request.prefix.rstrip()))
            uses.append(ConstraintUse("prefix", request.prefix, is_satisfied, "" if is_satisfied else otherwise))
        for phrase, times in Counter(request.required).items():
            is_satisfied, reason = count_phrase(phrase, text) >= times, ""
            if not is_satisfied:
                is_spellable = self._speller.usual_spelling(phrase) is not None
                reason = _FORBIDDEN if self._is_forbidden(phrase, request) else otherwise
                reason = reason if is_spellable else _UNSPELLABLE
            uses.append(ConstraintUse("required", phrase, is_satisfied, reason))
        forms = dict[str, str]()
        for match in self.bad_words_in(request, text, request.prefix):
            forms.setdefault(match.term, text[match.start : match.end])
        for term in dict.fromkeys((*request.forbidden, *forms)):
            form = forms.get(term, "")
            uses.append(ConstraintUse("forbidden", term, not form, _NO_OTHER if form else "", form))
        return tuple(uses)

    def _is_forbidden(self, phrase: str, request: Request) -> bool:
        return bool(self._matches(request, phrase))

    def _matches(self, request: Request, text: str) -> list[TermMatch]:
        """Return the bad words in a text: those of the options, and those of the request."""
        return self._bad_words.find(text) + (term_list(request.forbidden).find(text) if request.forbidden else [])

    def _spellings(self, terms: Iterable[str]) -> tuple[Phrase, ...]:
        """Return phrases that search can avoid, to avoid these terms as they are written."""
        return tuple(phrase for term in terms for phrase in self._speller.likely_spellings(without_wildcards(term)))

    def _term_reason(self, request: Request, targets: Sequence[str]) -> str:
        """Return why none of the targets of a term can be used; empty if one can."""
        if not any(map(self._speller.usual_spelling, targets)):
            return _UNSPELLABLE
        return _FORBIDDEN if all(self._is_forbidden(each, request) for each in targets) else ""

    def _occurrences(self, request: Request) -> list[TermOccurrence]:
        return [] if self._glossary is None else self._glossary.occurrences(request.text)

    def _term_constraints(
        self, request: Request, occurrences: Sequence[TermOccurrence]
    ) -> tuple[list[HardTerm], list[PhraseBonus]]:
        hard: list[HardTerm] = []
        bonuses: list[PhraseBonus] = []
        for occurrence in occurrences:
            allowed = (form for form in _forms(request.text, occurrence) if not self._is_forbidden(form, request))
            spelled = [(form, self._speller.usual_spelling(form)) for form in allowed]
            forms = {form: phrase for form, phrase in spelled if phrase}
            if self._options.glossary_mode == "hard":
                hard += [HardTerm(occurrence.start, occurrence.end, form) for form in forms][:1]
            else:
                bonuses += [PhraseBonus(phrase, self._bonus) for phrase in dict.fromkeys(forms.values())]
        return hard, bonuses


def _forms(text: str, occurrence: TermOccurrence) -> list[str]:
    """Return the possible forms of the targets, the best first: at the start of a sentence, capitalized ones."""
    targets = list(occurrence.entry.targets)
    if not (occurrence.entry.ignores_case and text[occurrence.start].isupper()):
        return targets
    capitalized = [target[:1].upper() + target[1:] for target in targets]
    is_first = not split_words(text[: occurrence.start])
    return [*capitalized, *targets] if is_first else [*targets, *capitalized]
