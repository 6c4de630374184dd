"""Build the constraints of a translation, in tokens, from a request and a glossary; report which were satisfied."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.constraints.glossary import Glossary, TermOccurrence, assign_targets
from nmt_cli.decoding.constraints.spelling import Speller
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.sentences import NO_CONSTRAINTS, Constraints, Decode, HardTerm, Phrase, PhraseBonus
from nmt_cli.text.terms import TermList, TermMatch, term_list, without_wildcards
from nmt_cli.text.word_boundaries import count_phrase, words


@dataclass(frozen=True)
class TermUse:
    """An occurrence of a glossary term in a line, and whether the best translation uses the term."""

    source: str
    targets: tuple[str, ...]
    is_used: bool
    """Whether the best translation contains a target that does not count for another occurrence."""
    reason: str = ""
    """Why none of the targets can be used; empty if one can."""

    def __str__(self) -> str:
        return f"{self.source} → {' | '.join(self.targets)}"


@dataclass(frozen=True)
class ConstraintUse:
    """A constraint of a line, and whether the best translation satisfies it."""

    kind: Literal["prefix", "required", "forbidden"]
    text: str
    is_satisfied: bool
    reason: str = ""
    """Why it is not satisfied."""
    found: str = ""
    """The form of a forbidden term that the translation contains."""


_UNSPELLABLE = "the vocabulary cannot spell it"
_BLANK_LINE = "the line is blank"
_NO_ROOM = "it does not fit into the maximum length, or contradicts other constraints"
_HAS_BAD_WORD = "it contains a bad word"
_NO_ALTERNATIVE = "no other translation was found"


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
        allowed = [each for each in request.required if not self._has_bad_word(each, request)]
        for index, (start, end) in enumerate(segments):
            in_segment = [each for each in occurrences if start <= each.start < end]
            required = allowed if index == 0 else []
            hard, bonuses = self._term_constraints(request, in_segment)
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

    def with_bad_words(
        self, constraints: Constraints, terms: Iterable[str], phrases: Iterable[Phrase] = ()
    ) -> Constraints:
        """Return constraints that also forbid these words or phrases, and phrases that are given as tokens."""
        bad_phrases = (*constraints.bad_words, *self._spellings(terms), *phrases)
        return replace(constraints, bad_words=tuple(dict.fromkeys(bad_phrases)))

    def spelling_of(self, match: TermMatch, tokens: Phrase, decode: Decode) -> Phrase:
        """Return the tokens of a match in a translation, see `Speller.spelling_in`."""
        return self._speller.spelling_in(tokens, match.start, match.end, decode)

    def has_bad_words(self, request: Request) -> bool:
        """Return whether the options or the request forbid any words."""
        return bool(self._bad_words or request.forbidden)

    def bad_words_in(self, request: Request, text: str, prefix: str) -> list[TermMatch]:
        """Return the bad words in a translation that begins with `prefix`, except as many of each as the prefix has."""
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
        entries = [each.entry for each in occurrences]
        used = assign_targets([entry.targets for entry in entries], text)
        uses = []
        for index, entry in enumerate(entries):
            reason = "" if index in used else self._term_reason(request, entry.targets)
            uses.append(TermUse(entry.source, entry.targets, index in used, reason))
        return tuple(uses)

    def constraint_uses(self, request: Request, text: str) -> tuple[ConstraintUse, ...]:
        """Return whether a translation satisfies each constraint of its request, and any other bad words in it."""
        uses = list[ConstraintUse]()
        default_reason = _NO_ROOM if request.text.strip() else _BLANK_LINE
        if request.prefix:
            is_satisfied = text.startswith((request.prefix, request.prefix.rstrip()))
            uses.append(ConstraintUse("prefix", request.prefix, is_satisfied, "" if is_satisfied else default_reason))
        for phrase, times in Counter(request.required).items():
            is_satisfied, reason = count_phrase(phrase, text) >= times, ""
            if not is_satisfied:
                is_spellable = self._speller.usual_spelling(phrase) is not None
                reason = _HAS_BAD_WORD if self._has_bad_word(phrase, request) else default_reason
                reason = reason if is_spellable else _UNSPELLABLE
            uses.append(ConstraintUse("required", phrase, is_satisfied, reason))
        forms = dict[str, str]()
        for match in self.bad_words_in(request, text, request.prefix):
            forms.setdefault(match.term, text[match.start : match.end])
        for term in dict.fromkeys((*request.forbidden, *forms)):
            form = forms.get(term, "")
            uses.append(ConstraintUse("forbidden", term, not form, _NO_ALTERNATIVE if form else "", form))
        return tuple(uses)

    def _has_bad_word(self, phrase: str, request: Request) -> bool:
        return bool(self._matches(request, phrase))

    def _matches(self, request: Request, text: str) -> list[TermMatch]:
        """Return the bad words in a text: those of the options, and those of the request."""
        return self._bad_words.find(text) + (term_list(request.forbidden).find(text) if request.forbidden else [])

    def _spellings(self, terms: Iterable[str]) -> tuple[Phrase, ...]:
        """Return the likely spellings of the terms as they are written, without wildcards."""
        return tuple(phrase for term in terms for phrase in self._speller.likely_spellings(without_wildcards(term)))

    def _term_reason(self, request: Request, targets: Sequence[str]) -> str:
        """Return why none of the targets of a term can be used; empty if one can."""
        spellable = [each for each in targets if self._speller.usual_spelling(each)]
        if not spellable:
            return _UNSPELLABLE
        return _HAS_BAD_WORD if all(self._has_bad_word(each, request) for each in spellable) else ""

    def _occurrences(self, request: Request) -> list[TermOccurrence]:
        return [] if self._glossary is None else self._glossary.occurrences(request.text)

    def _term_constraints(
        self, request: Request, occurrences: Sequence[TermOccurrence]
    ) -> tuple[list[HardTerm], list[PhraseBonus]]:
        hard: list[HardTerm] = []
        bonuses: list[PhraseBonus] = []
        for occurrence in occurrences:
            allowed = (form for form in _forms(request.text, occurrence) if not self._has_bad_word(form, request))
            spelled = [(form, self._speller.usual_spelling(form)) for form in allowed]
            forms = {form: phrase for form, phrase in spelled if phrase}
            if self._options.glossary_mode == "hard":
                hard += [HardTerm(occurrence.start, occurrence.end, form) for form in forms][:1]
            else:
                bonuses += [PhraseBonus(phrase, self._bonus) for phrase in dict.fromkeys(forms.values())]
        return hard, bonuses


def _forms(text: str, occurrence: TermOccurrence) -> list[str]:
    """Return possible forms of the targets, best first: capitalized ones if the term is the first word of `text`."""
    targets = list(occurrence.entry.targets)
    if not (occurrence.entry.ignores_case and text[occurrence.start].isupper()):
        return targets
    capitalized = [target[:1].upper() + target[1:] for target in targets]
    is_first = not words(text[: occurrence.start])
    return [*capitalized, *targets] if is_first else [*targets, *capitalized]
