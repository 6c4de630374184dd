"""Whatever is masked comes out exactly once and nested as it was, and the text around it is what the model output."""

import html
import re
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.decoding.markup.markup_tokens import markup_tokens
from nmt_cli.decoding.markup.placeholders import (
    MaskedLine,
    escape_markup,
    mask_markup,
    mask_spans,
    mask_tags,
    pattern_spans,
)
from nmt_cli.decoding.markup.transfer import MarkupTransfer, find_protected, reinsert_markup
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.results import TranslatedText, Translation
from nmt_cli.decoding.scoring.annotation import Annotation, Link
from nmt_cli.errors import RecipeError

TAG = re.compile(r"</?\w+ ?\d*/?>")
WORDS = st.lists(st.sampled_from(["a", "bc", "H2O", "x.", "<", "&", "…"]), max_size=8).map(" ".join)
LINKS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), max_size=12)
PLACEHOLDER = re.compile(r"\{\w*\}")
FIND = pattern_spans(PLACEHOLDER)
PROTECTING = MarkupTransfer(TranslateOptions(protect=(PLACEHOLDER.pattern,)))


@st.composite
def marked_up(draw: st.DrawFn, depth: int = 3) -> str:
    """Text and well nested tags, each with a number of its own; some alone, some glued to words."""
    numbers = iter(range(100))

    def level(depth: int) -> str:
        parts = []
        for _ in range(draw(st.integers(0, 3))):
            parts.append(draw(WORDS.map(escape_markup)) + draw(st.sampled_from(["", " "])))
            number, kind = next(numbers), draw(st.sampled_from(["alone", "around"]))
            if kind == "alone" or depth == 0:
                parts.append(f"<br {number}/>")
            else:
                parts.append(f"<i {number}>{level(depth - 1)}</i>")
        return "".join(parts) + draw(WORDS.map(escape_markup))

    return level(depth)


def without(text: str) -> str:
    return TAG.sub("", text)


def tree(text: str) -> dict[str, str]:
    """Each element, by its first tag, and the one that it is in."""
    inside, found = ["top"], {}
    for tag in TAG.findall(text):
        if tag.startswith("</"):
            inside.pop()
            continue
        assert tag not in found
        found[tag] = inside[-1]
        if not tag.endswith("/>"):
            inside.append(tag)
    assert inside == ["top"]
    return found


@settings(max_examples=100)
@given(marked_up(), WORDS, LINKS)
def test_each_tag_comes_once_nested_as_it_was_in_what_the_model_said(line: str, output: str, links: list[Link]) -> None:
    masked = mask_markup(line)
    assert masked is not None

    found = reinsert_markup(masked, output, links, escape_markup)

    assert tree(found) == tree(line)
    assert html.unescape(without(found)) == output


@settings(max_examples=100)
@given(marked_up(), st.sampled_from(["{a}", "{b}", "{}"]), st.integers(0, 40), WORDS, LINKS)
def test_reinsert_markup_combines_spans_and_tags(
    line: str, span: str, place: int, output: str, links: list[Link]
) -> None:
    cut = [
        0,
        *(found.start() for found in TAG.finditer(line)),
        *(found.end() for found in TAG.finditer(line)),
        len(line),
    ]
    at = cut[place % len(cut)]
    line = line[:at] + span + line[at:]
    masked = mask_markup(line)
    assert masked is not None

    found = reinsert_markup(mask_spans(masked, FIND), output, links, escape_markup)

    assert tree(found) == tree(line)
    assert found.count(span) == 1
    assert "".join(html.unescape(without(found)).replace(span, "").split()) == "".join(output.split())


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["<b>", "</b>", "</i>", "<br/>", "a", " ", "bc"]), max_size=12).map("".join), WORDS, LINKS
)
def test_mask_tags_keeps_each_malformed_tag_once(line: str, output: str, links: list[Link]) -> None:
    found = reinsert_markup(mask_tags(line), output, links, str)

    assert sorted(TAG.findall(found)) == sorted(TAG.findall(line))
    assert "".join(without(found).split()) == "".join(output.split())


