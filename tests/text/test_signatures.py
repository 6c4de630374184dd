"""Files that are not plain text in UTF-8 are told by their content, wherever text is opened."""

import bz2
import gzip
import io
import lzma
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt_cli.commands.translating.inputs import InvalidLines, open_input
from nmt_cli.data.reading import read_pairs
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import JsonlCorpus, LinesCorpus, TmxCorpus, TsvCorpus
from nmt_cli.text.lines import read_lines
from nmt_cli.text.signatures import HEAD_BYTES, recognise, wide_encoding

TEXT = "Eine Zeile mit Umlauten: äöü\nund noch eine, viel längere Zeile\n" * 40
CHINESE = "这是一个很长的句子，里面没有空格。\n第二行也是中文。\n" * 40
XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "application/vnd.oasis.opendocument.text" if name == "mimetype" else TEXT)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("corpus.de")
        member.size = len(TEXT.encode())
        archive.addfile(member, io.BytesIO(TEXT.encode()))
    return buffer.getvalue()


FOREIGN = {
    "UTF-16 with mark": (TEXT.encode("utf-16"), "iconv -f UTF-16LE"),
    "UTF-16BE with mark": (b"\xfe\xff" + TEXT.encode("utf-16-be"), "iconv -f UTF-16BE"),
    "UTF-16LE": (TEXT.encode("utf-16-le"), "iconv -f UTF-16LE"),
    "UTF-16BE": (TEXT.encode("utf-16-be"), "iconv -f UTF-16BE"),
    "Chinese UTF-16LE": (CHINESE.encode("utf-16-le"), "iconv -f UTF-16LE"),
    "Chinese UTF-16BE": (CHINESE.encode("utf-16-be"), "iconv -f UTF-16BE"),
    "UTF-32 with mark": (TEXT.encode("utf-32"), "iconv -f UTF-32LE"),
    "UTF-32BE": (TEXT.encode("utf-32-be"), "iconv -f UTF-32BE"),
    "carriage returns": (TEXT.replace("\n", "\r").encode(), "tr '\\r' '\\n'"),
    "zip": (zipped("corpus.de"), "unzip"),
    "docx": (zipped("[Content_Types].xml", "word/document.xml"), "pandoc"),
    "odt": (zipped("mimetype", "content.xml"), "soffice"),
    "tar": (tarred(), "tar -xf"),
    "tar in gzip": (gzip.compress(tarred()), "tar -xf"),
    "gzip in gzip": (gzip.compress(gzip.compress(TEXT.encode())), "gzip -dc"),
    "bzip2 in xz": (lzma.compress(bz2.compress(TEXT.encode())), "bzip2 -dc"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(range(256)), "7z x"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "pdftotext"),
    "html": (b"<!DOCTYPE html>\n<html lang=de>\n<head>", "pandoc -f html"),
    "xliff": (f'{XML}<xliff version="1.2" xmlns="urn:x">\n'.encode(), "xliff2po"),
    "tmx": (f'{XML}<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4">\n'.encode(), "format: tmx"),
    "subtitles": (b"\xef\xbb\xbf1\r\n00:00:01,000 --> 00:00:02,500\r\nHallo\r\n"[3:], "sed "),
    "catalogue": (b'# German\nmsgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n', "po2tmx"),
}
"""Content of a file, and a part of the advice."""

each_kind = pytest.mark.parametrize("kind", list(FOREIGN))


def opened_everywhere(path: Path) -> Iterator[object]:
    """Yield functions that read the file as each kind of text."""
    plain = path.with_name("plain")
    plain.write_text(TEXT)
    yield lambda: list(read_lines(path))  # glossaries, prefixes, factors, references, hypotheses
    yield lambda: list(read_pairs(LinesCorpus(source=path, target=plain), ("de", "en")))
    yield lambda: list(read_pairs(LinesCorpus(source=plain, target=path), ("de", "en")))
    yield lambda: list(read_pairs(TsvCorpus(file=path), ("de", "en")))
    yield lambda: list(read_pairs(JsonlCorpus(file=path), ("de", "en")))
    yield lambda: translated_lines(path)


