"""Reading translation memories."""

import re
import time
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.reading import DropCounts, Examples, decode, raw_chunks, read_chunks, read_pairs, tmx, tmx_units
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
        ("a<ph>{1}<sub>note</sub></ph>b<it pos='begin'>x</it><ut>y</ut>", "a b"),
        ("Press<ph/>Enter", "Press Enter"),
        ("Press <ph/>Enter<ph/>, <ph/>now", "Press Enter, now"),
        ("un<hi>believ</hi>able, un<bpt i='1'/>believ<ept i='1'/>able", "unbelievable, unbelievable"),
        ("我<ph/>们", "我们"),
        ("<ph><hi>code</hi></ph>a<ph/><ph/>b<ph/>", "a b"),
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


def test_exact_language_code_is_preferred_then_every_regional_variant_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = tmx_file(unit(**{"en-US": "us", "en": "plain", "de-AT": "at", "de-DE": "de"}), unit(en="a", de="b"))
    assert pairs_of(memory(tmp_path, content)) == [("plain", "at"), ("plain", "de"), ("a", "b")]
    [warning] = capsys.readouterr().err.splitlines()
    assert "memory: de is de-at (1), de-de (1), de (1)" in warning


def test_every_variant_of_a_language_is_in_a_pair(tmp_path: Path) -> None:
    variants = ["en:a", "de:1", "de:2", "en:b", "de:3"]
    inside = "".join('<tuv xml:lang="{}"><seg>{}</seg></tuv>'.format(*each.split(":")) for each in variants)
    found = pairs_of(memory(tmp_path, tmx_file(f"<tu>{inside}</tu>")))
    assert found == [("a", "1"), ("b", "2"), ("a", "3")]


def test_subflows_are_pairs_of_their_own_if_equally_many(tmp_path: Path) -> None:
    image = 'See<ph>&lt;img alt="<sub>{}</sub>"&gt;</ph>'
    content = tmx_file(
        unit(en=image.format("a cat"), de=image.format("eine Katze")), unit(en=image.format("x"), de="y")
    )
    [(found, drops)] = decoded(memory(tmp_path, content))
    assert list(zip(found.sources, found.targets, strict=True)) == [
        ("See", "See"),
        ("a cat", "eine Katze"),
        ("See", "y"),
    ]
    assert drops.counts == {"no_segment": 1}


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


def test_variant_without_a_segment_has_its_own_reason(tmp_path: Path) -> None:
    content = tmx_file(unit(en="a", de="b"), '<tu><tuv xml:lang="en"><seg>c</seg></tuv><tuv xml:lang="de"/></tu>')
    [(found, drops)] = decoded(memory(tmp_path, content))
    assert found.sources == ["a"]
    assert drops.counts == {"no_segment": 1}
    assert drops.examples["no_segment"][0].source == "c"


def test_namespace_prefixes_are_ignored(tmp_path: Path) -> None:
    content = tmx_file(unit(en="a<x:ph/>b", de="c"), "<x:tu>&</x:tu>", unit(en="d", de="e"))
    prefixed = re.sub(r"<(/?)(tmx|header|body|tuv?|seg)\b", r"<\1x:\2", content)
    read = memory(tmp_path, prefixed.replace("<x:tmx", '<x:tmx xmlns:x="http://www.lisa.org/tmx14"'))
    [(found, drops)] = [decode(read, chunk, "skip") for chunk in read_chunks(read, LANGUAGES, 100)]
    assert list(zip(found.sources, found.targets, strict=True)) == [("a b", "c"), ("d", "e")]
    assert drops.counts == {"no_record": 1}


CHINESE, JAPANESE = unit(en="hello", de="你好，世界") * 3, unit(en="hello", de="こんにちは、世界") * 3