@pytest.mark.parametrize(
    ("line", "output", "links", "expected"),
    [
        ("a <b>red</b> house", "une maison rouge", "0-0 2-1 1-2", "une maison <b>rouge</b>"),
        ("he <b>is <i>very</i> old</b>.", "er ist sehr alt.", "0-0 1-1 2-2 3-3", "er <b>ist <i>sehr</i> alt</b>."),
        ("<p>go <b>up</b></p>", "geh hinauf", "0-0 1-1", "<p>geh <b>hinauf</b></p>"),
        ("look<br/>there", "schau dort", "0-0 1-1", "schau <br/>dort"),
        ("drink H<sub>2</sub>O now", "trink jetzt H2O", "0-0 1-2 2-1", "trink jetzt H<sub>2</sub>O"),
        ("<i>a</i> b c d", "x y z w", "0-0 0-3 1-1 2-2", "<i>x</i> y z w"),
        ("<i>a</i> b", "x y z w", "0-0 0-2 0-3 1-1", "x y <i>z w</i>"),
        ("R&amp;D &lt; <b>5</b>", "F&E < 5", "0-0 1-1 2-2", "F&amp;E &lt; <b>5</b>"),
        ("<b></b>", "", "", "<b></b>"),
        ('see (<a href="x">here</a>)', "siehe (hier)", "0-0 1-1", 'siehe (<a href="x">hier</a>)'),
    ],
)
def test_reinsert_markup_places_tags_by_alignment(line: str, output: str, links: str, expected: str) -> None:
    masked = mask_markup(line)
    assert masked is not None

    pairs = [(int(one), int(other)) for one, other in (link.split("-") for link in links.split())]

    assert reinsert_markup(masked, output, pairs, escape_markup) == expected


@pytest.mark.parametrize("line", ["<b>a", "a</b>", "<b><i>a</b></i>", "</b><b>"])
def test_mask_markup_rejects_malformed_markup(line: str) -> None:
    assert mask_markup(line) is None
    assert mask_tags(line).text.strip() == "a" * line.count("a")


@pytest.mark.parametrize(
    ("line", "output", "links", "expected"),
    [
        ("Hello {name} there", "Hallo dort", "0-0 1-1", "Hallo {name} dort"),
        ("Hello there {name}", "Hallo dort", "0-0 1-1", "Hallo dort {name}"),
        ("{name} waits", "wartet", "0-0", "{name} wartet"),
        ("{a}{b} wait", "warten", "0-0", "{a}{b} warten"),
        ("{a} {b} wait", "warten", "0-0", "{a} {b} warten"),
        ("Hello {name}, you there", "Hallo, du da", "0-0 1-1 2-2", "Hallo {name}, du da"),
        ("Hello {name}, you there", "Du da hallo", "0-2 1-0 2-1", "Du da hallo {name}"),
        ("They play with {name}.", "Sie spielen mit.", "0-0 1-1 2-2", "Sie spielen mit {name}."),
        ("They wait {name}", "Sie warten.", "0-0 1-1", "Sie warten {name}."),
        ("They wait. {name}", "Sie warten hier.", "0-0 1-1", "Sie warten hier. {name}"),
        ("{name}: they wait", "hier warten sie", "0-2 1-1", "{name}: hier warten sie"),
        ("A man ({name}) waits", "Da wartet ein Mann", "0-2 1-3 2-1", "Da ({name}) wartet ein Mann"),
        ("रुको {name}", "Sie warten.", "0-0 0-1", "Sie warten {name}."),
        ("रुको{n} यहाँ", "Sie warten hier", "0-0 0-1 1-2", "Sie warten{n} hier"),
        ("They wait{n} here", "Sie warten hier", "0-0 1-1 2-2", "Sie warten{n} hier"),
    ],
)
def test_reinsert_markup_spaces_spans_as_before(line: str, output: str, links: str, expected: str) -> None:
    pairs = [(int(one), int(other)) for one, other in (link.split("-") for link in links.split())]

    assert reinsert_markup(mask_spans(MaskedLine(line), FIND), output, pairs, str) == expected


def in_reverse(keeps: bool) -> Callable[[Sequence[Request]], list[Translation]]:
    """Translates by turning the words round; may turn placeholders, too, so that they are lost."""

    def translate(requests: Sequence[Request]) -> list[Translation]:
        found = []
        for request in requests:
            words = request.text.split()[::-1]
            alignment = tuple((number, len(words) - 1 - number) for number in range(len(words)))
            text = " ".join(words if keeps else [word.strip("{}") for word in words])
            found.append(Translation(request.text, (TranslatedText(text, -1.0, -1.0, Annotation(alignment, ())),)))
        return found

    return translate


@pytest.mark.parametrize("keeps", [True, False])
def test_transfer_reinserts_protected_text_that_the_model_lost(keeps: bool) -> None:
    lines = ["a {x} b", "", "c", "{x} {x} d"]

    found = PROTECTING.translate(list(map(Request, lines)), in_reverse(keeps))

    assert [each.source for each in found] == lines
    expected = ["b {x} a", "", "c", "d {x} {x}"] if keeps else ["{x} b a", "", "c", "{x} {x} d"]
    assert [each.best.text for each in found] == expected


