"""Equal pairs have equal keys, nearly equal ones nearly so."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.filters import HeldOut, Rows
from nmt_cli.data.filters.duplicates import Duplicates, NearDuplicates, canonical
from nmt_cli.recipe.data.filters import DuplicatesFilter, NearDuplicatesFilter, Side

NONE = HeldOut.of()
signs = st.sampled_from("aAbBßÄäé ı\u0130.,!0½Ⅻ①ﬁ한語\u0301\u093f\u0915\u3099か")


def slowly(text: str) -> str:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = [
        sign
        for sign in folded
        if sign.isalpha() or (unicodedata.category(sign) in ("Mn", "Mc", "Me") and not "\u0300" <= sign <= "\u036f")
    ]
    return "".join(letters) or text


@given(st.text(signs) | st.text())
def test_the_canonical_form_is_what_it_says(text: str) -> None:
    assert canonical(text) == slowly(text)


@pytest.mark.parametrize(
    ("one", "other", "are_near"),
    [
        ("Hello, World 1!", "hello world", True),
        ("Café", "cafe\u0301", True),
        ("GRÖSSE", "größe", True),
        ("12", "13", False),
        ("12", "12", True),
        ("cat", "cats", False),
        ("कि", "का", False),
        ("か", "が", False),
    ],
)
def test_lines_that_differ_in_case_digits_and_punctuation_are_near(one: str, other: str, are_near: bool) -> None:
    near = NearDuplicates(NearDuplicatesFilter(by="source"), ("en", "de"), NONE)
    first, second = near.keys(Rows([one, other], ["x", "y"]))

    assert (first == second) == are_near


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "A", "1"]), st.sampled_from(["a", "b", "ab"])), max_size=12))
@pytest.mark.parametrize("by", ["pair", "source", "target"])
@pytest.mark.parametrize("kind", ["duplicates", "near_duplicates"])
def test_keys_are_equal_where_text_is(kind: str, by: Side, pairs: list[tuple[str, str]]) -> None:
    rows = Rows([source for source, _ in pairs], [target for _, target in pairs])
    if kind == "duplicates":
        keys, form = Duplicates(DuplicatesFilter(by=by), ("en", "de"), NONE).keys(rows), str
    else:
        keys, form = NearDuplicates(NearDuplicatesFilter(by=by), ("en", "de"), NONE).keys(rows), canonical
    said = {"pair": lambda pair: pair, "source": lambda pair: pair[:1], "target": lambda pair: pair[1:]}[by]
    texts = [tuple(map(form, said(pair))) for pair in pairs]

    assert [[one == other for other in keys] for one in keys] == [[one == other for other in texts] for one in texts]


def test_where_a_side_ends_matters() -> None:
    first, second = Rows(["a b", "a"], ["c", "b c"]).keys("pair")

    assert first != second


def test_reasons_name_the_side() -> None:
    assert Duplicates(DuplicatesFilter(), ("en", "de"), NONE).name == "duplicates"
    assert NearDuplicates(NearDuplicatesFilter(by="target"), ("en", "de"), NONE).name == "near_duplicates_target"
