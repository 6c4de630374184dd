"""Lines in, translations out."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from nmt_cli.data.context import DocumentContext
from nmt_cli.data.factors import segment_factors
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import NO_TAGS, SourceTags
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.checking import Candidate, Check, Mender, Outcome, candidates
from nmt_cli.decoding.forced.annotation import NOTHING, Annotation, Annotator, Said, Wanted
from nmt_cli.decoding.minimum_risk import Utility, least_risky
from nmt_cli.decoding.pieces import LONGEST, Limits, Piece, join, pieces
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.decoding.shields import Shield, Sparing
from nmt_cli.decoding.steering.hard_terms import HardTerms
from nmt_cli.decoding.steering.spelling import continuing, needless
from nmt_cli.decoding.steering.wishes import NOTHING_WISHED, Steering, SteeringSettings, Term
from nmt_cli.decoding.windows import windows
from nmt_cli.devices import Precision
from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import Model
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.decoding import MinimumRiskSettings, SearchSettings
from nmt_cli.text.checks import TranslationFinding


@dataclass(frozen=True)
class TranslatedText:
    """One translation of a line."""

    text: str
    log_probability: float
    score: float
    annotation: Annotation | None = None
    """What is known of its words, if that was asked for."""


@dataclass(frozen=True)
class Translation:
    """A line and its translations, best first; a line without visible text has one, empty and certain."""

    source: str
    hypotheses: tuple[TranslatedText, ...]
    problems: tuple[TranslationFinding, ...] = ()
    """What looks wrong with the best, whatever was done about it."""
    mended: bool = False
    """Whether the best was found only when it was searched for anew."""
    cut: bool = False
    """Whether the line holds a sentence that was too long to be translated at once."""
    malformed: bool = False
    """Whether the line's tags are not well nested, where they should be; each is kept for itself."""
    endless: bool = False
    """Whether the best was still going on when it, or a piece of it, had reached the greatest length."""
    terms: tuple[Term, ...] = ()
    """The glossary's terms in the line, and which of them the best has used."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What came with the line and goes out with it again."""

    @property
    def best(self) -> TranslatedText:
        return self.hypotheses[0]


@dataclass(frozen=True)
class Demands:
    """What is asked of translations, besides to be the best that search finds."""

    check: Check | None = None
    """What it finds fault with is mended, if it can be."""
    steering: SteeringSettings = NOTHING_WISHED
    wanted: Wanted = NOTHING
    shield: Shield | None = None
    """What it puts back it places by alignments, so they must be `wanted`."""
    tags: SourceTags = NO_TAGS
    context: Context | None = None
    """How lines are joined to those before them, if the model has learned that."""