@pytest.mark.parametrize("is_lost_first", [True, False])
def test_transfer_translates_again_only_lines_whose_best_lost_protected_text(is_lost_first: bool) -> None:
    asked = []

    def translate(requests: Sequence[Request]) -> list[Translation]:
        asked.append([request.text for request in requests])
        pairs = [sorted({each.text, each.text.replace("{x}", "")}, reverse=not is_lost_first) for each in requests]
        return [
            Translation(each.text, tuple(TranslatedText(text, -1.0, -1.0) for text in pair))
            for each, pair in zip(requests, pairs, strict=True)
        ]

    found = PROTECTING.translate([Request("a"), Request("{x} b")], translate)

    assert asked == ([["a", "{x} b"], ["", " b"]] if is_lost_first else [["a", "{x} b"]])
    assert all("{x}" in hypothesis.text for hypothesis in found[1].hypotheses)


def test_transfer_marks_malformed_markup() -> None:
    transfer = MarkupTransfer(TranslateOptions(markup=True))
    good, bad = transfer.translate([Request("<b>a</b> b"), Request("<b>a & b")], in_reverse(True))

    assert (good.best.text, good.is_malformed) == ("b <b>a</b>", False)
    assert (bad.best.text, bad.is_malformed) == ("b & <b>a", True)
    assert good.best.annotation is None


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("Hello {a}, you", "Hello, you"),
        ("Hello {a}{b} {c}!", "Hello!"),
        ("wait{a}here", "wait here"),
        ("a man ({a}) waits", "a man  waits"),
        ("{a}: they wait", " they wait"),
        ("{a}:they wait", ":they wait"),
        ("(<b>{a}</b>) waits", "() waits"),
    ],
)
def test_mask_spans_leaves_readable_text(line: str, left: str) -> None:
    masked = mask_markup(line)
    assert masked is not None

    assert mask_spans(masked, FIND).text == left


@pytest.mark.parametrize(
    "line",
    [
        "A <b>B</b>{y} C",
        "A <b>B</b><i>{y}</i> C",
        "A <b>{x}</b> {y} C",
        "A <b>{x}</b> C",
        "A <b>{x}{y}</b>, C",
        "<b>{x}</b> A C",
        "A C <b>{x}</b>",
    ],
)
def test_reinsert_markup_keeps_spans_in_their_tags(line: str) -> None:
    masked = mask_markup(line)
    assert masked is not None
    output = TAG.sub("", PLACEHOLDER.sub("", line)).replace(" ,", ",").split()

    assert reinsert_markup(mask_spans(masked, FIND), " ".join(output), [(0, 0), (1, 1)], escape_markup) == line


def test_mask_spans_keeps_the_order_of_adjacent_spans() -> None:
    masked = mask_markup("A <b>{x}</b> {y}, C")
    assert masked is not None

    starts = [placeholder.start for placeholder in mask_spans(masked, FIND).placeholders]

    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ('<img alt="a > b"/>c', [("single", '<img alt="a > b"/>'), ("text", "c")]),
        ("<a title='x<y' b>c</a>", [("start", "<a title='x<y' b>"), ("text", "c"), ("end", "</a>")]),
        ("<a title=don't>it's", [("start", "<a title=don't>"), ("text", "it's")]),
        ("a<!-- <b> -->b", [("text", "a"), ("single", "<!-- <b> -->"), ("text", "b")]),
        ("<![CDATA[<b>&amp;]]>x", [("cdata", "<![CDATA[<b>&amp;]]>"), ("text", "x")]),
        ("<?php echo '>'; ?>x", [("single", "<?php echo '>'; ?>"), ("text", "x")]),
        ("<!DOCTYPE html>x", [("single", "<!DOCTYPE html>"), ("text", "x")]),
        ("<br/><br /><a href=x/y>", [("single", "<br/>"), ("single", "<br />"), ("start", "<a href=x/y>")]),
        ("1 < 2 <3 <- a <", [("text", "1 < 2 <3 <- a <")]),
        ("<!-- no end <b>", [("text", "<!-- no end "), ("start", "<b>")]),
    ],
)
def test_markup_tokens_are_told_apart(line: str, tokens: list[tuple[str, str]]) -> None:
    assert [(each.kind, line[each.start : each.end]) for each in markup_tokens(line)] == tokens


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*"<>/!?-=\"'ab ", "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "<b>"])).map("".join))
def test_markup_tokens_cover_any_line(line: str) -> None:
    tokens = list(markup_tokens(line))
    assert "".join(line[each.start : each.end] for each in tokens) == line
    mask_markup(line)
    assert reinsert_markup(mask_tags(line), "", [], str).count("<b>") == sum(
        line[each.start : each.end].count("<b>") for each in tokens if each.kind != "text"
    )


