"""An imported SentencePiece model segments text as before."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from nmt_cli.data.tokenizer import Tokenizer, is_sentencepiece
from nmt_cli.errors import ModelError, RecipeError

Sentences = Callable[[int, int], list[str]]


def model(path: Path, lines: list[str], **chosen: object) -> SentencePieceProcessor:
    content = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=content, minloglevel=3, **{"vocab_size": 60} | chosen
    )
    path.write_bytes(content.getvalue())
    return SentencePieceProcessor(model_file=str(path))


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"model_type": "bpe", "byte_fallback": True, "vocab_size": 320},
        {"normalization_rule_name": "identity", "user_defined_symbols": ["<br>"], "pad_id": 3},
        {"unk_id": 3, "bos_id": 0, "eos_id": 1, "model_type": "char", "vocab_size": 14},
    ],
)
def test_import_keeps_order_of_pieces(tmp_path: Path, sentences: Sentences, chosen: dict[str, object]) -> None:
    known = model(tmp_path / "some.spm", sentences(0, 200), **chosen)
    tokenizer = Tokenizer.import_sentencepiece(tmp_path / "some.spm")
    size = range(known.get_piece_size())
    pieces = [known.id_to_piece(i) for i in size if not (known.is_control(i) or known.is_unknown(i))]
    assert tokenizer.joint
    assert tokenizer.source.entries[4:] == pieces
    lines = [*sentences(1, 50), "a<br>b 日本 a", "</s>", ""]
    for line, row in zip(lines, tokenizer.encode_source(lines), strict=True):
        assert [tokenizer.source.entries[i] for i in row] == [known.id_to_piece(i) for i in known.encode(line)]
    assert tokenizer.decode_target(tokenizer.encode_target(sentences(1, 50))) == sentences(1, 50)


def test_import_folder_with_one_model_per_side(tmp_path: Path, sentences: Sentences) -> None:
    model(tmp_path / "source.model", sentences(0, 200))
    model(tmp_path / "target.model", sentences(1, 200))
    assert is_sentencepiece(tmp_path)
    tokenizer = Tokenizer.import_sentencepiece(tmp_path)
    assert not tokenizer.joint
    assert tokenizer.source.entries != tokenizer.target.entries
    tokenizer.save(tmp_path)
    assert not is_sentencepiece(tmp_path)
    assert Tokenizer.load(tmp_path).fingerprint == tokenizer.fingerprint


def test_import_selects_normalization(tmp_path: Path, sentences: Sentences) -> None:
    for name, ours in {"nmt_nfkc": "nfkc", "nfkc": "nfkc", "identity": "none"}.items():
        model(tmp_path / "a.model", sentences(0, 200), normalization_rule_name=name)
        assert Tokenizer.import_sentencepiece(tmp_path / "a.model").normalization == ours


def test_import_keeps_spaces_and_marks_first_word(tmp_path: Path, sentences: Sentences) -> None:
    model(tmp_path / "a.model", sentences(0, 200), normalization_rule_name="identity", add_dummy_prefix=False)
    tokenizer = Tokenizer.import_sentencepiece(tmp_path / "a.model")
    (row,) = tokenizer.encode_source([" ab  cd"])
    assert tokenizer.source.begins_word[row].sum() == 4
    assert tokenizer.decode_target([row]) == [" ab  cd"]


def test_import_disables_pieces_across_words(tmp_path: Path, sentences: Sentences) -> None:
    known = model(tmp_path / "a.model", sentences(0, 200), vocab_size=120, split_by_whitespace=False)
    assert any("▁" in known.id_to_piece(i)[1:] for i in range(120))
    tokenizer = Tokenizer.import_sentencepiece(tmp_path / "a.model")
    for line, row in zip(sentences(0, 200), tokenizer.encode_source(sentences(0, 200)), strict=True):
        assert tokenizer.source.begins_word[row].sum() == len(line.split())
        assert tokenizer.decode_target([row]) == [line]


def test_import_decodes_unk(tmp_path: Path, sentences: Sentences) -> None:
    model(tmp_path / "a.model", sentences(0, 200))
    tokenizer = Tokenizer.import_sentencepiece(tmp_path / "a.model")
    assert tokenizer.decode_target(tokenizer.encode_target(["ab 日 cd"])) == ["ab ⁇ cd"]


def test_import_appends_tags(tmp_path: Path, sentences: Sentences) -> None:
    model(tmp_path / "a.model", sentences(0, 200))
    plain = Tokenizer.import_sentencepiece(tmp_path / "a.model")
    tagged = plain.with_tags(["2de", "bt"])
    assert tagged.joint
    assert tagged.source.entries == [*plain.source.entries, "<2de>", "<bt>"]
    assert tagged.tag_id("bt") == plain.source_size + 1
    assert tagged.encode_source(["<bt> ab"]) == plain.encode_source(["<bt> ab"])
    assert tagged.with_tags(["bt"]).fingerprint == tagged.fingerprint != plain.fingerprint


def test_sampler_rejects_model_that_changes_text(tmp_path: Path, sentences: Sentences) -> None:
    model(tmp_path / "a.model", sentences(0, 200), normalization_rule_name="nmt_nfkc_cf")
    vocabulary = Tokenizer.import_sentencepiece(tmp_path / "a.model").source
    assert vocabulary.encode(["ABC"]) == vocabulary.encode(["abc"])
    with pytest.raises(RecipeError, match="sampling"):
        vocabulary.segmenter.sampler(0.1)


@pytest.mark.parametrize("content", [b"", b"text", b"\x00" * 100])
def test_import_invalid_file_is_a_model_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.model").write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.model: .*SentencePiece"):
        Tokenizer.import_sentencepiece(tmp_path / "a.model")


def test_import_rejects_whitespace_suffix(tmp_path: Path, sentences: Sentences) -> None:
    model(tmp_path / "a.model", sentences(0, 200), treat_whitespace_as_suffix=True)
    with pytest.raises(ModelError, match=r"a\.model: .*words"):
        Tokenizer.import_sentencepiece(tmp_path / "a.model")