class Translator:
    """Translates lines with one model, as its settings say."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        settings: SearchSettings,
        device: torch.device,
        precision: Precision = "fp32",
        longest: int = LONGEST,
        utility: Utility | None = None,
        demands: Demands = Demands(),
    ) -> None:
        """Sentences of more than `longest` subwords are cut. Minimum risk, and only that, needs a `utility`."""
        self.tokenizer, self.settings, self._utility, self.tags = tokenizer, settings, utility, demands.tags
        self._limits = Limits(longest, settings.split_above)
        self.joining = DocumentContext(tokenizer, demands.context, longest)
        eos = model.vocabulary.special_tokens.eos
        unsaid = {*tokenizer.target.tags.values(), *needless(tokenizer)} - self.joining.separators
        never = sorted({*tokenizer.special_tokens.ids, *unsaid} - {eos})
        self.searcher = Searcher(model, never, device, precision, torch.tensor(continuing(tokenizer)))
        self.steering = Steering(tokenizer, demands.steering)
        annotator = Annotator(self.searcher, tokenizer, settings.batch_tokens, demands.wanted)
        self._annotator = annotator if demands.wanted != NOTHING else None
        self._shield = demands.shield
        self._hard_terms = HardTerms(self.searcher, tokenizer, settings)
        spare = None if self.joining.target_context else Sparing(self.searcher, tokenizer, settings)
        self._mender = demands.check and Mender(
            demands.check, self.searcher.search, spare, self.joining.decode, settings
        )

    def translate(
        self, requests: Iterable[Request], translated: Callable[[int], object] = lambda sentences: None
    ) -> Iterator[Translation]:
        """Translate each line, in order, while lines still come in; `translated` hears how many each batch had."""
        first = 1
        for window in windows(requests):
            yield from self.translate_window(window, first, translated)
            first += len(window)

    def translate_window(
        self,
        requests: Sequence[Request],
        first: int = 1,
        translated: Callable[[int], object] = lambda sentences: None,
    ) -> list[Translation]:
        """Translate these lines together; the first has the number `first`, which chance and messages depend on."""
        if self._shield is None:
            return self._translate_window(requests, first, translated)
        return self._shield.through(requests, lambda hidden: self._translate_window(hidden, first, translated))

    def _translate_window(
        self, requests: Sequence[Request], first: int, translated: Callable[[int], object]
    ) -> list[Translation]:
        lines = [request.text for request in requests]
        parts = self._pieces(lines)
        sentences = self._sentences(requests, parts, first)
        sources = [line[piece.start : piece.end] for line, group in zip(lines, parts, strict=True) for piece in group]
        found = self._hard_terms.search(sentences, sources, self._search, translated)
        outcomes = list(map(Outcome, candidates(found, self.joining.decode)))
        if self._mender:
            outcomes = self._mender.mend(sentences, sources, outcomes)
        if self._annotator:
            outcomes = self._annotated(self._annotator, sentences, sources, outcomes)
        each = iter(outcomes)
        return [
            self._translation(request, group, list(itertools.islice(each, len(group))))
            for request, group in zip(requests, parts, strict=True)
        ]

    def _sentences(self, requests: Sequence[Request], parts: list[list[Piece]], first: int) -> list[Sentence]:
        """The pieces of all lines, with what is wished of each."""
        sentences = list[Sentence]()
        contexts = self._contexts(requests, parts)
        for number, (request, group, before) in enumerate(zip(requests, parts, contexts, strict=True), first):
            if self.joining.target_context and (request.prefix or request.required):
                reason = "this model translates the lines before it anew (data.context.target)"
                raise RecipeError(f"line {number}: cannot have a prefix or required words, as {reason}")
            wishes = self.steering.wishes(request, [(each.start, each.end) for each in group])
            cut = [(each.start, each.end, each.tokens) for each in group]
            columns = segment_factors(self.tokenizer, number, request.text, request.factors, cut)
            tags = (*self.tags.ids(request.target_language), *before)
            unsaid = 0 if self.joining.target_context else len(before)
            for piece, wished, own in zip(group, wishes, columns, strict=True):
                sentences.append(Sentence(number, piece.tokens, wished, tags, own, unsaid))
        return sentences

    def _contexts(self, requests: Sequence[Request], parts: list[list[Piece]]) -> list[tuple[int, ...]]:
        """Source tokens of the lines before each; a line in several pieces, or in none, is without."""
        before = [request.before if len(group) == 1 else () for request, group in zip(requests, parts, strict=True)]
        lengths = [sum(len(piece.tokens) for piece in group) for group in parts]
        return list(map(self.joining.source_prefix, self.joining.fit(before, lengths)))

    def _search(self, sentences: Sequence[Sentence], searched: Callable[[int], object]) -> list[list[Hypothesis]]:
        found = self.searcher.search(sentences, self.settings, searched)
        if not isinstance(self.settings, MinimumRiskSettings):
            return found
        assert self._utility is not None
        return least_risky(found, self.joining.decode, self._utility, self.settings)

    def _pieces(self, lines: list[str]) -> list[list[Piece]]:
        """What to translate of each line: nothing if there is nothing to see, pieces if it is long."""
        rows = self.tokenizer.encode_source(lines)
        return [pieces(line, tokens, self._encode, self._limits) for line, tokens in zip(lines, rows, strict=True)]

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode_source([text])[0]

    def _annotated(
        self, annotator: Annotator, sentences: list[Sentence], sources: list[str], outcomes: list[Outcome]
    ) -> list[Outcome]:
        said = [
            Said(source, sentence, candidate.text, candidate.hypothesis.tokens)
            for source, sentence, outcome in zip(sources, sentences, outcomes, strict=True)
            for candidate in outcome.candidates
        ]
        found = iter(annotator.annotate(said))
        return [
            replace(outcome, candidates=[replace(each, annotation=next(found)) for each in outcome.candidates])
            for outcome in outcomes
        ]

    def _translation(self, request: Request, parts: list[Piece], outcomes: list[Outcome]) -> Translation:
        """The translations of a line from those of its pieces: the best of each joined, then the second best, …"""
        line = request.text
        combined = list(zip(*(outcome.candidates for outcome in outcomes), strict=False)) if outcomes else [()]
        texts = [self._joined(line, parts, said) for said in combined]
        if request.prefix and parts:
            texts = [replace(found, text=self.steering.begun(request, found.text)) for found in texts]
        return Translation(
            line,
            tuple(texts),
            problems=tuple(finding for outcome in outcomes for finding in outcome.problems),
            mended=any(outcome.mended for outcome in outcomes),
            cut=any(piece.cut for piece in parts),
            endless=not all(outcome.candidates[0].hypothesis.ended for outcome in outcomes),
            terms=self.steering.terms(request, texts[0].text),
            extra=request.extra,
        )

    def _joined(self, line: str, parts: list[Piece], said: Sequence[Candidate]) -> TranslatedText:
        if len(said) == 1:
            hypothesis = said[0].hypothesis
            return TranslatedText(said[0].text, hypothesis.log_probability, hypothesis.score, said[0].annotation)
        hypotheses = [candidate.hypothesis for candidate in said]
        log_probability = sum(hypothesis.log_probability for hypothesis in hypotheses)
        length = sum(len(hypothesis.tokens) + 1 for hypothesis in hypotheses)
        score = log_probability / max(1, length) ** self.settings.length_penalty
        texts = [candidate.text for candidate in said]
        text, annotation = join(line, parts, texts), None
        if self._annotator:
            begins = [
                len(join(line, parts[:end], texts[:end])) - len(texts[end - 1]) for end in range(1, len(said) + 1)
            ]
            places = [(piece.start, begin) for piece, begin in zip(parts, begins, strict=True)]
            annotations = [candidate.annotation for candidate in said if candidate.annotation]
            annotation = self._annotator.joined(text, line, places, annotations)
        return TranslatedText(text, log_probability, score, annotation)
