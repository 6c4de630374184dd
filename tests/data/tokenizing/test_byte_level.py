"""Byte-level BPE gives the pieces of GPT-2, and gives any text back."""

import json
import random
import time
from pathlib import Path

import pytest

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.byte_level import ByteLevelSegmenter, piece_text, serialize_byte_level
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError, RecipeError

GPT2 = Path(__file__).parents[4] / "shared" / "artefacts" / "gpt2_tokenizer"

# Spelled with a printable character for each byte: Ġ is a space, Ã¼ an ü.
MERGES = [("h", "e"), ("l", "l"), ("he", "ll"), ("Ġ", "w"), ("Ã", "¼"), ("Ġ", "Ġ"), ("o", "r")]
ALPHABET = "hellowr  \t\n'stre0129.,!?éüß日本語한국\u00a0\u3000👩\u200d▁Ġ\x00\ufffd"


def segmenter(add_prefix_space: bool = False) -> ByteLevelSegmenter:
    return ByteLevelSegmenter(serialize_byte_level(MERGES, add_prefix_space))


def pieces(line: str, add_prefix_space: bool = False) -> list[str]:
    model = segmenter(add_prefix_space)
    return [model.pieces[i].text for i in model.encode([line])[0]]


def random_lines(count: int) -> list[str]:
    rng = random.Random(1)
    return ["".join(rng.choices(ALPHABET, k=rng.randint(0, 40))) for _ in range(count)]


def test_merges_are_applied_in_the_order_in_which_they_were_learned() -> None:
    assert pieces("hello world") == ["hell", "o", "▁w", "or", "l", "d"]
    assert pieces("helll") == ["hell", "l"]
    assert pieces("ünü") == ["ü", "n", "ü"]
    assert pieces("ö   w") == ["<0xC3>", "<0xB6>", "▁▁", "▁w"]
    assert pieces("hell", add_prefix_space=True) == ["▁", "hell"]


def test_any_text_comes_back() -> None:
    model = segmenter()
    lines = random_lines(500)
    assert model.decode(model.encode(lines)) == lines
    spaced = segmenter(add_prefix_space=True)
    assert spaced.decode(spaced.encode(["hello", ""])) == ["hello", ""]


def test_bytes_that_are_no_character_become_the_replacement_character() -> None:
    model = segmenter()
    (row,) = model.encode(["hü日"])
    assert model.decode([row[:-1], row[1:], [model.unk]]) == ["hü\ufffd", "ü日", "⁇"]


def test_names_of_pieces_are_distinct_text() -> None:
    names = [piece.text for piece in segmenter().pieces]
    assert len(set(names)) == len(names)
    assert piece_text("âĸģ") == "<0xE2><0x96><0x81>"  # the sign ▁ itself
    assert piece_text("Ġ") == "▁"
    assert piece_text("日") == "日"  # spelled with no byte, so a name


def test_long_runs_take_little_time() -> None:
    started = time.process_time()
    assert len(segmenter().encode(["l" * 50_000])[0]) == 25_000
    assert time.process_time() - started < 5


def test_saved_tokenizer_gives_the_same_ids(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_segmenter(segmenter())
    tokenizer = Tokenizer("none", vocabulary, vocabulary)
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    lines = [line.replace("▁", "_").replace("\x00", " ").replace("\n", " ") for line in random_lines(50)]
    assert loaded.fingerprint == tokenizer.fingerprint
    assert loaded.encode_source(lines) == tokenizer.encode_source(lines)
    assert loaded.decode_target(loaded.encode_target(lines)) == lines


def test_words_are_counted_by_spaces() -> None:
    vocabulary = Vocabulary.from_segmenter(segmenter())
    (row,) = vocabulary.encode(["hell   world"])
    assert [int(vocabulary.word_starts[token]) for token in row] == [0, 2, 1, 0, 0, 0]
    with pytest.raises(ModelError, match="does not mark each word"):
        _ = vocabulary.begins_word


@pytest.mark.parametrize("model", [b"", b"{}", b'{"add_prefix_space": false}\nab c\n', b"\xff"])
def test_damaged_model_is_refused(tmp_path: Path, model: bytes) -> None:
    vocabulary = Vocabulary.from_segmenter(segmenter())
    Tokenizer("none", vocabulary, vocabulary).save(tmp_path)
    (tmp_path / "joint.model").write_bytes(model)
    with pytest.raises(ModelError, match=r"joint\.model.*byte_level_bpe"):
        Tokenizer.load(tmp_path)


def test_what_is_not_supported_names_the_setting() -> None:
    with pytest.raises(RecipeError, match="subword_sampling"):
        segmenter().sampler(0.1)
    with pytest.raises(RecipeError, match=r"tokenizer\.extension"):
        segmenter().learn_pieces({}, 1)


@pytest.mark.skipif(not GPT2.is_dir(), reason=f"{GPT2}, the tokenizer of GPT-2, is missing")
def test_ids_are_those_of_gpt2() -> None:
    ids = json.loads((GPT2 / "encoder.json").read_bytes())
    lines = (GPT2 / "vocab.bpe").read_text("utf-8").split("\n")[1:-1]
    model = ByteLevelSegmenter(serialize_byte_level([line.split(" ") for line in lines], False))
    for text, expected in (
        ("Hello world", [15496, 995]),
        (" Grüße, Welt! 12345", [1902, 9116, 39683, 68, 11, 370, 2120, 0, 17031, 2231]),
        ("a\u00a0b\n", [64, 1849, 65, 198]),
    ):
        (row,) = model.encode([text])
        assert [ids[model.spelled[i]] for i in row] == expected
    assert model.decode(model.encode(random_lines(200))) == random_lines(200)
