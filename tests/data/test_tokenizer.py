"""Text becomes ids and text again; nothing in it becomes a special token."""

import doctest
import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from nmt_cli.data import tokenizer as tokenizer_module
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing import sentencepiece_training
from nmt_cli.data.tokenizing.segmenters import BpeSegmenter
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS, SpecialTokens

Sentences = Callable[[int, int], list[str]]
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
SPECIAL_IDS = asdict(DEFAULT_SPECIAL_TOKENS)
SAVED = {
    "format": 3,
    "normalization": "nfkc",
    "special_tokens": SPECIAL_IDS,
    "sides": {"joint": {"segmenter": "unigram", "tags": {}}},
    "factors": {},
}
WRITTEN = ["<s> </s> <unk> <pad>", "a</s>b", "▁a ▁ ▁▁b", "<0x41> <0x0A>", "@@ ⁇ <2de>", "\\n \"'", "⁇"]


def trained(lines: list[str], other: list[str] | None = None, size: int = 330, **chosen: object) -> Tokenizer:
    recipe = TokenizerSettings.model_validate({"vocabulary_size": size, **chosen})
    return Tokenizer.train(recipe, lines, lines if other is None else other, seed=1)


@pytest.fixture(scope="module")
def tokenizer(sentences: Sentences) -> Tokenizer:
    return trained(sentences(0, 200))


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "character", "byte", "word"])
@pytest.mark.parametrize("normalization", ["nfkc", "none"])
def test_decode_returns_normalised_text(sentences: Sentences, algorithm: str, normalization: str) -> None:
    tokenizer = trained(sentences(0, 200), algorithm=algorithm, normalization=normalization)

    @settings(max_examples=60)
    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(WRITTEN)))
    def check(lines: list[str]) -> None:
        rows = tokenizer.encode_target(lines)
        assert tokenizer.decode_target(rows) == [tokenizer.normalize(line) for line in lines]
        assert all(4 <= token < tokenizer.target_size for row in rows for token in row)

    check()


def test_special_tokens_in_training_text_stay_text(sentences: Sentences) -> None:
    text = [f"{special} {special}{line}" for line in sentences(0, 100) for special in (*SPECIAL, "<0x41>")]
    for algorithm in ("unigram", "bpe"):
        tokenizer = trained(text, algorithm=algorithm, size=320)
        rows = tokenizer.encode_source(WRITTEN)
        assert min(token for row in rows for token in row) >= len(SPECIAL)
        assert tokenizer.decode_target(rows) == [tokenizer.normalize(line) for line in WRITTEN]


def test_learned_piece_that_looks_like_special_token_is_ordinary() -> None:
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["</s>", "x</s>x", "</s> x"] * 20),
        model_writer=model,
        model_type="bpe",
        vocab_size=12,
        split_by_unicode_script=False,
        bos_id=-1,
        eos_id=-1,
        minloglevel=3,
    )
    processor = SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(1, 12)]
    assert "</s>" in pieces
    vocabulary = Vocabulary(BpeSegmenter(model.getvalue()), [*SPECIAL, *pieces])
    rows = vocabulary.encode(["x</s>x"])
    assert len(SPECIAL) + pieces.index("</s>") in rows[0]
    assert DEFAULT_SPECIAL_TOKENS.eos not in rows[0]
    assert vocabulary.decode(rows) == ["x</s>x"]
    without = Vocabulary(BpeSegmenter(model.getvalue()), [*SPECIAL, *(piece for piece in pieces if piece != "</s>")])
    assert DEFAULT_SPECIAL_TOKENS.eos not in without.encode(["x</s>x"])[0]


def test_vocabulary_size_includes_special_tokens(sentences: Sentences) -> None:
    joint = trained(sentences(0, 200), size=310)
    assert joint.source is joint.target
    assert joint.source_size == joint.target_size == 310
    assert joint.source.entries[:4] == SPECIAL
    assert joint.special_tokens == SpecialTokens(pad=0, unk=1, bos=2, eos=3, decoder_start=2)

    apart = trained(sentences(0, 200), sentences(1, 200), size=310, joint=False)
    assert apart.source.entries != apart.target.entries
    assert apart.source_size == apart.target_size == 310


def test_unseen_character_without_byte_fallback_is_unk(sentences: Sentences) -> None:
    tokenizer = trained(sentences(0, 200), size=60, byte_fallback=False)
    rows = tokenizer.encode_target(["abc 日 abc"])
    assert tokenizer.special_tokens.unk in rows[0]
    assert tokenizer.decode_target(rows) == ["abc ⁇ abc"]


def test_decode_omits_special_tokens(tokenizer: Tokenizer) -> None:
    row = tokenizer.encode_target(["abc def"])[0]
    special = tokenizer.special_tokens
    framed = [special.bos, *row[:1], special.pad, *row[1:], special.eos, special.pad]
    assert tokenizer.decode_target([framed, []]) == ["abc def", ""]


def test_decode_bytes_of_line_break_gives_one_line(tokenizer: Tokenizer) -> None:
    pieces = tokenizer.target.entries
    spelt = [[pieces.index(f"<0x{byte:02X}>") for byte in text.encode()] for text in ("a\nb", "a\rb", "a\u2028b", "\0")]
    assert tokenizer.decode_target(spelt) == ["a b", "a b", "a b", " "]


def test_decode_any_ids_gives_one_line(tokenizer: Tokenizer) -> None:
    @settings(max_examples=60)
    @given(st.lists(st.lists(st.integers(0, tokenizer.target_size - 1))))
    def check(rows: list[list[int]]) -> None:
        texts = tokenizer.decode_target(rows)
        assert len(texts) == len(rows)
        assert all(len(f"{text}x".splitlines()) == 1 for text in texts)

    check()