def translated_lines(path: Path) -> list[str]:
    with open_input(path) as source:
        return list(source.lines(InvalidLines()))


@each_kind
def test_foreign_content_is_refused_with_the_command_wherever_text_is_opened(kind: str, tmp_path: Path) -> None:
    content, advice = FOREIGN[kind]
    path = tmp_path / "corpus file"
    path.write_bytes(content)
    for read in opened_everywhere(path):
        with pytest.raises(DataError) as caught:
            read()  # type: ignore[operator]
        assert str(caught.value).startswith(f"{path}: ")
        assert advice in str(caught.value)


@each_kind
def test_foreign_content_of_stdin_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in"
    path.write_bytes(FOREIGN[kind][0])
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        with open_input(None) as source, pytest.raises(DataError, match="stdin"):
            list(source.lines(InvalidLines()))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_stdin_is_refused(compress: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in"
    path.write_bytes(compress(TEXT.encode()))  # type: ignore[operator]
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        with open_input(None) as source, pytest.raises(DataError, match="stdin"):
            list(source.lines(InvalidLines()))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32-le", "utf-8-sig"])
def test_translation_memory_may_be_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.tmx"
    units = '<tu><tuv xml:lang="de"><seg>ja</seg></tuv><tuv xml:lang="en"><seg>yes</seg></tuv></tu>'
    path.write_bytes(f'<tmx version="1.4"><header/><body>{units}</body></tmx>'.encode(encoding))
    assert list(read_pairs(TmxCorpus(file=path), ("de", "en"))) == [("ja", "yes")]


def test_advised_commands_for_text_give_the_text(tmp_path: Path) -> None:
    path = tmp_path / "it's in.txt"
    for kind in ("UTF-16LE", "Chinese UTF-16BE", "UTF-32BE", "carriage returns", "gzip in gzip"):
        path.write_bytes(FOREIGN[kind][0])
        with pytest.raises(DataError) as caught:
            list(read_lines(path))
        command = str(caught.value).split("`")[1]
        subprocess.run(command, shell=True, check=True)
        expected = CHINESE if kind.startswith("Chinese") else TEXT
        [converted] = set(tmp_path.iterdir()) - {path}
        assert list(read_lines(converted)) == expected.split("\n")[:-1]
        converted.unlink()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "]",
        "BZhang is a name",
        "PK and %PDF- are names",
        "<html>Press <b>Start</b></html>\n",  # a message of a Java program
        "<b>bold</b>",
        "a\0b\n",
        "1\n2\n",
        "a\rb\nc\n",
        "msgid is a word",
        "no newline at the end",
        "x" * 2 * HEAD_BYTES + "\r" + "y" * HEAD_BYTES,
    ],
)
def test_plain_text_is_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(text, newline="")
    assert "\n".join(read_lines(path)) == text.removesuffix("\n")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "gb18030", "euc-jp", "koi8-r"])
def test_bytes_of_other_encodings_with_a_stray_nul_are_not_utf_16(encoding: str) -> None:
    for text in (TEXT, CHINESE, "Это строка, а это другая.\n" * 100):
        content = text.encode(encoding, errors="ignore")
        for position in (0, 1, len(content) // 2, len(content) - 1):
            assert not wide_encoding((content[:position] + b"\0" + content[position:])[:HEAD_BYTES])
            assert not wide_encoding((content[:position] + b"\0\0\0" + content[position:])[:HEAD_BYTES])


def test_short_lines_with_controls_are_not_utf_16() -> None:
    assert not wide_encoding(b"t\ts\n\x1f\t\x00\n")


def test_every_beginning_of_a_file_is_judged_without_an_error() -> None:
    for content, _ in FOREIGN.values():
        for end in range(300):
            recognise(content[:end])
