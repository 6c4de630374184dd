"""Translation units of a TMX file, parsed as a stream. A malformed unit is reported; the other units are kept."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from nmt_cli.errors import DataError
from nmt_cli.text import lines as text_lines
from nmt_cli.text.signatures import wide_encoding
from nmt_cli.text.word_boundaries import character_class

_BLOCK = 1 << 16
_MAX_UNIT_BYTES = 2 * text_lines.MAX_LINE_BYTES
_PAIRED_CODES = frozenset({"bpt", "ept", "it"})
"""Elements of a segment with markup of another format that begins or ends something, such as bold type."""
_SINGLE_CODES = frozenset({"ph", "ut"})
"""Elements of a segment with standalone markup, such as a line break or a picture, which separates words."""
_SEPARATOR = "\uffff"
"""Stands for a single code. Not allowed in XML."""
_INVALID = "\ufffe"
"""Stands for undecodable bytes. Not allowed in XML, so the parser reports them."""
_UNIT = re.compile(rb"<(?:[\w.-]{1,40}:)?tu(?=[\s>/])")
_MAX_UNIT_MATCH = 50
"""Maximum number of bytes that `_UNIT` matches or inspects, which may be split between blocks."""
_DECLARATION = re.compile(rb"""(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?\bencoding\s*=\s*["']([\w.:-]+)["']""")
_MAX_SHOWN = 300
"""Maximum bytes of an unreadable unit that are shown."""


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError | UnicodeEncodeError)
    return _INVALID, error.end


codecs.register_error("nmt.xml", _mark_invalid)


@dataclass
class Variant:
    """The segment of a unit in one language."""

    language: str
    """Its code in lower case with hyphens; empty if it has none."""
    text: str | None = None
    """None if the segment is missing."""
    subflows: list[str] = field(default_factory=list)
    """Text within codes, such as that of footnotes."""


@dataclass(frozen=True)
class Unit:
    """The variants of a unit, or why it cannot be read."""

    variants: tuple[Variant, ...] = ()
    error: str = ""
    """File, line, column and cause; empty if the unit can be read."""
    raw: str = ""
    """The beginning of the unit in the file, if it cannot be read."""


def canonical_code(language: str) -> str:
    """Return a language code in lower case with hyphens."""
    return language.strip().lower().replace("_", "-")


def read_units(path: Path) -> Iterator[Unit]:
    """Yield the units of a translation memory.

    Raises:
        DataError: The file is not TMX, is broken before its first unit, or declares an entity or unknown encoding.
    """
    parser = _UnitParser(str(path))
    with text_lines.open_text(path, accepts_xml=True) as stream:
        for block in _utf8_blocks(stream, str(path)):
            yield from parser.parse(block)


def _utf8_blocks(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield the content in UTF-8, and an empty block at the end."""
    block, decoder = b"", None
    while True:
        with text_lines.reading_errors(name):
            read = stream.read(_BLOCK)
        if not block and (encoding := _encoding(read, name)) != "utf-8":
            decoder = codecs.getincrementaldecoder(encoding)("nmt.xml")
        block = read
        try:
            converted = decoder.decode(block, final=not block).encode("utf-8", "nmt.xml") if decoder else block
        except (UnicodeError, ValueError) as error:
            raise DataError(f"{name}: cannot be decoded from {encoding}: {error}") from error
        if converted or not block:
            yield converted
        if not block:
            if converted:
                yield b""
            return


def _encoding(head: bytes, name: str) -> str:
    """Return the encoding of XML by its byte order mark, first characters or declaration."""
    declared = _DECLARATION.match(head)
    found = wide_encoding(head[: 1 << 12]) if not declared else declared[1].decode().lower()
    if not found or (declared and found.startswith(("utf-16", "utf-32", "utf16", "utf32", "ucs"))):
        return "utf-8"
    try:
        # Other encodings are not supersets of ASCII, in which the declaration is written, or do not encode text.
        if not declared or "<?xml/>".encode(found) == b"<?xml/>":
            return codecs.lookup(found).name
    except (LookupError, UnicodeError, ValueError):
        pass
    raise DataError(f"{name}: line 1: declares the encoding {found!r}, which is unknown; convert the file to UTF-8")


class _InvalidUnitError(Exception):
    """A unit is well-formed XML, but cannot be used: the cause, and a position in the file, in bytes."""

    def __init__(self, cause: str, position: int) -> None:
        super().__init__(cause)
        self.position = position


class _UnitParser:
    """Incremental parser. After a malformed unit, it restarts at the next unit."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._buffer = bytearray()
        """The bytes after the last complete unit, from byte `_start` and line `_line` of the file."""
        self._start, self._line = 0, 1
        self._units: list[Unit] = []
        self._ancestors: list[str] | None = None
        """Names of the elements that contain the units; None before the first unit."""
        self._is_searching = False
        """Whether the next unit must be found before parsing continues."""
        self._open_parser(0)

    def parse(self, block: bytes) -> list[Unit]:
        """Parse the next block, and return the units that are complete; an empty block ends the file."""
        self._buffer += block
        data = bytes(block)
        while not self._is_searching or self._resume():
            if self._is_searching:
                data, self._is_searching = bytes(self._buffer), False
            try:
                self._parser.Parse(data, not block)
                self._check_size()
                self._discard_before(self._unit_start if self._unit_start is not None else self._parser_position())
                break
            except expat.ExpatError as error:
                position = self._origin + self._parser.ErrorByteIndex
                self._reject(f"is not well-formed XML: {expat.ErrorString(error.code)}", position)
            except _InvalidUnitError as error:
                self._reject(str(error), error.position)
        found, self._units = self._units, []
        return found

    def _open_parser(self, position: int) -> None:
        """Start a parser at a byte of the file, within the elements that contain units."""
        self._path: list[str] = []
        self._unit_start: int | None = None
        self._variants: list[Variant] = []
        self._flows: list[list[str] | None] = []
        """For each open element of a segment, the list that collects its text; None within a code."""
        self._size = 0
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        prologue = "".join(f"<{name}>" for name in self._ancestors or ()).encode()
        self._origin = position - len(prologue)
        parser.Parse(prologue, False)
        self._path = list(self._ancestors or ())
        parser.StartElementHandler = self._start_element
        parser.EndElementHandler = self._end_element
        parser.CharacterDataHandler = self._character_data
        parser.EntityDeclHandler = self._refuse_entity
        parser.SkippedEntityHandler = self._reject_undeclared

    def _resume(self) -> bool:
        """Start a new parser at the next unit in the buffer, if there is one."""
        found = _UNIT.search(self._buffer)
        self._discard_before(self._start + (found.start() if found else max(0, len(self._buffer) - _MAX_UNIT_MATCH)))
        if found:
            self._open_parser(self._start)
        return found is not None

    def _discard_before(self, position: int) -> None:
        """Remove the bytes before a position in the file from the buffer."""
        size = max(0, position - self._start)
        self._line += self._buffer.count(b"\n", 0, size)
        self._start += size
        del self._buffer[:size]

    def _parser_position(self) -> int:
        return self._origin + self._parser.CurrentByteIndex

    def _check_size(self) -> None:
        if len(self._buffer) > _MAX_UNIT_BYTES:
            raise self._invalid(f"a unit is longer than {_MAX_UNIT_BYTES:,} bytes")

    def _reject(self, cause: str, position: int) -> None:
        """Add the current unit as one that cannot be read, and start to search for the next one."""
        offset = max(0, position - self._start)
        line = self._line + self._buffer.count(b"\n", 0, offset)
        column = len(self._buffer[self._buffer.rfind(b"\n", 0, offset) + 1 : offset].decode(errors="replace")) + 1
        error = f"{self._name}: line {line}: column {column}: {cause}"
        if self._ancestors is None:
            raise DataError(f"{error}; correct the file, or download it again")
        first = 0 if self._unit_start is None else self._unit_start - self._start
        raw = self._buffer[first : first + _MAX_SHOWN].decode(errors="replace")
        self._units.append(Unit(error=error, raw=raw))
        self._is_searching = True
        self._discard_before(max(position, self._start + first + 1))

    def _start_element(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if not self._path and name != "tmx":
            raise self._file_error(f"begins with <{tag}>, not with <tmx>; is this a translation memory?")
        if self._flows:
            self._start_inline(name)
        elif name == "tu":
            if self._unit_start is not None:
                raise self._invalid("a unit begins within another")
            self._unit_start, self._ancestors = self._parser_position(), list(self._path)
            self._variants = []
        elif name == "tuv":
            code = attributes.get("xml:lang", attributes.get("lang", ""))
            self._variants.append(Variant(canonical_code(code)))
        elif name == "seg" and self._variants:
            if self._variants[-1].text is not None:
                self._variants.append(Variant(self._variants[-1].language))
            self._flows.append([])
            self._size = 0
        self._path.append(tag)

    def _start_inline(self, name: str) -> None:
        flow = self._flows[-1]
        if name in ("tu", "tuv", "seg"):
            raise self._invalid(f"<{name}> begins within a segment")
        if name in _SINGLE_CODES and flow is not None:
            flow.append(_SEPARATOR)
        if name == "sub":
            self._flows.append([])
        else:
            self._flows.append(None if name in _SINGLE_CODES or name in _PAIRED_CODES else flow)

    def _end_element(self, tag: str) -> None:
        self._path.pop()
        name = tag.rpartition(":")[2]
        if self._flows:
            flow = self._flows.pop()
            if not self._flows:
                self._variants[-1].text = _join(flow or [])
            elif name == "sub" and flow:
                self._variants[-1].subflows.append(_join(flow))
        elif name == "tu":
            self._units.append(Unit(tuple(self._variants)))
            self._unit_start = None

    def _character_data(self, text: str) -> None:
        if not self._flows or (flow := self._flows[-1]) is None:
            return
        flow.append(text)
        self._size += len(text)
        if self._size > text_lines.MAX_LINE_BYTES:
            raise self._invalid(f"a segment is longer than {text_lines.MAX_LINE_BYTES:,} characters")

    def _refuse_entity(self, name: str, *_: Any) -> None:
        raise self._file_error(f"declares the entity {name!r}; entities are not expanded; write the text instead")

    def _reject_undeclared(self, name: str, *_: Any) -> None:
        raise self._invalid(f"uses the entity {name!r}, which is not declared; write the text instead")

    def _invalid(self, cause: str) -> _InvalidUnitError:
        return _InvalidUnitError(cause, self._parser_position())

    def _file_error(self, message: str) -> DataError:
        line = self._line + self._buffer.count(b"\n", 0, max(0, self._parser_position() - self._start))
        return DataError(f"{self._name}: line {line}: {message}")


def _join(texts: list[str]) -> str:
    """Return the text of a segment on one line. A single code between two words becomes a space."""
    text = "".join(texts).replace("\r", " ").replace("\n", " ")
    if _SEPARATOR not in text:
        return text
    joined = ""
    for part in filter(None, text.split(_SEPARATOR)):
        is_within_word = joined and {character_class(joined[-1]), character_class(part[0])} == {"word"}
        joined += f" {part}" if is_within_word else part
    return joined
