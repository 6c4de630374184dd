"""Models exported to Hugging Face transformers compute and translate the same there, or are refused."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from exported_models import exported, run_example_here, translations
from foreign_models import write_json
from safetensors.torch import load_file
from test_ctranslate2 import LINES, ODD_LINES, decided, scored, transformer
from test_huggingface import TINY, has_tiny, read_tiny
from torch.testing import assert_close

from nmt_cli.commands.export import export as export_model
from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenters import CharacterSegmenter
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.errors import ModelError
from nmt_cli.interop.exporting import verification
from nmt_cli.interop.exporting.huggingface import HuggingFaceProgram, write
from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.interop.exporting.model_card import write_model_card
from nmt_cli.interop.exporting.verification import run_example
from nmt_cli.interop.huggingface.generation import decoding_settings
from nmt_cli.interop.huggingface.tokenizers import load_tokenizer
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.model import RnnSettings
from nmt_cli.text.normalization import NORMALIZATIONS
from nmt_cli.text.special_tokens import SpecialTokens

BART: Mapping[str, Any] = {
    "norm": {"position": "post", "embeddings": True},
    "positions": {"type": "learned", "length": 40},
}
T5: Mapping[str, Any] = {
    "norm": {"type": "rms"},
    "positions": {"type": "relative", "buckets": 8, "max_distance": 12},
    "bias": False,
    "scale_embeddings": False,
    "scale_attention": False,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("pegasus", {}),
    "pre-input": ("pegasus", {"tied_embeddings": "input", "activation": "gelu"}),
    "pre-decoder": ("pegasus", {"tied_embeddings": "decoder", "positions": {"spacing": "t2t"}}),
    "pre-none": ("pegasus", {"tied_embeddings": "none", "scale_embeddings": False}),
    "post": ("marian", {"norm": {"position": "post"}, "activation": "silu", "output_bias": True}),
    "post-t2t": ("marian", {"norm": {"position": "post"}, "positions": {"spacing": "t2t", "offset": 1}}),
    "post-decoder": ("marian", {"norm": {"position": "post"}, "tied_embeddings": "decoder"}),
    "post-none": ("marian", {"norm": {"position": "post"}, "tied_embeddings": "none"}),
    "bart": ("bart", {**BART, "activation": "gelu_tanh"}),
    "bart-none": ("bart", {**BART, "tied_embeddings": "none"}),
    "mbart": ("mbart", {**BART, "norm": {"position": "pre", "embeddings": True}, "output_bias": True}),
    "t5": ("t5", {**T5, "head_width": 12}),
    "t5v11": ("t5", {**T5, "activation": "geglu_tanh", "tied_embeddings": "input", "output_bias": False}),
    "umt5": ("umt5", {**T5, "positions": {**T5["positions"], "each_layer": True}}),
}

TEXT = [*LINES[:20], "Größe é 10² (x) 'y' < 0x0A>", "日本語 ab"] * 4
MORE_ODD_LINES = ("<unk> </s> <pad> <0x0A> <2de>", "👩\u200d👧 ba", "ba\tdan\r\n gil", "„a“ – ‘b’ ( d ) 5 % ``", "„ “")
ALGORITHMS: list[dict[str, Any]] = [
    {"vocabulary_size": 360},
    {"vocabulary_size": 90, "byte_fallback": False},
    {"vocabulary_size": 360, "algorithm": "bpe"},
    {"vocabulary_size": 90, "algorithm": "bpe", "byte_fallback": False},
    {"algorithm": "character", "vocabulary_size": 400},
    {"algorithm": "byte"},
    {"vocabulary_size": 370, "symbols": ["<x>", "<xy>"]},
]


def program(each: ExportedModel, folder: Path) -> HuggingFaceProgram:
    pytest.importorskip("transformers", reason="transformers is not installed")
    return HuggingFaceProgram(each, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "changes"), FAMILIES.values(), ids=FAMILIES.keys())
def test_export_scores_like_the_model(
    family: str, changes: dict[str, Any], tokenizer: Tokenizer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    each = exported(decided(transformer(**changes), tokenizer), tokenizer)

    write(each, tmp_path)

    assert json.loads((tmp_path / "config.json").read_bytes())["model_type"] == family
    there = program(each, tmp_path)
    assert "MISSING" not in capfd.readouterr().err
    assert there.encode_source(LINES) == tokenizer.encode_source(LINES)
    sources = tokenizer.encode_source(LINES[:4])
    targets = sources[::-1]
    expected = scored(each.model, sources, [tuple(row) for row in targets])
    for found, row in zip(there.score(sources, targets), expected, strict=True):
        assert found == pytest.approx(row, abs=1e-5 if "t5" in family else 1e-6)


@pytest.mark.parametrize(("family", "changes"), FAMILIES.values(), ids=FAMILIES.keys())
def test_exported_model_is_imported_with_equal_bits(
    family: str, changes: dict[str, Any], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    model = decided(transformer(**changes), tokenizer)
    write(exported(model, tokenizer), tmp_path)

    found, expected = dict(read_tiny(tmp_path, 80).named_parameters()), dict(model.named_parameters())

    if family in ("t5", "umt5") and changes.get("tied_embeddings") != "input":  # T5 scales before its output layer
        assert_close(found.pop("decoder_norm.weight"), expected.pop("decoder_norm.weight"), rtol=1e-6, atol=0)
    if changes.get("tied_embeddings") == "decoder" and family != "marian":
        assert torch.equal(found.pop("output.projection.weight"), expected["embeddings.target.weight"])
        found.pop("output.projection.bias", None)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


@has_tiny
@pytest.mark.parametrize("family", ["bart", "m2m100", "marian", "mbart", "pegasus", "t5", "t5v11"])
def test_imported_model_is_exported_and_imported_again_with_equal_bits(family: str, tmp_path: Path) -> None:
    model = read_tiny(TINY / family)
    special = SpecialTokens(pad=1, unk=3, bos=0, eos=2, decoder_start=2)
    entries = ["<s>", "<pad>", "</s>", "<unk>", *"▁abcd", *(f"<row_{i}>" for i in range(9, 60))]
    vocabulary = Vocabulary(characters(), entries, special)
    each = exported(model, Tokenizer("none", vocabulary, vocabulary))

    write(each, tmp_path)

    expected_family = {"m2m100": "m2m_100", "t5v11": "t5"}.get(family, family)
    assert json.loads((tmp_path / "config.json").read_bytes())["model_type"] == expected_family
    found, expected = dict(read_tiny(tmp_path, 60).named_parameters()), dict(model.named_parameters())
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_lengths_of_generation_are_imported_again(tokenizer: Tokenizer, tmp_path: Path) -> None:
    each = exported(decided(transformer(), tokenizer), tokenizer, target_prefix=(tokenizer.special_tokens.unk,))
    decoding = each.decoding.model_copy(update={"min_length": 3})

    write(replace(each, decoding=decoding), tmp_path)

    config = json.loads((tmp_path / "generation_config.json").read_bytes())
    assert config["min_length"] == 1 + 1 + 3  # decoder_start and the token of the language count
    found, _ = decoding_settings(tmp_path, {}, num_prompt_tokens=2)
    assert (found["min_length"], found["max_length"]) == (3, decoding.max_length)


def characters() -> CharacterSegmenter:
    settings = TokenizerSettings.model_validate({"algorithm": "character", "byte_fallback": False})
    return CharacterSegmenter.train(settings, 3, ["a cd b"], 1)


@pytest.mark.parametrize("normalization", list(NORMALIZATIONS))
@pytest.mark.parametrize("changes", ALGORITHMS, ids=str)
def test_exported_tokenizer_splits_and_joins_any_text_alike(
    changes: dict[str, Any], normalization: str, tmp_path: Path
) -> None:
    library = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    settings = TokenizerSettings.model_validate({"normalization": normalization, **changes})
    tokenizer = Tokenizer.train(settings, TEXT, TEXT, 1, ["2de"])
    write(exported(decided(transformer(), tokenizer), tokenizer), tmp_path)

    there = library.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    there.encode_special_tokens = True

    special = tokenizer.special_tokens
    for line in (*TEXT, *ODD_LINES, *MORE_ODD_LINES):
        [expected] = tokenizer.encode_source([line])
        found = there.encode(line).ids
        assert found == [tokenizer.tag_id("2de"), *expected, special.eos], line
        if special.unk not in expected:
            assert there.decode(found, skip_special_tokens=True) == tokenizer.decode_target([expected])[0]


@pytest.mark.parametrize("changes", [*ALGORITHMS, {"joint": False, "vocabulary_size": 300}], ids=str)
def test_exported_folder_is_imported_and_exported_again_with_equal_bits(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    normalization = [*NORMALIZATIONS][len(str(changes)) % len(NORMALIZATIONS)]
    settings = TokenizerSettings.model_validate({"normalization": normalization, **changes})
    tokenizer = Tokenizer.train(settings, TEXT, [*TEXT, "dan"], 1, ["2de", "2fr", "news"])
    model = decided(transformer(tied_embeddings="all" if settings.joint else "none", **POST), tokenizer)
    write(exported(model, tokenizer), tmp_path / "first")

    import_model(tmp_path / "first", tmp_path / "model")

    loaded = load_model(tmp_path / "model")
    assert_same_tokens(loaded.tokenizer, tokenizer)
    assert loaded.config.target_language == "de"
    again = exported(loaded.model, loaded.tokenizer)
    write(again, tmp_path / "second")
    for file in (tmp_path / "first").rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "second" / file.relative_to(tmp_path / "first")).read_bytes(), file


INCOMPLETE = {
    "type": "BPE",
    "unk_token": "<unk>\r",
    "vocab": {"a": 4, "b": 5, "ab": 6, "ba": 7, "aba": 8},
    "merges": ["a b", "b a", "ab a"],
}
"""SentencePiece would also join a and ba."""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": {"type": "NFC"}}, "rules of SentencePiece"),
        ({"pre_tokenizer": {"type": "Whitespace"}, "normalizer": None}, "rules of SentencePiece"),
        ({"model": {"type": "WordPiece"}}, "WordPiece"),
        ({"model": INCOMPLETE}, "merges"),
        ({"post_processor": {"type": "BertProcessing"}}, "BertProcessing"),
        ({"added_tokens": [{"id": 9, "content": "x", "special": False}]}, "'x'"),
        ({"added_tokens": 3}, "damaged"),
        ({"post_processor": {"type": "RobertaProcessing", "cls": ["x", 999], "sep": ["y", 3]}}, "999"),
        ({"model": {"type": "Unigram", "unk_id": 1, "vocab": [["a", 1e308], ["<unk>", 0]]}}, "damaged|pieces"),
        ({"model": {**INCOMPLETE, "merges": [["a" * 2000, "b"]]}}, "1024 characters"),
        ({"model": {"type": "Unigram", "unk_id": 1, "vocab": [["<unk>", 0, 0]]}}, "damaged"),
    ],
)  # fmt: skip
def test_other_tokenizers_are_refused(
    changes: dict[str, Any], message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    write(exported(decided(transformer(), tokenizer), tokenizer), tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_bytes())
    write_json(tmp_path / "tokenizer.json", content | changes)
    with pytest.raises(ModelError, match=message):
        load_tokenizer(tmp_path, json.loads((tmp_path / "config.json").read_bytes()))


POST: Mapping[str, Any] = {"norm": {"position": "post"}}


def assert_same_tokens(found: Tokenizer, expected: Tokenizer) -> None:
    assert found.special_tokens == expected.special_tokens
    assert found.source.tags == expected.source.tags
    assert found.joint == expected.joint
    assert found.normalization == expected.normalization
    lines = [*TEXT, *ODD_LINES, *MORE_ODD_LINES]
    for ours, theirs in ((expected.encode_source, found.encode_source), (expected.encode_target, found.encode_target)):
        assert ours(lines) == theirs(lines)
    unk = expected.special_tokens.unk
    text = [i for i, entry in enumerate(expected.target.entries) if not entry.startswith("<")]
    rows = [row for row in (*([i] for i in text), *expected.encode_target(lines)) if unk not in row]
    assert found.decode_target(rows) == expected.decode_target(rows)


@pytest.mark.slow
@pytest.mark.parametrize("joint", [True, False])
def test_example_of_the_model_card_translates_odd_lines_alike(joint: bool, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    settings = TokenizerSettings(vocabulary_size=90, joint=joint, byte_fallback=False)
    tokenizer = Tokenizer.train(settings, TEXT, [*TEXT, "dan ba gil"], 1, ["2de"])
    changes = {} if joint else {"tied_embeddings": "decoder", "norm": {"position": "post"}}
    each = exported(decided(transformer(**changes), tokenizer), tokenizer, beam_size=1)
    lines = ["", *TEXT[:3], *ODD_LINES, *MORE_ODD_LINES, " ".join(LINES[:3]), "\t \u200b"]

    usage = write(each, tmp_path)
    write_model_card(each, "huggingface", "Hugging Face transformers", usage, "unverified", tmp_path)

    run = run_example if joint else run_example_here
    assert run(tmp_path, lines) == translations(each, lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": {"type": "rms"}}, r"pegasus, differs in model\.norm\.type: rms, not layer"),
        ({"positions": {"type": "rotary"}}, r"model\.positions\.type: rotary, not sinusoidal"),
        ({"activation": "swiglu"}, "activation_function: swiglu is not supported"),
        ({"bias": False}, r"model\.bias: False, not True"),
        ({"key_value_heads": 2}, r"model\.key_value_heads: 2, not 4"),
        ({"norm": {"epsilon": 1e-3}}, r"model\.norm\.epsilon: 0\.001, not 1e-05"),
        ({"head_width": 12}, r"model\.head_width: 12, not 8"),
        ({**T5, "tied_embeddings": "none", "output_bias": False}, r"model\.tied_embeddings: none, not all or input"),
    ],
)
def test_export_of_a_model_without_a_class_raises(
    changes: dict[str, Any], message: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        write(exported(decided(transformer(**changes), tokenizer), tokenizer), tmp_path)


def test_export_of_what_transformers_cannot_hold_raises(tokenizer: Tokenizer, tmp_path: Path) -> None:
    rnn = RnnSettings.model_validate({"architecture": "rnn", "preset": "tiny"})
    with pytest.raises(ModelError, match=r"^model\.architecture"):
        write(exported(build(rnn, VocabularySpec(80, 80)), tokenizer), tmp_path)

    model = decided(transformer(), tokenizer)
    model.decoder[0].gate = torch.nn.Linear(2, 2)
    with pytest.raises(ModelError, match=r"decoder\.0\.gate\.weight"):
        write(exported(model, tokenizer), tmp_path)

    words = Tokenizer.train(TokenizerSettings(algorithm="word", vocabulary_size=300), LINES, LINES, 1)
    with pytest.raises(ModelError, match=r"^tokenizer\.algorithm: word"):
        write(exported(decided(transformer(), words), words), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bart", "t5-1.1", "mbart-25", "nllb-legacy"])
def test_imported_model_is_exported_with_its_tokenizer_and_languages(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "run_example", run_example_here)
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from test_transformers import FAMILIES as FOREIGN

    config = FOREIGN[name].write(tmp_path)
    write_json(tmp_path / "tokenizer_config.json", FOREIGN[name].tokenizer)
    family = FOREIGN[name].model
    torch.manual_seed(1)
    theirs = getattr(transformers, f"{family}ForConditionalGeneration")(
        getattr(transformers, f"{family}Config")(**config)
    )
    theirs.generation_config.update(max_length=12, forced_bos_token_id=config.get("forced_bos_token_id"))
    theirs.save_pretrained(tmp_path)
    import_model(tmp_path, tmp_path / "imported")

    result = export_model(tmp_path / "imported", "huggingface", tmp_path / "exported")

    assert result.endswith(", 200 of 200 translations are equal")
    assert "differ by at most 0.0e+00" in result or name == "t5-1.1"
    import_model(tmp_path / "exported", tmp_path / "again")
    found, expected = load_model(tmp_path / "again"), load_model(tmp_path / "imported")
    assert_same_tokens(found.tokenizer, expected.tokenizer)
    changed = {"longest_sentence": expected.config.longest_sentence, "model": expected.config.model}
    assert found.config.model_copy(update=changed) == expected.config
    weights = [load_file(tmp_path / folder / "model.safetensors") for folder in ("again", "imported")]
    assert_close(weights[0], weights[1], rtol=0, atol=0)
