"""Phrases are spelled with the tokens that a model may generate for them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.constraints.spelling import Speller, continuation_mask, unused_bytes
from nmt_cli.recipe.data import TokenizerSettings

SENTENCES = [
    "das Haus ist gross und der Hund ist klein",
    "ein Hund und ein Haus sind am Rand der Stadt",
    "我爱北京。北京很大",
    "die Häuser und der Hundehaufen, die der Mann sah",
    "der Haufen Sand und die Hand des Mannes",
] * 20


def trained(**changes: object) -> Tokenizer:
    chosen = {"vocabulary_size": 306, "normalization": "nfkc", **changes}
    return Tokenizer.train(TokenizerSettings.model_validate(chosen), SENTENCES, SENTENCES, seed=1)


JOINT = trained()


@settings(max_examples=100)
@given(st.text(st.sampled_from("Hausdeirnt ü我北😀"), min_size=1))
def test_likely_spellings_decode_to_the_phrase(text: str) -> None:
    speller = Speller(JOINT)
    expected = JOINT.normalize(text)

    found = speller.likely_spellings(text)

    assert {decoded.strip() for decoded in JOINT.decode_target(list(map(list, found)))} <= {expected}
    assert bool(found) == bool(expected)
    assert len(found) == len(set(found))
    if found:
        assert speller.usual_spelling(text) in found


def test_words_have_several_spellings() -> None:
    found = Speller(JOINT).likely_spellings("Hundehaufen")

    assert 5 < len(found) <= 17
    assert found[0] == tuple(JOINT.encode_target(["Hundehaufen"])[0])


def test_phrases_begin_a_word_except_in_scripts_without_spaces() -> None:
    begins = JOINT.target.begins_word

    assert all(begins[phrase[0]] for phrase in Speller(JOINT).likely_spellings("Haus"))
    assert not begins[(Speller(JOINT).usual_spelling("北京") or ())[0]]
    assert {bool(begins[phrase[0]]) for phrase in Speller(JOINT).likely_spellings("北京")} == {True, False}


def test_text_outside_the_vocabulary_has_no_spelling() -> None:
    without_bytes = Speller(trained(vocabulary_size=50, byte_fallback=False))

    assert without_bytes.usual_spelling("Ω") is None and without_bytes.likely_spellings("ein Ω") == ()


def test_continuation_mask_marks_letters_but_not_punctuation() -> None:
    goes_on = dict(zip(JOINT.target.entries, continuation_mask(JOINT), strict=True))

    assert len(goes_on) == JOINT.target_size
    assert goes_on["a"] and goes_on["<0xC3>"] and goes_on["<0x41>"]
    assert not any(goes_on[piece] for piece in ("▁", "。", "我", "<0x2E>", "<pad>", "</s>"))
    assert not any(goes_on[piece] for piece in goes_on if piece.startswith("▁"))


def test_bytes_of_characters_with_a_piece_are_unused() -> None:
    symbols = trained(symbols=["#"])
    byte_of = {value: token for token, value in symbols.target.byte_values().items()}

    assert {byte_of[ord(character)] for character in "a #\n"} <= unused_bytes(symbols)
    assert byte_of[ord("%")] not in unused_bytes(symbols)


def opened(speller: Speller, prefix: str) -> set[str]:
    """How translations may begin, as text."""
    beginning = speller.encode_prefix(prefix)
    rows = [[*beginning.tokens, *phrase] for phrase in beginning.completions or ((),)]
    return set(JOINT.decode_target(rows))


def test_prefix_within_a_word_allows_its_completions() -> None:
    speller = Speller(JOINT)

    found = opened(speller, "ein Ha")

    assert all(text.startswith("ein Ha") for text in found)
    assert {"ein Ha", "ein Haufen"} < found


def test_prefix_with_trailing_space_starts_a_new_word() -> None:
    beginning = Speller(JOINT).encode_prefix("ein ")

    assert beginning.tokens == tuple(JOINT.encode_target(["ein"])[0])
    assert all(JOINT.target.begins_word[phrase[0]] for phrase in beginning.completions)


@pytest.mark.parametrize("prefix", ["ein Hund,", "我爱", "ein 😀Ω"])
def test_prefix_after_punctuation_keeps_its_usual_tokens(prefix: str) -> None:
    beginning = Speller(JOINT).encode_prefix(prefix)

    assert (beginning.tokens, beginning.completions) == (tuple(JOINT.encode_target([prefix])[0]), ())


@settings(max_examples=100)
@given(st.text(st.sampled_from("Hausdei ,我😀"), max_size=12))
def test_all_prefix_spellings_decode_to_the_prefix(prefix: str) -> None:
    for text in opened(Speller(JOINT), prefix):
        assert text.startswith(JOINT.normalize(prefix))


def test_with_prefix_keeps_the_exact_characters() -> None:
    speller = Speller(JOINT)

    assert speller.with_prefix("ein  Ha", "ein Haus ist") == "ein  Haus ist"
    assert speller.with_prefix("ein ", "ein Haus") == "ein Haus"
    assert speller.with_prefix("ein ", "ein  Haus") == "ein Haus"
    assert speller.with_prefix("ein… ", "ein... Haus") == "ein… Haus"
    assert speller.with_prefix("", "Haus") == "Haus"


@settings(max_examples=100)
@given(before=st.text(st.sampled_from("Hund ’-('北😀")), after=st.text(st.sampled_from(" ’-.)😀")))
def test_spelling_in_a_translation_is_that_of_the_word_and_the_sign_before_it(before: str, after: str) -> None:
    [tokens] = JOINT.encode_target([f"{before}Haus{after}"])
    [text] = JOINT.decode_target([tokens])
    start = text.index("Haus")
    phrase = Speller(JOINT).spelling_in(tuple(tokens), start, start + 4, JOINT.decode_target)
    [spelled] = JOINT.decode_target([list(phrase)])
    assert any(tuple(tokens[index : index + len(phrase)]) == phrase for index in range(len(tokens)))
    assert "Haus" in spelled
    if start and not text[start - 1].isalnum():
        assert not continuation_mask(JOINT)[phrase[0]] or len(phrase) == len(tokens)


def test_spelling_in_a_translation_is_not_taken_from_its_context() -> None:
    """The translation of the line before begins alike."""
    [line] = JOINT.encode_target(["der Hund"])
    separator = JOINT.target_size - 1

    def decode(rows: list[list[int]]) -> list[str]:
        after = [row[row.index(separator) + 1 :] if separator in row else row for row in rows]
        return JOINT.decode_target(after)

    phrase = Speller(JOINT).spelling_in((*line, separator, *line), 4, 8, decode)
    assert JOINT.decode_target([list(phrase)]) == ["Hund"]
