"""Reading translation memories."""

from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.reading import DropCounts, Examples, decode, raw_chunks, read_chunks, read_pairs, tmx
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import TmxCorpus
from nmt_cli.text import lines as text_lines

LANGUAGES = ("en", "de")


def memory(folder: Path, body: str | bytes, **settings: str) -> TmxCorpus:
    (folder / "memory").write_bytes(body.encode() if isinstance(body, str) else body)
    return TmxCorpus.model_validate({"format": "tmx", "file": str(folder / "memory"), **settings})


def unit(**variants: str) -> str:
    inside = "".join(f'<tuv xml:lang="{name}"><seg>{text}</seg></tuv>' for name, text in variants.items())
    return f"<tu><note>not text</note><prop type='x'>nor this</prop>{inside}</tu>\n"


def tmx_file(*units: str, before: str = "") -> str:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' + before
    return f'{head}<tmx version="1.4"><header srclang="en"/><body>\n{"".join(units)}</body></tmx>'


def decoded(read: TmxCorpus, rows: int = 100) -> list[tuple[Examples, DropCounts]]:
    return [decode(read, chunk, "stop") for chunk in read_chunks(read, LANGUAGES, rows)]


def pairs_of(read: TmxCorpus) -> list[tuple[str, str]]:
    return list(read_pairs(read, LANGUAGES))


def test_tmx_units_are_pairs_in_any_language_order(tmp_path: Path) -> None:
    content = tmx_file(
        unit(en="a &amp; b", de="c"), unit(fr="x", de="ä", en="d"), before='<!DOCTYPE tmx SYSTEM "tmx14.dtd">'
    )
    assert pairs_of(memory(tmp_path, content)) == [("a & b", "c"), ("d", "ä")]


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        ("<bpt i='1'>&lt;b></bpt>bold<ept i='1'>&lt;/b></ept> text", "bold text"),
        ("a<ph>{1}<sub>note</sub></ph>b<it pos='begin'>x</it><ut>y</ut>", "ab"),
        ("a <hi>b <ph>x</ph>c</hi> d", "a b c d"),
        ("\n  a\r\n b&#13;&#10;", "   a  b  "),
        ("<![CDATA[a < b]]> &#228;", "a < b ä"),
        ("", ""),
    ],
)
def test_inline_codes_of_a_segment_are_not_text(tmp_path: Path, segment: str, text: str) -> None:
    assert pairs_of(memory(tmp_path, tmx_file(unit(en=segment, de="x")))) == [(text, "x")]


@pytest.mark.parametrize("name", ["en", "EN", "en-US", "EN-us", "en_GB"])
def test_language_matches_regional_variants(tmp_path: Path, name: str) -> None:
    assert pairs_of(memory(tmp_path, tmx_file(unit(**{name: "a", "de-AT": "b"})))) == [("a", "b")]


def test_exact_language_code_is_preferred_then_the_first_variant(tmp_path: Path) -> None:
    content = tmx_file(unit(**{"en-US": "us", "en": "plain", "de-AT": "at", "de-DE": "de"}))
    assert pairs_of(memory(tmp_path, content)) == [("plain", "at")]


def test_languages_of_the_corpus_are_used(tmp_path: Path) -> None:
    content = tmx_file(unit(**{"en": "a", "pt-BR": "br", "pt-PT": "pt"}))
    read = memory(tmp_path, content, source_language="pt-PT", target_language="en")
    assert pairs_of(read) == [("pt", "a")]


def test_old_lang_attribute_is_read(tmp_path: Path) -> None:
    content = tmx_file(unit(en="a", de="b")).replace("xml:lang", "lang")
    assert pairs_of(memory(tmp_path, content)) == [("a", "b")]


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "utf-8-sig"])
def test_declared_xml_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    content = tmx_file(unit(en="ä", de="ö")).replace("UTF-8", encoding.removesuffix("-sig"))
    assert pairs_of(memory(tmp_path, content.encode(encoding))) == [("ä", "ö")]


def test_units_without_both_languages_are_counted(tmp_path: Path) -> None:
    content = tmx_file(
        unit(en="a", de="b"), unit(en="c"), unit(fr="x"), unit(), unit(de="d", en=""), unit(eng="e", de="f")
    )
    [(found, drops)] = decoded(memory(tmp_path, content))
    assert list(zip(found.records, found.sources, found.targets, strict=True)) == [(1, "a", "b"), (5, "", "d")]
    assert drops.counts == {"no_language": 4}
    assert drops.examples["no_language"][0].source == "c"


