"""Translation memories (TMX 1.4 and before): their units, read as a stream, those without both languages told."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from xml.parsers import expat

from nmt_cli.data.reading.line_files import MOST_BYTES, RawChunk
from nmt_cli.data.reading.records import Dropped, Example
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import TmxCorpus
from nmt_cli.text import lines as text_lines

_BLOCK = 1 << 16
_CODES = frozenset({"bpt", "ept", "ph", "it", "ut"})
"""Elements within a segment that hold the mark-up of another format, not text; what `hi` holds is text."""
_KEYS = ("source", "target", "missing")


def read_units(corpus: TmxCorpus, languages: tuple[str, str], rows: int) -> Iterator[RawChunk]:
    """Columns `source`, `target`, and `missing`, the languages that a unit lacks; newlines within a text are spaces.

    A language is that of a variant if both are called the same, or else if the variant's name begins with it:
    en-US is English. DataError if no unit has both.
    """
    wanted = (corpus.source_language or languages[0], corpus.target_language or languages[1])
    found: Counter[str] = Counter()
    first, pairs, units, size = 1, 0, [], 0
    for variants in _units(corpus):
        for name in variants:
            found[name] += 1
        sides = [_of_language(variants, language) for language in wanted]
        missing = [language for language, text in zip(wanted, sides, strict=True) if text is None]
        pairs += not missing
        unit = (sides[0] or "", sides[1] or "", " ".join(missing))
        units.append(unit)
        size += sum(map(len, unit))
        if (first + len(units) - 1) % rows == 0 or size >= MOST_BYTES:
            yield _chunk(first, units)
            first, units, size = first + len(units), [], 0
    if units:
        yield _chunk(first, units)
    if not pairs:
        languages_found = ", ".join(f"{name} ({count:,})" for name, count in found.most_common(20)) or "none"
        raise DataError(
            f"{corpus.file}: no unit has both {wanted[0]} and {wanted[1]}; languages are {languages_found}; say which "
            "of them to take by source_language and target_language of the corpus"
        )


def with_both_languages(
    numbers: list[int], columns: dict[str, list[str]], dropped: Dropped
) -> tuple[list[int], dict[str, list[str]]]:
    """The units that lack nothing; the others are counted, whatever is to be done about errors: they are none."""
    kept = [row for row, missing in enumerate(columns["missing"]) if not missing]
    if len(kept) < len(numbers):
        for number, source, target, missing in zip(numbers, *(columns[key] for key in _KEYS), strict=True):
            if missing:
                dropped.add("no_language", Example(number, source, target))
    sides = {key: [columns[key][row] for row in kept] for key in ("source", "target")}
    return [numbers[row] for row in kept], sides


def _chunk(first: int, units: list[tuple[str, str, str]]) -> RawChunk:
    columns = {
        key: "".join([f"{text}\n" for text in column]).encode()
        for key, column in zip(_KEYS, zip(*units, strict=True), strict=True)
    }
    return RawChunk(first, len(units), columns)


def _of_language(variants: dict[str, str], language: str) -> str | None:
    wanted = _spelled(language)
    if wanted in variants:
        return variants[wanted]
    return next((text for name, text in variants.items() if name.startswith(f"{wanted}-")), None)


@lru_cache(maxsize=1024)
def _spelled(language: str) -> str:
    return language.strip().lower().replace("_", "-")


def _units(corpus: TmxCorpus) -> Iterator[dict[str, str]]:
    """The variants of each unit by language; the first one, where there are more of a language."""
    memory = _Memory(str(corpus.file))
    with text_lines.open_text(corpus.file) as stream:
        while True:
            with text_lines.reading_errors(str(corpus.file)):
                block = stream.read(_BLOCK)
            memory.parse(block)
            yield from memory.units
            memory.units = []
            if not block:
                return


class _Memory:
    """What was parsed of a memory so far."""

    def __init__(self, name: str) -> None:
        self.units: list[dict[str, str]] = []
        """Those that are complete, until they are taken."""
        self._name = name
        self._has_begun = False
        self._variants: dict[str, str] = {}
        self._language = ""
        self._text: list[str] | None = None
        self._size, self._codes = 0, 0
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._refuse_entity
        parser.SkippedEntityHandler = self._refuse_unknown

    def parse(self, block: bytes) -> None:
        """Go on; an empty block is the end."""
        try:
            self._parser.Parse(block, not block)
        except expat.ExpatError as error:
            raise DataError(
                f"{self._name}: line {error.lineno}: is no XML: {expat.ErrorString(error.code)} "
                f"at column {error.offset + 1}; correct the file, or get it again"
            ) from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._has_begun and tag != "tmx":
            raise self._refused(f"begins with <{tag}>, not with <tmx>; is this a translation memory?")
        self._has_begun = True
        if self._text is not None:
            self._codes += self._codes > 0 or tag in _CODES
        elif tag == "seg":
            self._text, self._size, self._codes = [], 0, 0
            self._parser.CharacterDataHandler = self._characters
        elif tag == "tuv":
            self._language = _spelled(attributes.get("xml:lang", attributes.get("lang", "")))
        elif tag == "tu":
            self._variants = {}

    def _end(self, tag: str) -> None:
        if self._text is not None:
            if self._codes:
                self._codes -= 1
            elif tag == "seg":
                text = "".join(self._text).replace("\r", " ").replace("\n", " ")
                self._variants.setdefault(self._language, text)
                self._text = self._parser.CharacterDataHandler = None
        elif tag == "tu":
            self.units.append(self._variants)

    def _characters(self, text: str) -> None:
        if self._text is None or self._codes:
            return
        self._text.append(text)
        self._size += len(text)
        if self._size > text_lines.LONGEST_LINE:
            raise self._refused(f"a segment is longer than {text_lines.LONGEST_LINE:,} characters")

    def _refuse_entity(self, name: str, *_: Any) -> None:
        raise self._refused(f"declares the entity {name!r}; entities are not expanded, so write its text instead")

    def _refuse_unknown(self, name: str, *_: Any) -> None:
        raise self._refused(f"uses the entity {name!r}, which it does not declare; write its text instead")

    def _refused(self, what: str) -> DataError:
        return DataError(f"{self._name}: line {self._parser.CurrentLineNumber}: {what}")
