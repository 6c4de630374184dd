"""What a user asks for: options for all lines, and requests for single lines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nmt_cli.data.context import sliding_window
from nmt_cli.decoding.constraints.glossary import GlossaryEntry, GlossaryMode
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.text.normalization import is_blank


@dataclass(frozen=True)
class TranslateOptions:
    """All options of a translator, as plain values that can be sent to worker processes.

    `commands` loads the models; the translator reads the other options.
    """

    models: tuple[Path, ...] = ()
    """Several form an ensemble; the settings are those of the first."""
    overrides: tuple[str, ...] = ()
    """Changed settings, as KEY=VALUE."""
    adapter: Path | None = None
    """A LoRA adapter, or a run with one, that is merged into the model. Requires a single model."""
    weights: tuple[float, ...] = ()
    """Weight of each model in the ensemble; empty: all equal."""
    glossary: tuple[GlossaryEntry, ...] = ()
    glossary_mode: GlossaryMode = "soft"
    bad_words: tuple[str, ...] = ()
    """Words or phrases that must not appear in a translation."""
    toxic_words: tuple[str, ...] = ()
    """Words of the target language that the checker reports in a translation, unless the source has one of its own."""
    source_toxic_words: tuple[str, ...] = ()
    alignment: bool = False
    """Align the words of translations."""
    word_scores: bool = False
    """Score the words of translations."""
    markup: bool = False
    """Lines contain XML; each tag is transferred to the translation once."""
    protect: tuple[str, ...] = ()
    """Regular expressions; matches are copied to the translation unchanged."""
    source_language: str | None = None
    """One of several languages of the model; None: that which was chosen when it was imported."""
    target_language: str | None = None
    """One of several languages of the model; None: that of `data.target_language`."""
    corpus_tag: str | None = None
    """Tag of a training corpus; translate in its style."""

    @property
    def has_constraints(self) -> bool:
        """Whether all translations are constrained."""
        return bool(self.glossary or self.bad_words)

    @property
    def has_masking(self) -> bool:
        """Whether parts of lines are masked."""
        return self.markup or bool(self.protect)


DEFAULT_OPTIONS = TranslateOptions()


def require_support(options: TranslateOptions, strategy: str, can_constrain: bool, has_attention: bool) -> None:
    """Raise RecipeError for constraints that the strategy cannot apply, ModelError for alignments without attention."""
    constraints = {"--glossary": bool(options.glossary), "--bad-words": bool(options.bad_words)}
    if not can_constrain and (names := _given(constraints)):
        reason = f"decoding.strategy {strategy}, which predicts all tokens at once"
        raise RecipeError(f"{names}: not possible with {reason}; remove it, or use another model")
    alignments = {"--alignment": options.alignment, "--markup": options.markup, "--protect": bool(options.protect)}
    if not has_attention and (names := _given(alignments)):
        raise ModelError(f"{names}: needs word alignments, but this model has no attention to the source")


def _given(options: Mapping[str, bool]) -> str:
    return ", ".join(name for name, is_given in options.items() if is_given)


@dataclass(frozen=True)
class Request:
    """A line to translate, with constraints in raw text."""

    text: str
    prefix: str = ""
    """Beginning of the translation."""
    required: tuple[str, ...] = ()
    """Words or phrases that the translation must contain."""
    forbidden: tuple[str, ...] = ()
    """Words or phrases that it must not contain."""
    target_language: str | None = None
    """One of the languages of the model; None: that of the options."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """JSON keys that are copied to the output, with their values as raw JSON."""
    factors: Mapping[str, str] = field(default_factory=dict)
    """The values of each factor, by its name: one for each word, separated by spaces."""
    context: tuple[str, ...] = ()
    """The lines before it in its document, for a model that translates in context."""

    @property
    def has_constraints(self) -> bool:
        """Whether the request has constraints of its own, besides those of the options."""
        return bool(self.prefix or self.required or self.forbidden)


def in_documents(requests: Iterable[Request], count: int) -> Iterator[Request]:
    """Yield each request with at most `count` lines before it as context. A blank line ends a document."""
    if not count:
        yield from requests
        return
    for request, context in sliding_window(requests, count, lambda each: is_blank(each.text)):
        yield replace(request, context=tuple(each.text for each in context))


def plain_requests(
    lines: Sequence[str], factors: Mapping[str, Sequence[str]], target_language: str | None = None
) -> list[Request]:
    """Create requests without constraints; line n has line n of each factor."""
    values = [dict(zip(factors, texts, strict=True)) for texts in zip(*factors.values(), strict=True)]
    return [
        Request(line, target_language=target_language, factors=each)
        for line, each in zip(lines, values or [{}] * len(lines), strict=True)
    ]
