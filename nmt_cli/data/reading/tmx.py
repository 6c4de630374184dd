"""Translation memories (TMX 1.4 and earlier), read as a stream of translation units."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from xml.parsers import expat

from nmt_cli.data.reading.examples import DropCounts, DroppedExample
from nmt_cli.data.reading.raw_chunks import MAX_CHUNK_BYTES, RawChunk
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import TmxCorpus
from nmt_cli.text import lines as text_lines

_BLOCK = 1 << 16
_INLINE_CODES = frozenset({"bpt", "ept", "ph", "it", "ut"})
"""Elements of a segment that contain markup of another format and no text. The content of `hi` is text."""
_KEYS = ("source", "target", "missing")


def read_chunks(corpus: TmxCorpus, languages: tuple[str, str], max_records: int) -> Iterator[RawChunk]:
    """Yield the units of a translation memory.

    The columns are `source`, `target`, and `missing`: the languages that a unit lacks. Newlines in a text become
    spaces. A variant has a language if both have the same code, or else if its code begins with that of the language:
    en-US is English.

    Raises:
        DataError: The file is not TMX, or no unit has both languages.
    """
    wanted = (corpus.source_language or languages[0], corpus.target_language or languages[1])
    found: Counter[str] = Counter()
    first, num_pairs, units, size = 1, 0, [], 0
    for variants in _units(corpus):
        found.update(variants.keys())
        sides = [_of_language(variants, language) for language in wanted]
        missing = [language for language, text in zip(wanted, sides, strict=True) if text is None]
        num_pairs += not missing
        unit = (sides[0] or "", sides[1] or "", " ".join(missing))
        units.append(unit)
        size += sum(map(len, unit))
        if (first + len(units) - 1) % max_records == 0 or size >= MAX_CHUNK_BYTES:
            yield _chunk(first, units)
            first, units, size = first + len(units), [], 0
    if units:
        yield _chunk(first, units)
    if not num_pairs:
        languages_found = ", ".join(f"{name} ({count:,})" for name, count in found.most_common(20)) or "none"
        raise DataError(
            f"{corpus.file}: no unit has both {wanted[0]} and {wanted[1]}; its languages are {languages_found}; "
            "set source_language and target_language of the corpus"
        )


def drop_incomplete(
    records: list[int], columns: dict[str, list[str]], drops: DropCounts
) -> tuple[list[int], dict[str, list[str]]]:
    """Return the units with both languages, and count the others. They are not errors, so `on_error` does not apply."""
    kept = [row for row, missing in enumerate(columns["missing"]) if not missing]
    for row, missing in enumerate(columns["missing"]):
        if missing:
            example = DroppedExample.shortened(records[row], columns["source"][row], columns["target"][row])
            drops.add("no_language", 1, [example])
    sides = {key: [columns[key][row] for row in kept] for key in ("source", "target")}
    return [records[row] for row in kept], sides


def _chunk(first: int, units: list[tuple[str, str, str]]) -> RawChunk:
    columns = {
        key: "".join([f"{text}\n" for text in column]).encode()
        for key, column in zip(_KEYS, zip(*units, strict=True), strict=True)
    }
    return RawChunk(first, len(units), columns)


def _of_language(variants: dict[str, str], language: str) -> str | None:
    wanted = _canonical_code(language)
    if wanted in variants:
        return variants[wanted]
    return next((text for name, text in variants.items() if name.startswith(f"{wanted}-")), None)


@lru_cache(maxsize=1024)
def _canonical_code(language: str) -> str:
    return language.strip().lower().replace("_", "-")


def _units(corpus: TmxCorpus) -> Iterator[dict[str, str]]:
    """Yield the texts of each unit by language code; the first one if a unit has several of a language."""
    parser = _Parser(str(corpus.file))
    with text_lines.open_text(corpus.file) as stream:
        while True:
            with text_lines.reading_errors(str(corpus.file)):
                block = stream.read(_BLOCK)
            parser.parse(block)
            yield from parser.units
            parser.units = []
            if not block:
                return


class _Parser:
    """Incremental parser of a translation memory."""

    def __init__(self, name: str) -> None:
        self.units: list[dict[str, str]] = []
        """Complete units that the caller has not taken yet."""
        self._name = name
        self._has_root = False
        self._variants: dict[str, str] = {}
        self._language = ""
        self._text: list[str] | None = None
        self._size, self._code_depth = 0, 0
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._reject_entity
        parser.SkippedEntityHandler = self._reject_undeclared

    def parse(self, block: bytes) -> None:
        """Parse the next block; an empty block ends the file."""
        try:
            self._parser.Parse(block, not block)
        except expat.ExpatError as error:
            raise DataError(
                f"{self._name}: line {error.lineno}: is not well-formed XML: {expat.ErrorString(error.code)} "
                f"at column {error.offset + 1}; correct the file, or download it again"
            ) from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._has_root and tag != "tmx":
            raise self._error(f"begins with <{tag}>, not with <tmx>; is this a translation memory?")
        self._has_root = True
        if self._text is not None:
            self._code_depth += self._code_depth > 0 or tag in _INLINE_CODES
        elif tag == "seg":
            self._text, self._size, self._code_depth = [], 0, 0
            self._parser.CharacterDataHandler = self._characters
        elif tag == "tuv":
            self._language = _canonical_code(attributes.get("xml:lang", attributes.get("lang", "")))
        elif tag == "tu":
            self._variants = {}

    def _end(self, tag: str) -> None:
        if self._text is not None:
            if self._code_depth:
                self._code_depth -= 1
            elif tag == "seg":
                text = "".join(self._text).replace("\r", " ").replace("\n", " ")
                self._variants.setdefault(self._language, text)
                self._text = self._parser.CharacterDataHandler = None
        elif tag == "tu":
            self.units.append(self._variants)

    def _characters(self, text: str) -> None:
        if self._text is None or self._code_depth:
            return
        self._text.append(text)
        self._size += len(text)
        if self._size > text_lines.MAX_LINE_BYTES:
            raise self._error(f"a segment is longer than {text_lines.MAX_LINE_BYTES:,} characters")

    def _reject_entity(self, name: str, *_: Any) -> None:
        raise self._error(f"declares the entity {name!r}; entities are not expanded; write the text instead")

    def _reject_undeclared(self, name: str, *_: Any) -> None:
        raise self._error(f"uses the entity {name!r}, which is not declared; write the text instead")

    def _error(self, message: str) -> DataError:
        return DataError(f"{self._name}: line {self._parser.CurrentLineNumber}: {message}")
