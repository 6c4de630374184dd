"""Models of Hugging Face transformers are imported exactly, or refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_models import sentencepiece, write_json, write_marian
from safetensors.torch import load_file, save_file
from torch import Tensor

from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import create_translator
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.byte_level import ByteLevelSegmenter, serialize_byte_level
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.interop.foreign import ForeignModel, SafetensorsSource, check_tensors, converted
from nmt_cli.interop.huggingface import architecture
from nmt_cli.interop.huggingface.architecture import Config
from nmt_cli.interop.huggingface.generation import decoding_settings
from nmt_cli.interop.huggingface.tokenizers import load_tokenizer
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.reporting.inspection import describe_path

TINY = Path(__file__).parents[3] / "shared" / "artefacts" / "hf_tiny"
has_tiny = pytest.mark.skipif(not TINY.is_dir(), reason=f"{TINY}, models with the outputs of transformers, is missing")


def read_tiny(folder: Path, size: int = 60) -> Model:
    tensors = SafetensorsSource([folder / "model.safetensors"])
    found = architecture(Config(folder / "config.json"), tensors)
    model = build(found.settings, VocabularySpec(size, size)).eval()
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    foreign = ForeignModel("", found.settings, found.parameters, tensors, None, 1, found.redundant)  # type: ignore[arg-type]
    check_tensors(foreign, shapes)
    model.load_state_dict(dict(converted(foreign, shapes)))
    return model


@torch.inference_mode()
def logits(model: Model, golden: dict[str, Tensor]) -> Tensor:
    source = ModelInputs.from_ids(golden["input_ids"].long(), golden["attention_mask"].sum(1))
    output = model.decode(model.encode(source), DecoderInput(golden["decoder_input_ids"].long()))
    return model.logits(output).view(golden["logits"].shape)


@has_tiny
@pytest.mark.parametrize("family", ["bart", "m2m100", "marian", "mbart", "pegasus", "t5", "t5v11"])
def test_logits_equal_those_of_transformers(family: str) -> None:
    golden = load_file(TINY / family / "golden.safetensors")
    model = read_tiny(TINY / family)

    found = logits(model, golden)

    assert (found - golden["logits"]).abs().max() < 1e-5
    # Rounding has more effect in t5v11, whose scores of attention are large: 3.1e-5 in transformers, too.
    assert (logits(model.double(), golden) - found).abs().max() < 4e-5


def test_imported_model_translates_shows_its_source_and_keeps_its_licence(tmp_path: Path) -> None:
    tensors = write_marian(tmp_path / "source")

    import_model(tmp_path / "source", tmp_path / "model")

    loaded = load_model(tmp_path / "model")
    assert torch.equal(loaded.model.embeddings.target.weight, tensors["model.shared.weight"])
    assert (loaded.config.source_language, loaded.config.target_language) == ("en", "deu")
    assert (loaded.decoding.beam_size, loaded.decoding.max_length) == (3, 38)
    description = describe_path(tmp_path / "model")
    assert "cc-by-4.0" in description.facts["imported from"]
    assert (tmp_path / "model" / "source" / "README.md").is_file()
    options = TranslateOptions(target_language="fra", word_scores=True)
    found = [*create_translator(loaded, options).translate([Request("bal ｄems gir."), Request("")])]
    assert found[0].best.text
    assert found[1].best.text == ""


def test_marian_tokenizer_maps_pieces_of_two_sentencepiece_models_to_one_vocabulary(tmp_path: Path) -> None:
    write_marian(tmp_path / "source")
    ids = json.loads((tmp_path / "source" / "vocab.json").read_bytes())
    config = json.loads((tmp_path / "source" / "config.json").read_bytes())

    tokenizer = load_tokenizer(tmp_path / "source", config).tokenizer

    assert tokenizer.source.entries == tokenizer.target.entries == list(ids)
    (row,) = tokenizer.encode_source(["bal ｄems gir"])  # its own normalisation applies
    assert tokenizer.source.decode([row]) == ["bal dems gir"]
    assert [list(ids)[i] for i in row] == segmented(tmp_path / "source" / "source.spm", "bal dems gir")
    assert tokenizer.tag_id("2deu") == ids[">>deu<<"]
    # A word of the other side can be generated, too.
    assert tokenizer.decode_target([row]) == ["bal dems gir"]
    tokenizer.save(tmp_path / "saved")
    assert Tokenizer.load(tmp_path / "saved").fingerprint == tokenizer.fingerprint


def segmented(path: Path, line: str) -> list[str]:
    from sentencepiece import SentencePieceProcessor

    pieces: list[str] = SentencePieceProcessor(model_file=str(path)).encode(line, out_type=str)
    return pieces


def test_t5_tokenizer_keeps_sentinels_and_nameless_rows(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(sentencepiece(60, pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    config = {"model_type": "t5", "vocab_size": 170, "pad_token_id": 0, "eos_token_id": 1}

    tokenizer = load_tokenizer(tmp_path, config).tokenizer

    assert tokenizer.joint
    assert tokenizer.source.entries[60] == "<extra_id_99>"
    assert tokenizer.source.entries[159] == "<extra_id_0>"
    assert len(tokenizer.source) == 170
    assert set(range(60, 170)) <= tokenizer.target.without_piece
    assert tokenizer.special_tokens.decoder_start == 0
    assert tokenizer.decode_target(tokenizer.encode_target(["bal dems girton"])) == ["bal dems girton"]


def test_pegasus_tokenizer_shifts_ids(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(sentencepiece(60, pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    config = {"model_type": "pegasus", "vocab_size": 163, "pad_token_id": 0, "eos_token_id": 1}

    tokenizer = load_tokenizer(tmp_path, config).tokenizer

    assert tokenizer.special_tokens.unk == 105
    (row,) = tokenizer.encode_source(["bal dems girton"])
    assert min(row) > 105
    assert tokenizer.decode_target([row]) == ["bal dems girton"]


def change(folder: Path, name: str, **changes: Any) -> None:
    write_json(folder / name, json.loads((folder / name).read_bytes()) | changes)


def test_unused_missing_or_misshapen_tensors_are_refused(tmp_path: Path) -> None:
    tensors = write_marian(tmp_path / "source")
    file = tmp_path / "source" / "model.safetensors"
    odd = tensors["final_logits_bias"].clone()
    for changed, name in (
        (tensors | {"model.decoder.gate.weight": odd}, "model.decoder.gate.weight"),
        ({key: value for key, value in tensors.items() if ".fc1" not in key}, "fc1"),
        (tensors | {"model.encoder.layers.0.fc1.bias": odd}, "fc1.bias"),
        (tensors | {"lm_head.weight": tensors["model.shared.weight"] + 1}, "lm_head.weight"),
        (tensors | {"model.encoder.embed_positions.weight": torch.randn(64, 16)}, "embed_positions"),
        (tensors | {"model.encoder.layers.0.fc2.bias": torch.full((16,), torch.nan)}, "fc2.bias"),
        (tensors | {"model.shared.weight": tensors["model.shared.weight"].to(torch.int8)}, "int8"),
    ):
        save_file(changed, file)
        with pytest.raises(ModelError, match=name):
            import_model(tmp_path / "source", tmp_path / "model")
        assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "led"},
        {"activation_function": "mish"},
        {"decoder_ffn_dim": 32},
        {"d_model": "16"},
        {"d_model": -4},
        {"vocab_size": 10**12},
        {"eos_token_id": -1},
        {"encoder_layers": 10**9},
        {"is_encoder_decoder": False},
        {"length_penalty": "x"},
    ],
)
def test_unsupported_or_hostile_configuration_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_marian(tmp_path / "source")
    change(tmp_path / "source", "config.json", **changes)
    with pytest.raises(ModelError):
        import_model(tmp_path / "source", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("name", "value"), [("suppress_tokens", 5), ("bad_words_ids", 5), ("bad_words_ids", [[[1]]])])
def test_damaged_generation_settings_are_reported(tmp_path: Path, name: str, value: object) -> None:
    _, [ignored] = decoding_settings(tmp_path, {name: value}, 0, {1})
    assert name in ignored


def test_pickle_is_read_in_a_child_process_and_gives_the_same_model(tmp_path: Path) -> None:
    tensors = write_marian(tmp_path / "source")
    import_model(tmp_path / "source", tmp_path / "safe")
    (tmp_path / "source" / "model.safetensors").unlink()
    torch.save(tensors, tmp_path / "source" / "pytorch_model.bin")

    import_model(tmp_path / "source", tmp_path / "pickled")

    safe, pickled = (tmp_path / name / "model.safetensors" for name in ("safe", "pickled"))
    assert safe.read_bytes() == pickled.read_bytes()


class Executed:
    """An object whose unpickling would create a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def test_pickle_with_code_is_refused_and_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_marian(tmp_path / "source")
    (tmp_path / "source" / "model.safetensors").unlink()
    torch.save({"a": Executed()}, tmp_path / "source" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
        import_model(tmp_path / "source", tmp_path / "model")
    assert not (tmp_path / "executed").exists()


def test_other_folders_are_refused_and_kept(tmp_path: Path) -> None:
    write_marian(tmp_path / "source")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep")
    with pytest.raises(RecipeError, match="mine"):
        import_model(tmp_path / "source", tmp_path / "mine")
    with pytest.raises(ModelError, match="Hugging Face"):
        import_model(tmp_path / "mine", tmp_path / "model")
    assert [each.name for each in (tmp_path / "mine").iterdir()] == ["note.txt"]


def test_settings_of_the_import_change_the_model_and_its_decoding(tmp_path: Path) -> None:
    write_marian(tmp_path / "source")
    changes = ["model.positions.spacing=t2t", "decoding.beam_size=2"]
    import_model(tmp_path / "source", tmp_path / "model", ("en", "fra"), changes)
    config = load_model(tmp_path / "model").config
    assert config.target_language == "fra"
    assert config.model.positions.spacing == "t2t"
    assert config.decoding.beam_size == 2


@has_tiny
def test_lines_of_t5_are_not_split_into_sentences(tmp_path: Path) -> None:
    shutil.copytree(TINY / "t5", tmp_path / "source")
    (tmp_path / "source" / "spiece.model").write_bytes(sentencepiece(60, pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    import_model(tmp_path / "source", tmp_path / "model")
    assert load_model(tmp_path / "model").decoding.split_sentences_above is None


def test_folder_of_hugging_face_is_not_taken_for_a_model(tmp_path: Path) -> None:
    write_marian(tmp_path / "source")
    with pytest.raises(ModelError, match="nmt import"):
        load_model(tmp_path / "source")


def test_vocabulary_of_marian_can_be_tied(tmp_path: Path) -> None:
    write_marian(tmp_path / "source")
    config = json.loads((tmp_path / "source" / "config.json").read_bytes())
    tokenizer = load_tokenizer(tmp_path / "source", config).tokenizer
    assert not tokenizer.joint
    assert tokenizer.has_shared_ids


BYTES = ByteLevelSegmenter(serialize_byte_level([], False)).spelled[1:]
MERGES = [["b", "a"], ["ba", "l"], ["Ġ", "d"]]


def write_byte_level(folder: Path) -> dict[str, Any]:
    """Write vocab.json and merges.txt; return the configuration."""
    entries = ["<s>", "<pad>", "</s>", "<unk>", *reversed(BYTES), *("".join(pair) for pair in MERGES), "<mask>"]
    write_json(folder / "vocab.json", {entry: i for i, entry in enumerate(entries)})
    merges = "".join(" ".join(pair) + "\n" for pair in MERGES)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    return special | {"model_type": "bart", "vocab_size": len(entries)}


def test_bart_tokenizer_is_read_from_either_form(tmp_path: Path) -> None:
    config = write_byte_level(tmp_path)
    read = load_tokenizer(tmp_path, config)
    assert read.token_order["bos"]
    tokenizer, size = read.tokenizer, config["vocab_size"]
    (row,) = tokenizer.encode_source(["bal dü <mask>"])
    assert row[:2] == [size - 3, size - 2]
    assert tokenizer.decode_target([row]) == ["bal dü <mask>"]
    assert size - 1 in tokenizer.target.without_piece
    vocabulary = json.loads((tmp_path / "vocab.json").read_bytes())
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path, config)
    content = {
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [*MERGES[:2], "Ġ d"]},
        "added_tokens": [{"id": size - 1, "content": "<mask>", "special": True}],
        "post_processor": {"type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["</s>", 2]},
        "decoder": {"type": "ByteLevel"},
    }
    write_json(tmp_path / "tokenizer.json", content)
    assert load_tokenizer(tmp_path, config).tokenizer.fingerprint == tokenizer.fingerprint
    write_json(tmp_path / "tokenizer.json", content | {"normalizer": {"type": "NFC"}})
    with pytest.raises(ModelError, match="byte-level BPE"):
        load_tokenizer(tmp_path, config)


def test_merges_without_an_entry_are_refused(tmp_path: Path) -> None:
    config = write_byte_level(tmp_path)
    (tmp_path / "merges.txt").write_text("b a\nba d\n", encoding="utf-8")
    with pytest.raises(ModelError, match="'bad'"):
        load_tokenizer(tmp_path, config)