ADVERSARIAL = [
    "<!--",
    "<![CDATA[",
    "<?",
    "<",
    "<a ",
    '<a b="',
    "<a b='\"",
    '<a b="<a c=\'" ',
    "<b>",
    "</b>",
    "&",
    "&#1",
    "<br/>x ",
]


@pytest.mark.parametrize("part", ADVERSARIAL)
def test_time_for_markup_is_linear(part: str) -> None:
    def seconds(size: int) -> float:
        line = part * (size // len(part))
        started = time.process_time()
        mask_markup(line)
        masked = mask_tags(line)
        assert reinsert_markup(masked, masked.text, [], str)
        return time.process_time() - started

    shorter, longer = (min(seconds(size) for _ in range(3)) for size in (10_000, 40_000))
    assert longer < 12 * max(shorter, 0.01)


def test_section_of_character_data_is_text() -> None:
    masked = mask_markup("a <![CDATA[1 < 2 &amp; 3]]> <b>c</b>")
    assert masked is not None
    assert masked.text == "a 1 < 2 &amp; 3 c"
    assert reinsert_markup(masked, "a <", [], escape_markup).startswith("a &lt;")


@pytest.mark.parametrize("line", ["<b>" * 1200 + "x" + "</b>" * 1200, f"&#{'9' * 5000}; <b>x</b>"])
def test_line_that_cannot_be_nested_keeps_each_tag(line: str) -> None:
    transfer = MarkupTransfer(TranslateOptions(markup=True))
    bad, good = transfer.translate([Request(line), Request("<b>a</b>")], in_reverse(True))
    assert (bad.is_malformed, good.is_malformed, good.best.text) == (True, False, "<b>a</b>")
    assert sorted(TAG.findall(bad.best.text)) == sorted(TAG.findall(line))


def test_nesting_of_real_depth_is_kept() -> None:
    line = "<b>" * 90 + "x" + "</b>" * 90
    masked = mask_markup(line)
    assert masked is not None
    assert reinsert_markup(masked, "y", [(0, 0)], escape_markup) == line.replace("x", "y")


@pytest.mark.parametrize(
    ("patterns", "spans"),
    [
        (("(?P<x>a)", "(?P<x>b)"), ["a", "b", "a"]),
        (("(?i)A", "B"), ["a", "a"]),
        ((r"(a)x\1", r"(b)x\1", r"(b)\1"), []),
        ((r"\d+", r"\d+ kg", "kg"), ["10 kg", "7"]),
        ((r"(?i)KG\b", r"x*", r"\w(?= )"), ["b", "a", "0", "kg"]),
    ],
)
def test_each_protected_pattern_is_searched_for_on_its_own(patterns: Sequence[str], spans: list[str]) -> None:
    text = "ab a 10 kg 7"
    find = find_protected(patterns)
    assert find is not None
    assert [text[start:end] for start, end in find(text)] == spans


@pytest.mark.parametrize(
    "pattern",
    ["(", "a{99999999999}", "(((a{1000}){1000}){1000}){1000}", "(" * 5000 + ")" * 5000, "*", "[b-a]", "(?<=a*)(b"],
)
def test_invalid_or_too_large_pattern_is_a_recipe_error(pattern: str) -> None:
    with pytest.raises(RecipeError, match=r"^--protect "):
        MarkupTransfer(TranslateOptions(protect=("a", pattern)))


def test_common_patterns_are_not_too_large() -> None:
    group = "[0-9a-fA-F]{1,4}"
    long = "|".join(f"({group}:){{1,{count}}}(:{group}){{1,{8 - count}}}" for count in range(1, 8))
    MarkupTransfer(TranslateOptions(protect=(long, r"\{\d{1,3}\}", "[-a-z0-9@:%._+~#=]{1,256}\\.[a-z]{1,63}")))


def test_search_for_a_protected_pattern_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt_cli.decoding.markup.transfer._MAX_SECONDS", 0.05)
    find = find_protected(["(?:a|aa)+(?:a|aa)+c"])
    assert find is not None
    with pytest.raises(RecipeError, match=r"^--protect "):
        find("a" * 3000)
