"""Translation and scoring of lines with a loaded model."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from nmt_cli.api.settings import OnMessage, TranslateSettings, messages, to_overrides
from nmt_cli.commands.score import create_scorer
from nmt_cli.commands.translators import build_translator, load_models, prepare_for_inference
from nmt_cli.decoding.constraints.glossary import glossary_entries, read_glossary
from nmt_cli.decoding.requests import Request, TranslateOptions, in_documents
from nmt_cli.decoding.results import Translation
from nmt_cli.decoding.scoring.scorer import ScoredPair, ScoringPair, with_context
from nmt_cli.decoding.translator import Translator
from nmt_cli.decoding.windows import windows
from nmt_cli.devices import memory_errors, release_freed_memory
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.recipe.decoding import InferenceSettings
from nmt_cli.recipe.loading import override
from nmt_cli.text.lines import require_utf8
from nmt_cli.text.terms import check_term

_OPTIONS = [each.name for each in fields(TranslateOptions) if each.name in TranslateSettings.__annotations__]
"""The settings that are not those of `decoding`."""


class LoadedTranslator:
    """A loaded model. Threads may share it: their calls take turns. Use it as a context manager, or close it."""

    def __init__(self, options: TranslateOptions, on_message: OnMessage | None = None) -> None:
        """Load the models of the options; `load_translator` is more convenient."""
        self._lock, self._options, self._on_message = threading.RLock(), options, on_message
        self._variant = lru_cache(maxsize=16)(self._build)
        with self._using():
            self._loaded = load_models(options)
            self._precision = prepare_for_inference(self._loaded)
            self._variant(options)  # raises the errors of its options

    def translate(self, lines: Iterable[str | Request], **settings: Unpack[TranslateSettings]) -> list[Translation]:
        """Return the translation of each line, in order. Settings hold for this call.

        A Request is a line with its own prefix, required and forbidden phrases, factors or target language.

        Raises:
            DataError: A line contains a line break or an unpaired surrogate.
            RecipeError: Settings do not fit together, or do not fit the model.
        """
        return list(self.translate_iter(lines, **settings))

    def translate_iter(
        self, lines: Iterable[str | Request], **settings: Unpack[TranslateSettings]
    ) -> Iterator[Translation]:
        """Yield the translation of each line, in order, while more lines are read, as for a file of any length."""
        translator = self._translator(settings)
        requests = in_documents(_requests(lines), translator.context.size)

        def translate() -> Iterator[Translation]:
            first_line = 1
            for window in windows(requests):
                with self._using():
                    found = translator.translate_window(window, first_line)
                    release_freed_memory()
                yield from found
                first_line += len(window)

        return translate()

    def score(self, pairs: Iterable[tuple[str, str]], **settings: Unpack[TranslateSettings]) -> list[ScoredPair]:
        """Return the log-probability of each target of (source, target), and its score as search ranks it.

        Raises:
            DataError: A line contains a line break or an unpaired surrogate.
        """

        translator, found = self._translator(settings), list[ScoredPair]()
        scorer = create_scorer(translator)
        given = (
            ScoringPair(_checked(source, line), _checked(target, line))
            for line, (source, target) in enumerate(pairs, 1)
        )
        for window in windows(with_context(given, translator.context.size)):
            with self._using():
                found += scorer.score_window(window, len(found) + 1)
        return found

    def close(self) -> None:
        """Release the model. Later calls raise ModelError."""
        with self._lock:
            self._variant.cache_clear()
            self.__dict__.pop("_loaded", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._lock, messages(self._on_message), memory_errors():
            yield

    def _translator(self, settings: TranslateSettings) -> Translator:
        if "precision" in settings:
            raise RecipeError("decoding.precision: applies to the loaded parameters; give it to load_translator")
        with self._using():
            return self._variant(with_settings(self._options, settings))

    def _build(self, options: TranslateOptions) -> Translator:
        if not hasattr(self, "_loaded"):
            raise ModelError(f"{options.models[0]}: the translator is closed; load the model again")
        loaded, changes = self._loaded, options.overrides[len(self._options.overrides) :]
        settings = override(InferenceSettings.model_validate({"decoding": loaded.decoding}), changes)
        return build_translator(replace(loaded, decoding=settings.decoding), options, self._precision)


def with_settings(options: TranslateOptions, settings: TranslateSettings) -> TranslateOptions:
    """Return the options with changed settings; those of `decoding` are added to their overrides."""
    given: dict[str, Any] = dict(settings)
    changes = {name: given.pop(name) for name in _OPTIONS if name in given}
    match changes.get("glossary"):
        case None:
            changes |= {"glossary": ()} if "glossary" in changes else {}
        case Mapping() as terms:
            changes["glossary"] = glossary_entries(terms)
        case path:
            changes["glossary"] = read_glossary(Path(path))
    lists = ("bad_words", "toxic_words", "source_toxic_words", "protect")
    changes |= {name: tuple(changes[name]) for name in lists if name in changes}
    for name in ("bad_words", "toxic_words", "source_toxic_words"):
        for term in changes.get(name, ()):
            check_term(term, name)
    overrides = to_overrides({f"decoding.{name}": value for name, value in given.items()})
    return replace(options, **changes, overrides=(*options.overrides, *overrides))


def _requests(lines: Iterable[str | Request]) -> Iterator[Request]:
    if isinstance(lines, str):
        raise TypeError("lines must be a list of lines, not a single string")

    def requests() -> Iterator[Request]:
        for line, each in enumerate(lines, 1):
            request = Request(each) if isinstance(each, str) else each
            for text in (request.text, request.prefix, *request.required, *request.forbidden):
                _checked(text, line)
            for term in request.forbidden:
                check_term(term, f"line {line}: forbidden")
            yield request

    return requests()


def _checked(text: str, line: int) -> str:
    """Return a text. DataError if the command line could not read it as a line."""
    if "\n" in text:
        raise DataError(f"line {line}: contains a line break; give each line by itself")
    return require_utf8(text, f"line {line}")
