"""What a request and a glossary ask of a translation → wishes in tokens; and which terms a translation has used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.sentences import NO_WISHES, Favoured, HardTerm, Wishes
from nmt_cli.decoding.steering.glossary import Entry, Glossary, Occurrence
from nmt_cli.decoding.steering.spelling import Speller
from nmt_cli.text.word_boundaries import split_words


@dataclass(frozen=True)
class Term:
    """A glossary's entry that a line asks for, once for each time that the source term occurs in it."""

    source: str
    targets: tuple[str, ...]
    used: bool
    """Whether the best translation has one of the targets for it."""

    def __str__(self) -> str:
        return f"{self.source} → {' | '.join(self.targets)}"


class Steering:
    """Knows what is wished of every translation, and learns from each request what else is."""

    def __init__(self, tokenizer: Tokenizer, options: TranslateOptions, glossary_bonus: float) -> None:
        """See decoding.glossary_bonus for `glossary_bonus`, in nats."""
        self._options, self._bonus, self._speller = options, glossary_bonus, Speller(tokenizer)
        self._glossary = Glossary(options.glossary) if options.glossary else None

    def applies_to(self, request: Request) -> bool:
        """Return whether the options or the request may constrain the translation."""
        options = self._options
        return bool(options.glossary or options.bad_words or request.prefix or request.required or request.forbidden)

    def wishes(self, request: Request, pieces: Sequence[tuple[int, int]]) -> list[Wishes]:
        """For each piece of a line, its characters `start` to `end`, in order.

        The prefix and what is required belong to the first, terms to the piece that they begin in.
        """
        forbidden = dict.fromkeys((*self._options.bad_words, *request.forbidden))
        occurrences = self._occurrences(request)
        if not (forbidden or occurrences or request.prefix or request.required):
            return [NO_WISHES] * len(pieces)
        avoided = tuple(phrase for text in forbidden for phrase in self._speller.all(text))
        beginning = self._speller.beginning(request.prefix)
        found = []
        for number, (start, end) in enumerate(pieces):
            here = [each for each in occurrences if start <= each.start < end]
            own = request.required if number == 0 else ()
            hard, favoured = self._of_terms(request.text, here)
            found.append(
                Wishes(
                    beginning.prefix if number == 0 else (),
                    beginning.openings if number == 0 else (),
                    tuple(filter(None, map(self._speller.usual, (*own, *(each.target for each in hard))))),
                    avoided,
                    tuple(favoured),
                    tuple(replace(each, start=each.start - start, end=each.end - start) for each in hard),
                )
            )
        return found

    def begun(self, request: Request, text: str) -> str:
        """A translation that begins with exactly the request's prefix."""
        return self._speller.begun(request.prefix, text) if request.prefix else text

    def terms(self, request: Request, text: str) -> tuple[Term, ...]:
        """What a translation has made of the glossary's terms; each time that it says a target counts for one."""
        occurrences = self._occurrences(request)
        if not occurrences:
            return ()
        targets = dict.fromkeys(target for each in occurrences for target in each.entry.targets)
        said = [each.entry.source for each in Glossary([Entry(target, ()) for target in targets]).occurrences(text)]
        found = []
        for occurrence in occurrences:
            entry = occurrence.entry
            word = next((target for target in entry.targets if target in said), None)
            if word is not None:
                said.remove(word)
            found.append(Term(entry.source, entry.targets, word is not None))
        return tuple(found)

    def _occurrences(self, request: Request) -> list[Occurrence]:
        return [] if self._glossary is None else self._glossary.occurrences(request.text)

    def _of_terms(self, text: str, occurrences: Sequence[Occurrence]) -> tuple[list[HardTerm], list[Favoured]]:
        """What is required, and what is favoured."""
        required: list[HardTerm] = []
        favoured: list[Favoured] = []
        for occurrence in occurrences:
            spelled = {form: phrase for form in _forms(text, occurrence) if (phrase := self._speller.usual(form))}
            if self._options.glossary_mode == "hard":
                required += [HardTerm(occurrence.start, occurrence.end, form) for form in spelled][:1]
            else:
                favoured += [Favoured(phrase, self._bonus) for phrase in dict.fromkeys(spelled.values())]
        return required, favoured


def _forms(text: str, occurrence: Occurrence) -> list[str]:
    """How the targets may be written, the best guess first: at a sentence's beginning, likely with a capital, too."""
    targets = list(occurrence.entry.targets)
    if not (occurrence.entry.any_case and text[occurrence.start].isupper()):
        return targets
    capital = [target[:1].upper() + target[1:] for target in targets]
    return [*capital, *targets] if not split_words(text[: occurrence.start]) else [*targets, *capital]