@pytest.mark.parametrize(
    ("encoding", "units"),
    [
        ("GB2312", CHINESE),
        ("gb18030", CHINESE),
        ("Big5", unit(en="hello", de="你好")),
        ("Shift_JIS", JAPANESE),
        ("EUC-JP", JAPANESE),
        ("ISO-2022-JP", JAPANESE),
        ("euc-kr", unit(en="hello", de="안녕하세요")),
        ("KOI8-R", unit(en="hello", de="привет")),
        ("windows-1252", unit(en="hello", de="„Straße“")),
        ("UTF-16", CHINESE),
        ("UTF-32", CHINESE),
    ],
)
@pytest.mark.parametrize("block", [7, 1 << 16])
def test_any_encoding_that_python_knows_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, units: str, block: int
) -> None:
    content = tmx_file(units)
    expected = pairs_of(memory(tmp_path, content))
    monkeypatch.setattr(tmx_units, "_BLOCK", max(block, 200))  # the declaration is in the first block
    assert pairs_of(memory(tmp_path, content.replace("UTF-8", encoding).encode(encoding))) == expected


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "base64", "zip", "punycode", "undefined", "cp037"])
def test_unknown_encoding_is_a_data_error(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(DataError, match=rf"memory: line 1: .*{encoding}"):
        decoded(memory(tmp_path, tmx_file(unit(en="a", de="b")).replace("UTF-8", encoding)))


def test_wide_encoding_declared_in_a_file_of_single_bytes_is_ignored(tmp_path: Path) -> None:
    content = tmx_file(unit(en="a", de="ö")).replace("UTF-8", "UTF-16")
    assert pairs_of(memory(tmp_path, content.encode())) == [("a", "ö")]


GOOD = unit(en="good", de="gut")
BROKEN = [
    unit(en="a & b", de="c"),
    unit(en="a\x01", de="c"),
    unit(en="a &nbsp; b", de="c"),
    unit(en="a<b", de="c"),
    unit(en="a<hi>b", de="c"),
    unit(en="a", de="c").replace("</tu>", ""),
    unit(en="a", de="c").replace("</seg>", ""),
    unit(en="a", de="c").replace("<seg>", ""),
    unit(en="a", de="c").replace('"de"', '"de'),
    unit(en="a", de="c").replace("<tu>", "<tu <x>"),
    unit(en="a", de="c").replace("<tu>", "<tu x='1' x='2'>"),
    unit(en="a", de="c").replace("a", "<![CDATA["),
    unit(en="a", de="c").replace("<tu>", "<tu></x>"),
]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("block", [1, 13, 1 << 16])
def test_unit_that_cannot_be_read_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, block: int
) -> None:
    monkeypatch.setattr(tmx_units, "_BLOCK", block)
    read = memory(tmp_path, tmx_file(GOOD, GOOD, broken, GOOD, broken, broken, GOOD))
    found = DropCounts()
    sources = list[str]()
    for examples, drops in (decode(read, chunk, "skip") for chunk in read_chunks(read, LANGUAGES, 100)):
        found.merge(drops)
        sources += examples.sources
    assert sources == ["good"] * 4
    assert found.counts == {"no_record": 3}
    with pytest.raises(DataError, match=r"memory: line \d+: column \d+: .*on_error"):
        pairs_of(read)


def test_undecodable_bytes_cost_their_unit_alone(tmp_path: Path) -> None:
    content = tmx_file(GOOD, unit(en="bad", de="X"), GOOD).replace("UTF-8", "gb2312").encode("gb2312")
    read = memory(tmp_path, content.replace(b"X", b"\xff\xff"))
    [(found, drops)] = [decode(read, chunk, "skip") for chunk in read_chunks(read, LANGUAGES, 100)]
    assert found.sources == ["good", "good"]
    assert drops.counts == {"no_record": 1}


def test_file_that_ends_within_a_unit_loses_this_unit(tmp_path: Path) -> None:
    content = tmx_file(GOOD, GOOD, GOOD)
    read = memory(tmp_path, content[: content.rindex("gut")])
    [(found, drops)] = [decode(read, chunk, "skip") for chunk in read_chunks(read, LANGUAGES, 100)]
    assert len(found) == 2
    assert drops.counts == {"no_record": 1}


def test_time_for_broken_units_is_linear(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        read = memory(tmp_path, tmx_file(GOOD, *[unit(en="a & b", de="c")] * count))
        started = time.perf_counter()
        assert sum(chunk.num_records for chunk in read_chunks(read, LANGUAGES, 1000)) == 1 + count
        return time.perf_counter() - started

    seconds(100)
    assert seconds(4000) < 12 * max(seconds(1000), 0.05)


def test_comment_without_an_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tmx_units, "_MAX_UNIT_BYTES", 100_000)
    read = memory(tmp_path, tmx_file(GOOD, "<!--" + "x" * 1_000_000, GOOD))
    assert list(read_pairs(read, LANGUAGES, "skip")) == [("good", "gut"), ("good", "gut")]


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
        monkeypatch.setattr(tmx_units, "_BLOCK", block)
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
