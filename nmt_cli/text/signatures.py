"""Tell by their first bytes files that are not plain text in UTF-8, and how to convert them."""

import re
import shlex
import unicodedata
from dataclasses import dataclass

from nmt_cli.errors import DataError

HEAD_BYTES = 4096
"""First bytes of a file by which it is recognised."""

_WIDE_BOMS = {
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
_BINARY = {
    b"\x1f\x8b": ("compressed with gzip", "gzip -dc {file} > {file}.out"),
    b"\xfd7zXZ\x00": ("compressed with xz", "xz -dc {file} > {file}.out"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "zstd -dc {file} > {file}.out"),
    b"BZh9": ("compressed with bzip2", "bzip2 -dc {file} > {file}.out"),
    b"\x5d\x00\x00": ("compressed with lzma", "xz -dc --format=lzma {file} > {file}.out"),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "lz4 -dc {file} > {file}.out"),
    b"\x1f\x9d": ("compressed with compress", "uncompress -c {file} > {file}.out"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "7z x {file}"),
    b"Rar!\x1a\x07": ("a rar archive", "unrar x {file}"),
    b"%PDF-": ("a PDF document", "pdftotext {file} {file}.txt"),
    b"{\\rtf": ("an RTF document", "soffice --headless --convert-to txt:Text {file}"),
    b"\xd0\xcf\x11\xe0": ("a document of an old Microsoft Office", "soffice --headless --convert-to txt:Text {file}"),
    b"\x89PNG": ("an image", ""),
    b"\xff\xd8\xff": ("an image", ""),
}
"""Description and command by the first bytes."""
_ZIPPED = {
    b"application/vnd.oasis.opendocument": ("an OpenDocument file", "soffice --headless --convert-to txt:Text {file}"),
    b"application/epub": ("an EPUB book", "pandoc -t plain --wrap=none -o {file}.txt {file}"),
    b"word/": ("a Word document (docx)", "pandoc -t plain --wrap=none -o {file}.txt {file}"),
    b"xl/": ("an Excel table (xlsx)", "soffice --headless --convert-to csv {file}"),
    b"[Content_Types].xml": ("a Microsoft Office document", "soffice --headless --convert-to txt:Text {file}"),
}
"""Description and command by a name or type among the first entries of a zip archive."""
_TEXTUAL = (
    (
        re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE html|<html[^>]*>\s*(\n|<head))", re.I | re.S),
        ("an HTML page", "pandoc -f html -t plain --wrap=none -o {file}.txt {file}"),
    ),
    (
        re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(\w+:)?xliff\b", re.S),
        ("an XLIFF document", "xliff2po {file} {file}.po && po2tmx -l LANGUAGE {file}.po {file}.tmx"),
    ),
    (
        re.compile(rb"\s*1\r?\n\d\d:\d\d:\d\d,\d{3} --> \d\d:|WEBVTT[ \t\r\n]"),
        ("a file of subtitles", "sed -E '/^[0-9]+\\r?$/d; /-->/d; /^\\r?$/d' {file} > {file}.txt"),
    ),
    (
        re.compile(
            rb'(?:#[^\n]*\n|[^\S\n]*\n|msgctxt [^\n]*\n)*msgid "[^\n]*\n(?:"[^\n]*\n|msgid_plural [^\n]*\n)*msgstr'
        ),
        ("a message catalogue (PO)", "po2tmx -l LANGUAGE {file} {file}.tmx"),
    ),
)
"""Pattern of the first characters, description and command of documents that are text, but not one sentence a line."""
_TMX = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<(\w+:)?tmx\b", re.S)
_MAX_RETURNS = 10
"""Carriage returns that a line longer than HEAD_BYTES may contain."""
_CONTROLS = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]")
_MIN_NARROW = 0.75
"""Fraction of bytes other than NUL in UTF-8; half of the bytes of Latin letters in UTF-16 are NUL."""
_MIN_CHARACTERS = 16
_MIN_ASSIGNED = 0.99
"""Fraction of assigned characters in text in UTF-16 without a byte order mark."""