@pytest.mark.parametrize("joint", [True, False])
def test_loaded_tokenizer_equals_saved_one(tmp_path: Path, sentences: Sentences, joint: bool) -> None:
    tokenizer = trained(sentences(0, 200), sentences(1, 200), joint=joint, normalization="none")
    tokenizer.save(tmp_path / "tokenizer")
    loaded = Tokenizer.load(tmp_path / "tokenizer")
    assert loaded.fingerprint == tokenizer.fingerprint
    assert loaded.joint == joint
    assert loaded.encode_source([" a  bc"]) == tokenizer.encode_source([" a  bc"])
    assert loaded.encode_target([" a  bc"]) == tokenizer.encode_target([" a  bc"])


def test_load_keeps_entries_of_any_characters(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(tmp_path)
    odd = [*tokenizer.source.entries, "a b", "\t", "\r", "\u2028", '"', "\\"]
    (tmp_path / "joint.vocabulary.json").write_text(json.dumps(odd))
    assert Tokenizer.load(tmp_path).source.entries == odd


def test_ids_are_indices_of_entries_not_ids_of_sentencepiece(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(tmp_path)
    pieces = tokenizer.source.entries
    (tmp_path / "joint.vocabulary.json").write_text(json.dumps(pieces[:4] + pieces[:3:-1]))
    turned = Tokenizer.load(tmp_path)
    expected = [[len(pieces) + 3 - token for token in row] for row in tokenizer.encode_source(["abc de"])]
    assert turned.encode_source(["abc de"]) == expected
    assert turned.decode_target(expected) == ["abc de"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer.json", '{"format": 1, "normalization": "nfc", "joint": true}'),
        ("tokenizer.json", "not json"),
        ("joint.vocabulary.json", "[1]"),
        ("tokenizer.json", json.dumps(SAVED | {"special_tokens": {"pad": 0}})),
        ("tokenizer.json", json.dumps(SAVED | {"special_tokens": SPECIAL_IDS | {"eos": 330}})),
        ("tokenizer.json", json.dumps(SAVED | {"sides": {"joint": {"segmenter": "x", "tags": {}}}})),
        ("joint.vocabulary.json", json.dumps([*SPECIAL, "a", "a"])),
        ("joint.model", ""),
        ("joint.model", "text"),
        ("joint.model", None),
        ("tokenizer.json", None),
    ],
)
def test_load_damaged_tokenizer_is_a_model_error(
    tmp_path: Path, tokenizer: Tokenizer, file: str, content: str | None
) -> None:
    tokenizer.save(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(ModelError, match=file):
        Tokenizer.load(tmp_path)


def test_load_truncated_segmenter_is_a_model_error(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(tmp_path)
    whole = (tmp_path / "joint.model").read_bytes()
    for tenth in range(10):
        (tmp_path / "joint.model").write_bytes(whole[: len(whole) * tenth // 10])
        with pytest.raises(ModelError, match=r"joint\.model"):
            Tokenizer.load(tmp_path)


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_too_large_vocabulary_error_names_largest_size(sentences: Sentences, algorithm: str) -> None:
    with pytest.raises(RecipeError, match=r"^tokenizer\.vocabulary_size: .*\blarge") as caught:
        trained(sentences(0, 50), size=8000, algorithm=algorithm)
    largest = int(re.findall(r"\d+", str(caught.value))[-1])
    assert trained(sentences(0, 50), size=largest, algorithm=algorithm).source_size == largest
    with pytest.raises(RecipeError):
        trained(sentences(0, 50), size=largest + 1, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_too_small_vocabulary_error_names_smallest_size(sentences: Sentences, algorithm: str) -> None:
    with pytest.raises(RecipeError, match=r"^tokenizer\.vocabulary_size: .*\bsmall") as caught:
        trained(sentences(0, 50), size=100, algorithm=algorithm)
    smallest = int(re.findall(r"\d+", str(caught.value))[-1])
    assert trained(sentences(0, 50), size=smallest, algorithm=algorithm).source_size == smallest


def test_train_is_deterministic(sentences: Sentences) -> None:
    assert trained(sentences(0, 100)).fingerprint == trained(sentences(0, 100)).fingerprint
    assert trained(sentences(0, 100)).fingerprint != trained(sentences(1, 100)).fingerprint


def test_train_samples_long_text_by_seed(sentences: Sentences, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentencepiece_training, "MAX_CHARACTERS", 2000)
    learned = TokenizerSettings(vocabulary_size=300)
    first, again, other = (Tokenizer.train(learned, sentences(0, 900), [], seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_train_uses_long_lines(sentences: Sentences) -> None:
    long = [" ".join(sentences(0, 400)), " ".join(sentences(1, 400))]
    assert min(map(len, long)) > 8000
    assert trained(long, size=310).source_size == 310


def test_train_is_robust_to_one_huge_line(sentences: Sentences) -> None:
    lines = sentences(0, 400)
    assert set("abcdefghij") <= set(trained([*lines, "日" * 1_000_000]).source.entries)


def test_train_prints_nothing(sentences: Sentences, capfd: pytest.CaptureFixture[str]) -> None:
    algorithms: tuple[Literal["unigram", "bpe"], ...] = ("unigram", "bpe")
    for algorithm in algorithms:
        trained(sentences(0, 100), algorithm=algorithm)
    assert capfd.readouterr() == ("", "")


def test_examples_in_docstrings_are_correct() -> None:
    assert doctest.testmod(tokenizer_module) == (0, 6)
