"""Translation of lines with one model.

A window of lines is translated together: lines are split into segments, segments of like length are searched for in
batches, and the translations of a line's segments are joined. Options add steps before and after the search.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from nmt_cli.console import OnProgress
from nmt_cli.data.context import DocumentContext
from nmt_cli.data.factors import segment_factors
from nmt_cli.data.token_corpus import NO_COLUMNS
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import NO_TAGS, SourceTags
from nmt_cli.decoding.constraints.bad_words import BadWordSearch
from nmt_cli.decoding.constraints.builder import ConstraintBuilder
from nmt_cli.decoding.constraints.hard_terms import HardTermSearch
from nmt_cli.decoding.constraints.spelling import continuation_mask, suppressed_tokens
from nmt_cli.decoding.generator import Generator, GeneratorConfig
from nmt_cli.decoding.markup.transfer import MarkupTransfer
from nmt_cli.decoding.repair import (
    Check,
    DecodedHypothesis,
    MaskedSearch,
    Repair,
    SentenceResult,
    decode_hypotheses,
    distinct,
)
from nmt_cli.decoding.requests import DEFAULT_OPTIONS, Request, TranslateOptions, require_support
from nmt_cli.decoding.results import TranslatedText, Translation
from nmt_cli.decoding.scoring.annotation import AnnotationInput, Annotator
from nmt_cli.decoding.search.hypotheses import Hypothesis, normalize_score
from nmt_cli.decoding.search.strategies import build_strategy, replaces_unknown
from nmt_cli.decoding.segments import DEFAULT_MAX_TOKENS, Segment, SegmentLimits, join_segments, split_line
from nmt_cli.decoding.sentences import NO_CONSTRAINTS, SentenceInput, with_copies
from nmt_cli.decoding.windows import in_lines, windows
from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import Model
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.decoding import SearchSettings, StepwiseSettings
from nmt_cli.recipe.evaluation import Evaluation


@dataclass(frozen=True)
class InferenceConfig(GeneratorConfig):
    """How a model is used for translation, as it was trained and loaded."""

    max_tokens: int = DEFAULT_MAX_TOKENS
    """Longer sentences, in subwords, are split."""
    context: Context | None = None
    """How the model reads lines in context."""
    tags: SourceTags = NO_TAGS
    """Tokens that the model expects around each source, and before the target."""


class Translator:
    """Translates lines with one model."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        settings: SearchSettings,
        device: torch.device,
        config: InferenceConfig = InferenceConfig(),
        options: TranslateOptions = DEFAULT_OPTIONS,
        check: Check | None = None,
        evaluation: Evaluation | None = None,
    ) -> None:
        """Create a translator.

        Args:
            check: Returns the problems of a translation, which is then retried; None: translations are not checked.
            evaluation: Settings of the metric that minimum Bayes risk decoding compares candidates with.

        Raises:
            RecipeError: A protected pattern of the options is not a regular expression, or the strategy of the settings
                does not support an option.
            ModelError: The strategy of the settings cannot search with this model, or the model has no attention
                and the options need word alignments.
        """
        self.tokenizer, self.settings, self.tags = tokenizer, settings, config.tags
        self._strategy = build_strategy(settings, evaluation)
        self._strategy.check(model)
        self._limits = SegmentLimits(config.max_tokens, settings.split_sentences_above)
        self.context = DocumentContext(tokenizer, config.context, config.max_tokens)
        suppressed = suppressed_tokens(tokenizer, self.context.separators)
        self._replaces_unknown = replaces_unknown(settings, tokenizer, model)
        self.generator = Generator(
            model,
            suppressed,
            device,
            config,
            continuation_mask=continuation_mask(tokenizer),
            replace_unknown=self._replaces_unknown,
        )
        require_support(options, settings.strategy, self._strategy.can_constrain, model.capabilities.attention)
        bonus = settings.glossary_bonus if isinstance(settings, StepwiseSettings) else 0.0
        self.constraint_builder = ConstraintBuilder(tokenizer, options, bonus)
        self._hard_terms: HardTermSearch | None = None
        if options.glossary and options.glossary_mode == "hard":
            self._hard_terms = HardTermSearch(self.generator, tokenizer, settings)
        self._default_tags, self._default_prompt = config.tags.ids(), config.tags.prompt()
        self._decode = self.context.decode if self.context.target_context else tokenizer.decode_target
        self._bad_word_search = BadWordSearch(self.constraint_builder, self._decode, self._search_sentences)
        self._markup = MarkupTransfer(options) if options.has_masking else None
        self._annotator: Annotator | None = None
        if options.alignment or options.word_scores or options.has_masking:
            self._annotator = Annotator.for_options(options, self.generator, tokenizer, settings.batch_tokens)
        self._repair: Repair | None = None
        if check is not None:
            can_mask = not self.context.target_context
            search_masked = MaskedSearch(self.generator, tokenizer, self._strategy) if can_mask else None
            self._repair = Repair(check, self.generator.search, search_masked, self._decode, self._strategy)

    def translate(
        self, requests: Iterable[Request], on_progress: OnProgress = lambda lines: None
    ) -> Iterator[Translation]:
        """Yield the translation of each line, in order, while more lines are read."""
        first_line = 1
        for window in windows(requests):
            yield from self.translate_window(window, first_line, on_progress)
            first_line += len(window)

    def translate_window(
        self, requests: Sequence[Request], first_line: int = 1, on_progress: OnProgress = lambda lines: None
    ) -> list[Translation]:
        """Translate lines together.

        Args:
            first_line: Line number of the first, for messages and random draws.
            on_progress: Called for each batch with the number of lines that it stands for.
        """
        if self._markup is None:
            return self._translate(requests, first_line, on_progress)
        return self._markup.translate(requests, lambda masked: self._translate(masked, first_line, on_progress))

    def _translate(self, requests: Sequence[Request], first_line: int, on_progress: OnProgress) -> list[Translation]:
        rows = self.tokenizer.encode_source(lines := [request.text for request in requests])
        segments = [
            split_line(line, tokens, self._encode, self._limits) for line, tokens in zip(lines, rows, strict=True)
        ]
        sentences: Sequence[SentenceInput] = self._sentences(requests, segments, first_line)
        on_progress = in_lines(on_progress, len(lines), len(sentences))
        sources = [line[each.start : each.end] for line, parts in zip(lines, segments, strict=True) for each in parts]
        sentences = with_copies(self.tokenizer, sentences, sources, is_needed=self._replaces_unknown)
        found, n_best = self._search_sentences(sentences, sources, on_progress), self.settings.n_best
        given = dict(enumerate(requests, first_line))
        if any(map(self.constraint_builder.has_bad_words, requests)):
            sentences, found = self._bad_word_search(given, sentences, sources, found, n_best)
        results = [SentenceResult(each[:n_best]) for each in decode_hypotheses(found, self._decode)]
        if self._repair is not None:
            is_allowed = self._bad_word_search.is_allowed
            results = self._repair(
                sentences, sources, results, lambda each, text: is_allowed(given[each.line], each, text)
            )
        if self._annotator is not None:
            results = _annotate(self._annotator, sentences, sources, results)
        remaining = iter(results)
        return [
            self._translation(request, parts, list(itertools.islice(remaining, len(parts))))
            for request, parts in zip(requests, segments, strict=True)
        ]

    def _sentences(
        self, requests: Sequence[Request], segments: Sequence[Sequence[Segment]], first_line: int
    ) -> list[SentenceInput]:
        """Return the segments of all lines with their tags, source columns and constraints."""
        found = list[SentenceInput]()
        contexts = [()] * len(requests) if self.context.settings is None else self._contexts(requests, segments)
        for line, (request, parts, context) in enumerate(zip(requests, segments, contexts, strict=True), first_line):
            if self.context.target_context and (request.prefix or request.required):
                reason = "this model also translates its context (data.context.target)"
                raise RecipeError(f"line {line}: cannot have a prefix or required words, because {reason}")
            if request.has_constraints and not self._strategy.can_constrain:
                reason = f"decoding.strategy {self.settings.strategy} predicts all tokens at once"
                raise RecipeError(f"line {line}: cannot have a prefix, required or forbidden words, because {reason}")
            constraints, columns = [NO_CONSTRAINTS] * len(parts), [NO_COLUMNS] * len(parts)
            if self.constraint_builder.is_active or request.has_constraints:
                constraints = self.constraint_builder.build(request, [(each.start, each.end) for each in parts])
            if request.factors or self.tokenizer.factors.names:
                bounds = [(each.start, each.end, each.tokens) for each in parts]
                columns = segment_factors(self.tokenizer, line, request.text, request.factors, bounds)
            tags, prompt = self._default_tags, self._default_prompt
            if request.target_language is not None:
                tags = self.tags.ids(request.target_language)
                prompt = self.tags.prompt(request.target_language)
            num_context_tokens = 0 if self.context.target_context else len(context)
            for part, constraint, own_columns in zip(parts, constraints, columns, strict=True):
                found.append(
                    SentenceInput(
                        line,
                        part.tokens,
                        constraints=constraint,
                        tags=(*tags, *context),
                        columns=own_columns,
                        prompt=prompt,
                        suffix=self.tags.suffix,
                        num_context_tokens=num_context_tokens,
                    )
                )
        return found

    def _contexts(
        self, requests: Sequence[Request], segments: Sequence[Sequence[Segment]]
    ) -> Sequence[tuple[int, ...]]:
        """Return the source tokens of the context of each line; none if it has several segments or no segment."""
        before = [request.context if len(parts) == 1 else () for request, parts in zip(requests, segments, strict=True)]
        lengths = [sum(len(each.tokens) for each in parts) for parts in segments]
        return list(map(self.context.source_prefix, self.context.fit(before, lengths)))

    def _search_sentences(
        self, sentences: Sequence[SentenceInput], sources: Sequence[str], on_progress: OnProgress = lambda lines: None
    ) -> list[list[Hypothesis]]:
        if self._hard_terms is not None and any(sentence.constraints.hard_terms for sentence in sentences):
            return self._hard_terms.search(sentences, sources, self._search, on_progress)
        return self._search(sentences, on_progress)

    def _search(self, sentences: Sequence[SentenceInput], on_progress: OnProgress) -> list[list[Hypothesis]]:
        found = self.generator.search(sentences, self._strategy, on_progress)
        return self._strategy.rerank(found, self._decode)

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode_source([text])[0]

    def _translation(
        self, request: Request, segments: Sequence[Segment], results: Sequence[SentenceResult]
    ) -> Translation:
        """Return the translations of a line: the best of each segment joined, then the second best, …

        A segment that has fewer continues with its best.
        """
        ranks = range(max((len(result.hypotheses) for result in results), default=1))
        columns = [[*result.hypotheses, *[result.hypotheses[0]] * len(ranks)] for result in results]
        combined = [[column[rank] for column in columns] for rank in ranks]
        texts = [self._join(request.text, segments, hypotheses) for hypotheses in combined]
        builder = self.constraint_builder
        if request.prefix and segments:
            texts = [replace(each, text=builder.with_prefix(request, each.text)) for each in texts]
        return Translation(
            request.text,
            tuple(distinct(texts)),
            n_best=self.settings.n_best,
            problems=tuple(finding for result in results for finding in result.problems),
            is_repaired=any(result.is_repaired for result in results),
            is_split=any(segment.is_partial for segment in segments),
            is_truncated=not all(result.hypotheses[0].hypothesis.has_eos for result in results),
            terms=builder.term_uses(request, texts[0].text) if builder.is_active else (),
            constraints=builder.constraint_uses(request, texts[0].text)
            if builder.is_active or request.has_constraints
            else (),
            extra=request.extra,
        )

    def _join(self, line: str, segments: Sequence[Segment], found: Sequence[DecodedHypothesis]) -> TranslatedText:
        if len(found) == 1:
            hypothesis = found[0].hypothesis
            return TranslatedText(found[0].text, hypothesis.log_probability, hypothesis.score, found[0].annotation)
        log_probability = sum(each.hypothesis.log_probability for each in found)
        length = sum(len(each.hypothesis.tokens) + 1 for each in found)
        score = normalize_score(log_probability, length, self.settings.length_penalty)
        texts = [each.text for each in found]
        text, annotation = join_segments(line, segments, texts), None
        if self._annotator is not None:
            ends = [len(join_segments(line, segments[:end], texts[:end])) for end in range(1, len(texts) + 1)]
            starts = [(part.start, end - len(own)) for part, end, own in zip(segments, ends, texts, strict=True)]
            annotations = [each.annotation for each in found if each.annotation]
            annotation = self._annotator.join(text, line, starts, annotations)
        return TranslatedText(text, log_probability, score, annotation)


def _annotate(
    annotator: Annotator, sentences: Sequence[SentenceInput], sources: Sequence[str], results: Sequence[SentenceResult]
) -> list[SentenceResult]:
    inputs = [
        AnnotationInput(source, sentence, each.text, each.hypothesis.tokens)
        for source, sentence, result in zip(sources, sentences, results, strict=True)
        for each in result.hypotheses
    ]
    found = iter(annotator.annotate(inputs))
    return [
        replace(result, hypotheses=[replace(each, annotation=next(found)) for each in result.hypotheses])
        for result in results
    ]
