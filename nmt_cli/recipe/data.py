"""The sections `data` and `tokenizer`."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nmt_cli.recipe.corpora import AnyCorpus, Corpus, TestSet, TextCorpus, TmxCorpus, TrainingCorpus
from nmt_cli.recipe.filters import DEFAULT_FILTERS, Filter, ScoreFilter
from nmt_cli.recipe.section import (
    LENGTH_CLASSES,
    LENGTH_PREFIX,
    NO_SPACES,
    RESERVED_TOKEN,
    Conflicts,
    Count,
    File,
    Language,
    Name,
    Positive,
    Section,
)


class Context(Section):
    """Join each sentence to those before it, separated by a special token. A blank pair ends a document.
    With `training.start_from`, the default is the context of that model."""

    sentences: Count = 1
    """Number of sentences before each one, from the same document."""
    target: bool = True
    """Also join the target sentences. The model then generates all of them; the part after the last separator is the
    translation."""


class SequenceSettings(Section):
    """What surrounds the tokens of a text. Follows from the model of `training.start_from`."""

    language_tokens: bool = False
    """Begin each source with a token of its language, and give the decoder one of the target language before each
    target, as in M2M-100 and NLLB."""
    source_language_last: bool = False
    """Put the token of the source language after the source and eos, as in mBART-25."""
    target_language_first: bool = False
    """Replace decoder_start by the token of the target language, as in mBART-25."""
    bos: bool = False
    """Begin sources with bos, and give it to the decoder after decoder_start, as in BART."""
    source_eos: bool = True
    """End each source with eos, which a few imported models do not expect."""

    def conflicts(self) -> Conflicts:
        for key in ("source_language_last", "target_language_first"):
            if getattr(self, key) and not self.language_tokens:
                yield key, "requires language_tokens"
        if self.bos and self.language_tokens:
            yield "bos", "cannot be combined with language_tokens"
        if self.source_language_last and not self.source_eos:
            yield "source_language_last", "requires source_eos"


class Data(Section):
    """The corpora, and where the prepared data is written."""

    source_language: Language
    """Code of the language to translate from, such as `en`. Default for text without translations: target_language."""
    target_language: Language
    """Code of the language to translate into, such as `de`, or of text without translations."""
    prepared: File
    """Folder that `nmt preprocess` fills with tokenizer, token arrays and normalised text."""
    train: Annotated[dict[Name, TrainingCorpus], Field(min_length=1)]
    """Training corpora, by name."""
    valid: Annotated[dict[Name, Corpus], Field(min_length=1)]
    """Validation sets, by name. The first one selects the best checkpoint, unless `training.validation.sets`
    is `all`; the scores of all are reported."""
    test: dict[Name, TestSet] = {}
    """Test sets for `nmt evaluate`, by name."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do if text is not UTF-8, or a line is invalid in its format: stop, or drop the pair and count it."""
    filters: list[Filter] = DEFAULT_FILTERS
    """Filters of the training corpora, in this order; none by default for text without translations. Pairs with an
    empty side are always dropped."""
    max_length: Count = 200
    """Maximum length of a training sentence, in subwords of either side, with its tags and context. Longer pairs are
    dropped and counted. Text without translations is split into windows of this length, which a language model then
    reads at once."""
    language_tags: bool = False
    """Put a tag of the target language before each source, for multilingual models."""
    length_tags: bool = False
    """Put a tag before each source that tells whether its translation is short, normal or long (Lakew et al. 2019), so
    that `decoding.length` can choose. With `training.start_from`, the default is the value of that model."""
    length_bounds: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    """A translation is short if it has fewer characters than the first number times those of the source, and long if it
    has more than the second number times those. null: bounds that divide the training pairs into three equal parts."""
    sequence: SequenceSettings = SequenceSettings()
    factors: list[Name] = []
    """Names of source factors: features of each source word, such as its part of speech, that every corpus must give.
    Their embeddings are added to those of the tokens."""
    context: Context | None = None

    @classmethod
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the defaults of text without translations, if that is what the first training corpus has."""
        corpora = given.get("train")
        first = next(iter(corpora.values()), None) if isinstance(corpora, dict) else None
        if not isinstance(first, dict) or first.get("format") != "text" or "target_language" not in given:
            return {}
        return {"source_language": given["target_language"], "filters": []}

    @property
    def is_monolingual(self) -> bool:
        """Whether the corpora are text without translations."""
        return isinstance(next(iter(self.train.values())), TextCorpus)

    @property
    def unit(self) -> str:
        """What corpora consist of, for messages."""
        return "documents" if self.is_monolingual else "sentence pairs"

    def conflicts(self) -> Conflicts:
        yield from self._monolingual_conflicts()
        for key, each in self._corpora():
            is_multilingual = self.language_tags or self.sequence.language_tokens
            if each.target_language not in (None, self.target_language) and not is_multilingual:
                other = f"{each.target_language} is not data.target_language, {self.target_language}"
                needed = (
                    "data.language_tags: true, or sequence: {language_tokens: true} if training.start_from has them"
                )
                yield (*key, "target_language"), f"{other}; a multilingual model requires {needed}"
        if self.language_tags and self.sequence.language_tokens:
            yield "language_tags", "cannot be combined with sequence.language_tokens"
        yield from self._tag_conflicts()
        yield from self._length_conflicts()
        yield from self._factor_conflicts()
        for name, corpus in self.train.items():
            if self.context is not None and getattr(corpus, "alignment", None) is not None:
                yield ("train", name, "alignment"), "cannot be combined with data.context"
        has_scores = any(getattr(corpus, "score", None) is not None for corpus in self.train.values())
        for index, settings in enumerate(self.filters):
            if isinstance(settings, ScoreFilter) and settings.command is None and not has_scores:
                yield ("filters", index, "command"), "is missing: no data.train corpus has scores"

    def _monolingual_conflicts(self) -> Conflicts:
        for key, each in self._corpora():
            if isinstance(each, TextCorpus) != self.is_monolingual and key[0] != "test":
                others = "text, as data.train begins with text" if self.is_monolingual else "a format of pairs"
                yield (*key, "format"), f"must be {others}; a model learns either text or translations"
        if not self.is_monolingual:
            return
        for name in self.test:
            yield ("test", name), "test sets have translations; list further texts in data.valid"
        for name, corpus in self.train.items():
            if corpus.tag is not None:
                yield ("train", name, "tag"), "is put before sources, which text does not have"
        for setting in ("language_tags", "length_tags", "factors", "context"):
            if getattr(self, setting):
                yield setting, "is for translations, but data.train is text"
        if self.sequence != SequenceSettings():
            yield "sequence", "is for translations, but data.train is text"
        for index, settings in enumerate(self.filters):
            if settings.type not in ("duplicates", "near_duplicates", "overlap"):
                supported = "duplicates, near_duplicates and overlap"
                yield ("filters", index, "type"), f"{settings.type} is for translations; text can have {supported}"

    def _tag_conflicts(self) -> Conflicts:
        reserved = self.reserved_tags
        for name, corpus in self.train.items():
            tag = corpus.tag or ""
            if tag in reserved:
                problem = f"is the tag {reserved[tag]}"
            elif RESERVED_TOKEN.fullmatch(f"<{tag}>"):
                problem = "is reserved by the tokenizer"
            elif tag.startswith("2"):
                problem = "begins with 2, as tags of target languages do"
            else:
                continue
            yield ("train", name, "tag"), f"{tag} {problem}; use another name"

    def _length_conflicts(self) -> Conflicts:
        if self.length_tags and (self.language_tags or self.sequence.language_tokens):
            reason = "one classification of lengths does not suit several target languages"
            yield "length_tags", f"cannot be combined with a multilingual model: {reason}"
        if self.length_bounds is None:
            return
        if not self.length_tags:
            yield "length_bounds", "requires length_tags: true"
        if self.length_bounds[0] > self.length_bounds[1]:
            yield "length_bounds", "must have the lower bound first"

    def _factor_conflicts(self) -> Conflicts:
        for index, factor in enumerate(self.factors):
            if factor in self.factors[:index]:
                yield ("factors", index), f"{factor} occurs twice"
        if self.factors and self.context is not None:
            yield "context", "cannot be combined with data.factors"
        for key, each in self._corpora():
            given = {} if isinstance(each, TmxCorpus | TextCorpus) else each.factors
            for factor in given:
                if factor not in self.factors:
                    yield (*key, "factors", factor), "is not in data.factors; add it there"
            for factor in self.factors:
                if isinstance(each, TmxCorpus):
                    yield (*key, "format"), f"tmx has no factors, but data.factors requires {factor}"
                if factor not in given:
                    yield (*key, "factors"), f"{factor} is missing; data.factors requires it of every corpus"

    @property
    def reserved_tags(self) -> dict[str, str]:
        """Tags that corpora cannot have, with their meanings."""
        languages = [self.target_language, *(each.target_language for _, each in self._corpora())]
        if self.sequence.language_tokens:
            languages += [self.source_language, *(each.source_language for _, each in self._corpora())]
        prefix = "2" if self.language_tags else "" if self.sequence.language_tokens else None
        tags = {} if prefix is None else {f"{prefix}{each}": "of a language" for each in languages if each is not None}
        if self.length_tags:
            tags |= {f"{LENGTH_PREFIX}{length}": "of a length" for length in LENGTH_CLASSES}
        return tags | ({"sep": "between the sentences of a context"} if self.context is not None else {})

    def languages_of(self, corpus: AnyCorpus | TestSet) -> tuple[str, str]:
        """Return the codes of the source and target language of a corpus or test set."""
        return corpus.source_language or self.source_language, corpus.target_language or self.target_language

    def _corpora(self) -> Iterator[tuple[tuple[str, str], AnyCorpus | TestSet]]:
        """Yield corpora and test sets with their keys."""
        for kind, sets in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            for name, each in sets.items():
                yield (kind, name), each


Symbol = Annotated[str, Field(pattern=NO_SPACES)]


class Extension(Section):
    """Additional entries for a pretrained tokenizer, to fine-tune its model to a new language or domain."""

    pieces: Count | None = None
    """Number of subwords, characters that lack one first; they are learned from this recipe's text and appended to the
    vocabulary."""
    languages: dict[Language, Language] = {}
    """New languages of a model with language tokens, each with the known language whose token its own starts as, such
    as `{gsw_Latn: deu_Latn}`."""

    def conflicts(self) -> Conflicts:
        if self.pieces is None and not self.languages:
            yield "pieces", "is missing, as are languages; leave the section out to add nothing"


class MonolingualText(Section):
    """Monolingual text to train subwords on, in addition to the training corpora; plain or compressed."""

    source: list[File] = []
    """Files in the source language."""
    target: list[File] = []
    """Files in the target language."""


class TokenizerSettings(Section):
    """How text is split into subwords."""

    path: File | None = None
    """Use the tokenizer of this run, checkpoint, model or tokenizer folder, or this SentencePiece model, instead of
    training one. Of the keys below, only `extension` then has an effect."""
    extension: Extension | None = None
    normalization: Literal["whitespace", "nfc", "nfkc", "quotes", "punctuation", "opus", "none"] = "whitespace"
    """Normalisation of both sides before tokenization. whitespace: single spaces, no ASCII controls, nothing
    visible changes; nfc, nfkc: also this Unicode form; quotes: also nfkc, plain quotes, dashes and spaces; punctuation:
    also punctuation as in Moses; opus: as OPUS-MT before SentencePiece; none: nothing."""
    algorithm: Literal["unigram", "bpe", "character", "byte", "word"] = "unigram"
    """Kind of subwords; unigram and bpe are trained by SentencePiece."""
    vocabulary_size: Annotated[int, Field(ge=8, le=1_000_000)] = 8000
    """Number of subwords, special tokens included; of each side, or of both sides together if joint. Ignored by
    `byte`."""
    joint: bool = True
    """Use one vocabulary for both languages."""
    byte_fallback: bool = True
    """Encode characters that did not occur in training as bytes, so that nothing is unknown."""
    symbols: list[Symbol] = []
    """Pieces to keep whole, such as `<br>`. bpe always does; unigram may split a piece of frequent letters."""
    monolingual: MonolingualText = MonolingualText()

    def conflicts(self) -> Conflicts:
        if self.extension is not None and self.path is None:
            yield "extension", "requires path, the tokenizer to extend"
        if self.path is None and self.algorithm == "byte" and not self.byte_fallback:
            yield "byte_fallback", "must be true for algorithm byte, which has no other subwords"
        for index, symbol in enumerate(self.symbols):
            if RESERVED_TOKEN.fullmatch(symbol):
                yield ("symbols", index), f"{symbol} is reserved by the tokenizer; use another name"
            if symbol in self.symbols[:index]:
                yield ("symbols", index), f"{symbol} occurs twice"
