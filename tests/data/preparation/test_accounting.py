"""Every record is kept or dropped for one reason, whatever the files contain."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some
from oracle import account_of, assert_agrees
from preparing import MakeRecipe, changed, prepared

from nmt_cli.data.preparation import shards
from nmt_cli.data.preparation.encoding import drop_reasons
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.signatures import HEAD_BYTES, recognise

SEPARATORS = ["\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
PLACEMENTS = ["{0}{1} {2}", "{1}{0}{2}", "{1} {2}{0}"]
PAIRS = 50
"""In each example, so that 60 of these are 3,000 cases."""

line = some.text("ab7é \t\ufeff\u2581\u200b\x00" + "".join(SEPARATORS), max_size=9).map(str.encode)
side = some.one_of(line, line, line, line, some.sampled_from([b"", b"\xff", b"a\xc3", b"a \xed\xa0\x80 b", b"a" * 9]))
corpora = some.lists(some.tuples(side, side), min_size=PAIRS, max_size=PAIRS)


@pytest.fixture(scope="module")
def byte_tokenizer() -> Tokenizer:
    """One that knows all text and is learned in no time."""
    return Tokenizer.train(TokenizerSettings(algorithm="byte"), ["a"], ["b"], seed=1)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of 21 records, in chunks of 7."""
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 7)
    monkeypatch.setattr(shards, "SHARD_RECORDS", 21)
    yield


@pytest.mark.parametrize("normalization", ["nfkc", "none"])
def test_only_line_feed_ends_a_line(make_recipe: MakeRecipe, small_shards: None, normalization: str) -> None:
    pairs = []
    for number, (separator, placement, is_source) in enumerate(product(SEPARATORS, PLACEMENTS, (True, False))):
        spoiled, plain = placement.format(separator, f"a{number}", "b"), f"c{number} d"
        pairs.append((spoiled, plain) if is_source else (plain, spoiled))
    recipe = make_recipe([source for source, _ in pairs], [target for _, target in pairs])
    words = TokenizerSettings(algorithm="byte", normalization=normalization)
    made = prepared(recipe.model_copy(update={"tokenizer": words}))
    numbers = [
        [int("".join(filter(str.isdigit, text))) for text in texts]
        for texts in (made.train[0].read_text()[0], made.train[0].read_text()[1])
    ]
    assert numbers == [list(range(len(pairs)))] * 2
    source, target = (recipe.data.train["corpus"].files[name].read_bytes() for name in ("source", "target"))
    assert_agrees(made, account_of(source, target, recipe, made.tokenizer))


def agrees(make_recipe: MakeRecipe, tokenizer: Tokenizer, pairs: list[tuple[bytes, bytes]]) -> None:
    source, target = (b"".join(line + b"\n" for line in lines) for lines in zip(*pairs, (b"a", b"b"), strict=True))
    recipe = changed(
        make_recipe(source, target, path="there"), on_error="skip", max_length=12, filters=[{"type": "duplicates"}]
    )
    expected = account_of(source, target, recipe, tokenizer)
    assert_agrees(prepared(recipe, tokenizer), expected)


@settings(max_examples=3, suppress_health_check=list(HealthCheck), derandomize=True)
@given(pairs=corpora)
def test_every_record_is_kept_or_dropped_for_a_reason(
    make_recipe: MakeRecipe, small_shards: None, byte_tokenizer: Tokenizer, pairs: list[tuple[bytes, bytes]]
) -> None:
    agrees(make_recipe, byte_tokenizer, pairs)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(pairs=corpora)
def test_every_record_of_thousands_is_kept_or_dropped_for_a_reason(
    make_recipe: MakeRecipe, small_shards: None, byte_tokenizer: Tokenizer, pairs: list[tuple[bytes, bytes]]
) -> None:
    # Random bytes may look like UTF-16, which is refused.
    assume(not any(recognise(b"\n".join(side)[:HEAD_BYTES]) for side in zip(*pairs, strict=True)))
    agrees(make_recipe, byte_tokenizer, pairs)


@pytest.mark.parametrize("spoiled", ["source", "target"])
def test_invalid_utf8_on_either_side_is_skipped_and_counted(
    make_recipe: MakeRecipe, byte_tokenizer: Tokenizer, spoiled: str, tmp_path: Path
) -> None:
    lines = [f"line {number}".encode() for number in range(10)]
    sides = {"source": list(lines), "target": list(lines)}
    for number in (2, 5, 9):
        sides[spoiled][number] += b"\xe9"
    recipe = changed(
        make_recipe(**{name: b"\n".join(some) for name, some in sides.items()}, path="there"), on_error="skip"
    )
    made = prepared(recipe, byte_tokenizer)
    entry = made.manifest["corpora"]["train/corpus"]
    assert entry["dropped"] == {"not_utf8": 3}
    assert [example["record"] for example in entry["examples"]["not_utf8"]] == [3, 6, 10]
    assert entry["examples"]["not_utf8"][0][spoiled] == "line 2\ufffd"
    assert made.train[0].read_text()[0] == [line.decode() for n, line in enumerate(lines) if n not in (2, 5, 9)]


def test_drop_reasons_are_in_the_order_of_the_checks(make_recipe: MakeRecipe) -> None:
    recipe = changed(make_recipe(), filters=[{"type": "duplicates"}, {"type": "length"}])
    of_reader = ["not_utf8", "blank", "no_record", "no_language", "no_segment", "factors"]
    assert list(drop_reasons(recipe.data)) == [*of_reader, "empty", "length", "too_long", "duplicates"]