def test_no_unit_with_both_languages_lists_the_languages_found(tmp_path: Path) -> None:
    content = tmx_file(unit(en="a", fr="b"), unit(en="c", fr="d"))
    with pytest.raises(DataError, match=r"memory: .*en .*de.* en \(2\), fr \(2\)"):
        decoded(memory(tmp_path, content))


BOMB = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>\n'
OUTSIDE = '<!DOCTYPE tmx [<!ENTITY file SYSTEM "file:///etc/passwd">]>\n'
PARAMETER = '<!DOCTYPE tmx [<!ENTITY % all SYSTEM "file:///etc/passwd"> %all;]>\n'


@pytest.mark.parametrize("before", [BOMB, OUTSIDE, PARAMETER])
def test_entity_declarations_are_rejected(tmp_path: Path, before: str) -> None:
    with pytest.raises(DataError, match=r"memory: line 2: .*entity '\w+'"):
        decoded(memory(tmp_path, tmx_file(unit(en="a", de="b"), before=before)))


def test_undeclared_entity_is_rejected(tmp_path: Path) -> None:
    content = tmx_file(unit(en="a&nbsp;b", de="b"), before='<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n')
    with pytest.raises(DataError, match=r"line 4: .*entity 'nbsp'"):
        decoded(memory(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (tmx_file(unit(en="a", de="b")).removesuffix("</tmx>"), "line 4: .*XML"),
        (tmx_file(unit(en="a & b", de="b")), "line 3: .*XML"),
        (tmx_file(unit(en="a&undeclared;", de="b")), "line 3: .*XML.*entity"),
        (tmx_file(unit(en="\x01", de="b")), "line 3: .*XML"),
        ("", "memory: .*XML"),
        ("one line\n", "line 1: .*XML"),
        ("<html/>", "line 1: .*<html>.*<tmx>"),
        (tmx_file(unit(en="a", de="b")).replace("a", "\0"), "memory: .*XML"),
        (tmx_file(unit(en="ä", de="b")).encode("iso-8859-1"), "line 3: .*XML"),
    ],
)
def test_invalid_tmx_is_reported_with_line(tmp_path: Path, content: str | bytes, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        decoded(memory(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_segment_longer_than_the_limit_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lines, "MAX_LINE_BYTES", 10)
    assert pairs_of(memory(tmp_path, tmx_file(unit(en="x" * 10, de="b")))) == [("x" * 10, "b")]
    with pytest.raises(DataError, match=r"line 3: .*\b10\b"):
        decoded(memory(tmp_path, tmx_file(unit(en="x" * 11, de="b"))))


def test_tmx_roundtrip_for_any_chunk_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=9)
    size = st.integers(1, 50)

    @settings(max_examples=150)
    @given(st.lists(st.tuples(text, text), min_size=1), size, size, size)
    def check(written: list[tuple[str, str]], rows: int, block: int, most: int) -> None:
        monkeypatch.setattr(tmx, "_BLOCK", block)
        monkeypatch.setattr(tmx, "MAX_CHUNK_BYTES", most)
        read = memory(tmp_path, tmx_file(*(unit(en=escape(source), de=escape(target)) for source, target in written)))
        chunks = list(read_chunks(read, LANGUAGES, rows))
        found = [decode(read, chunk, "stop") for chunk in chunks]
        assert all((chunk.first - 1) // rows == (chunk.first + chunk.num_records - 2) // rows for chunk in chunks)
        assert [pair for part, _ in found for pair in zip(part.sources, part.targets, strict=True)] == written
        assert [number for part, _ in found for number in part.records] == list(range(1, len(written) + 1))

    check()


def test_chunk_of_long_segments_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tmx, "MAX_CHUNK_BYTES", 100)
    read = memory(tmp_path, tmx_file(*[unit(en="x" * 40, de="y" * 20)] * 10))
    assert [chunk.num_records for chunk in read_chunks(read, LANGUAGES, 1000)] == [2] * 5
    assert raw_chunks.MAX_CHUNK_BYTES > 100
