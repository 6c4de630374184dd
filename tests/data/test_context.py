"""Lines get the lines before them in their document as context."""

from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.context import DocumentContext, sliding_window
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import Context, TokenizerSettings

LINES = ["one two", "two three", "three one", "four"]


@given(st.lists(st.integers(0, 3)), st.integers(1, 4))
def test_sliding_window_returns_nearest_items_of_document(items: list[int], count: int) -> None:
    found = list(sliding_window(iter(items), count, lambda item: item == 0))

    assert [item for item, _ in found] == items
    for place, (item, before) in enumerate(found):
        document = items[max((end + 1 for end in range(place) if items[end] == 0), default=0) : place]
        assert before == (tuple(document[-count:]) if item else ())


def test_document_context_decodes_what_it_joined() -> None:
    settings = TokenizerSettings.model_validate({"algorithm": "word", "joint": False, "byte_fallback": False})
    others = [*LINES[:2], "five"]  # so that the tag has another number on each side
    words = Tokenizer.train(settings, LINES * 9, others * 9, 1, ["sep"])
    joining = DocumentContext(words, Context(sentences=2), 99)
    (rows,) = joining.fit([("one two", "four")], [1])

    assert rows == words.encode_source(["one two", "four"])
    assert joining.source_prefix(rows) == (*rows[0], words.source.tag_id("sep"), *rows[1], words.source.tag_id("sep"))
    first, last = words.encode_target(others[:2])
    assert joining.target_prefix([first]) == (*first, words.target.tag_id("sep"))
    assert joining.decode([[*joining.target_prefix([first]), *last], last, [*joining.target_prefix([first])]]) == [
        "two three",
        "two three",
        "",
    ]
    alone = DocumentContext(words, Context(sentences=2, target=False), 99)
    assert (alone.target_prefix([first]), alone.separators, DocumentContext(words, None, 9).size) == ((), set(), 0)