@dataclass(frozen=True)
class FileKind:
    """What a file is, if it is not plain text in UTF-8."""

    description: str
    remedy: str
    """Advice, in which `{file}` is the name of the file; may be empty."""
    encoding: str = ""
    """The encoding of a text file in UTF-16 or UTF-32."""


def recognise(head: bytes) -> FileKind | None:
    """Return the kind of a file by its first bytes, at most HEAD_BYTES of them; None for plain text, or if unknown."""
    encoding = wide_encoding(head)
    if encoding:
        name = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
        return _convertible(f"text in {name}", f"iconv -f {name} -t UTF-8 {{file}} > {{file}}.utf8", encoding)
    if head.startswith(b"PK\x03\x04"):
        zipped = (found for name, found in _ZIPPED.items() if name in head)
        return _convertible(*next(zipped, ("a zip archive", "unzip {file}")))
    if head[257:262] == b"ustar" and b"\0" in head[:257]:
        return _convertible("a tar archive", "tar -xf {file}")
    if _TMX.match(head):
        return FileKind("a translation memory (TMX)", "as a corpus, it needs `format: tmx`")
    binary = (found for magic, found in _BINARY.items() if head.startswith(magic))
    textual = (found for pattern, found in _TEXTUAL if pattern.match(head))
    found = next(binary, None) or next(textual, None)
    if found:
        return _convertible(*found)
    num_returns = head.rstrip(b"\r").count(b"\r")
    if b"\n" not in head and num_returns > (_MAX_RETURNS if len(head) == HEAD_BYTES else 0):
        return _convertible("text with carriage returns (\\r) as line ends", "tr '\\r' '\\n' < {file} > {file}.txt")
    return None


def _convertible(description: str, command: str, encoding: str = "") -> FileKind:
    return FileKind(description, f"convert it, such as with `{command}`" if command else "", encoding)


def check_is_text(head: bytes, name: str, *, accepts_xml: bool = False) -> None:
    """Raise DataError, with the command that converts the file, if it is not plain text in UTF-8.

    Args:
        head: The first bytes of the file.
        accepts_xml: XML is expected, in any encoding that it declares.
    """
    found = recognise(head)
    if found is None or (accepts_xml and (found.encoding or head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"))):
        return
    remedy = found.remedy.replace("{file}", shlex.quote(name))
    raise DataError(f"{name}: is {found.description}, not lines of text in UTF-8" + (f"; {remedy}" if remedy else ""))


def wide_encoding(head: bytes) -> str:
    """Return the name of UTF-16 or UTF-32, with its byte order, if text begins with these bytes; else empty."""
    for bom, encoding in _WIDE_BOMS.items():
        if head.startswith(bom):
            return encoding
    if b"\0" not in head or _is_narrow(head):
        return ""
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        width = 4 if encoding.startswith("utf-32") else 2
        try:
            text = head[: len(head) // width * width].decode(encoding)
        except UnicodeDecodeError as error:
            text = head[: error.start].decode(encoding) if error.end >= len(head) - width else ""
        if _is_plausible(text):
            return encoding
    return ""


def _is_narrow(head: bytes) -> bool:
    """Return whether these bytes are text in UTF-8 with few NUL bytes, and without other controls, as UTF-16 has."""
    others = head.translate(None, b"\0")
    is_clean = not _CONTROLS.search(others) and len(others) > _MIN_NARROW * len(head)
    return is_clean and len(others.decode(errors="ignore").encode()) > len(others) - 4  # the last one may be cut


def _is_plausible(text: str) -> bool:
    """Return whether a text is prose: it has lines or spaces, and nearly only assigned characters and no controls.

    Of a few characters nothing can be concluded.
    """
    num_spaces = sum(map(text.count, " \n\u3000，、。"))
    if len(text) < _MIN_CHARACTERS or not num_spaces or num_spaces * 200 < len(text):
        return False
    controls = sum(unicodedata.category(each) in ("Cc", "Cn", "Co", "Cs") and each not in "\t\r\n" for each in text)
    scripts = {unicodedata.name(each, "?").split(" ", 1)[0] for each in text if each.isalpha()}
    return controls <= (1 - _MIN_ASSIGNED) * len(text) and len(scripts) <= 8
