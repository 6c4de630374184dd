"""GPT-2 and models like Llama give the logits and the perplexity that they have in transformers."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_models import LINES, sentencepiece, write_json
from safetensors.torch import load_file, save_file
from test_huggingface import read_tiny

from nmt_cli.commands.import_model import import_model
from nmt_cli.commands.language_models import create_document_scorer, create_text_generator
from nmt_cli.commands.loading import load_language_model
from nmt_cli.data.context import decode_document, encode_documents
from nmt_cli.errors import ModelError
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs

ARTEFACTS = Path(__file__).parents[3] / "shared" / "artefacts"
TINY = ARTEFACTS / "hf_tiny" / "gpt2"
has_tiny = pytest.mark.skipif(not TINY.is_dir(), reason=f"{TINY}, a model with the outputs of transformers, is missing")
has_gpt2_tokenizer = pytest.mark.skipif(
    not (ARTEFACTS / "gpt2_tokenizer").is_dir(), reason="the tokenizer of GPT-2 is missing"
)


@torch.inference_mode()
def logits(model: Model, ids: torch.Tensor) -> torch.Tensor:
    return model.logits(model.decode(model.encode(ModelInputs(len(ids))), DecoderInput(ids))).view(*ids.shape, -1)


@has_tiny
def test_gpt2_logits_equal_the_stored_ones() -> None:
    golden = load_file(TINY / "golden.safetensors")
    found = logits(read_tiny(TINY), golden["input_ids"].long())
    is_real = golden["attention_mask"].bool()
    assert (found - golden["logits"])[is_real].abs().max() < 2e-5


@has_tiny
def test_names_without_prefix_and_stored_masks_are_accepted(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
    tensors = {name.removeprefix("transformer."): each for name, each in load_file(TINY / "model.safetensors").items()}
    masks = {f"h.{layer}.attn.bias": torch.ones(1, 1, 64, 64).tril() for layer in range(2)}
    save_file(tensors | masks, tmp_path / "model.safetensors")
    golden = load_file(TINY / "golden.safetensors")
    assert (logits(read_tiny(tmp_path), golden["input_ids"][:1].long()) - golden["logits"][:1]).abs().max() < 2e-5


@has_tiny
@pytest.mark.parametrize(("key", "value"), [("scale_attn_by_inverse_layer_idx", True), ("activation_function", "tanh")])
def test_settings_that_are_not_supported_are_named(tmp_path: Path, key: str, value: object) -> None:
    shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
    config = json.loads((TINY / "config.json").read_bytes())
    write_json(tmp_path / "config.json", config | {key: value})
    with pytest.raises(ModelError, match=key):
        read_tiny(tmp_path)


def test_llama_without_heads_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    save_transformers(tmp_path, "llama")
    config = json.loads((tmp_path / "config.json").read_bytes())
    write_json(tmp_path / "config.json", {**config, "num_attention_heads": 0, "head_dim": None})
    with pytest.raises(ModelError, match="heads"):
        import_model(tmp_path, tmp_path / "model")


def save_transformers(folder: Path, family: str, **changes: Any) -> Any:
    """Save a random model of transformers."""
    import transformers

    torch.manual_seed(1)
    sizes = {
        "vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": None, "initializer_range": 0.2,
    }  # fmt: skip
    config = transformers.AutoConfig.for_model(family, **sizes | changes)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {}),
        ("llama", {"rope_theta": 500_000.0, "tie_word_embeddings": True, "head_dim": 6, "attention_bias": True}),
        ("mistral", {"sliding_window": None, "rms_norm_eps": 1e-3}),
        ("qwen2", {}),
    ],
)
def test_llama_logits_equal_those_of_transformers(tmp_path: Path, family: str, changes: dict[str, Any]) -> None:
    theirs = save_transformers(tmp_path, family, **changes)
    ids = torch.randint(60, (2, 40))
    with torch.inference_mode():
        expected = theirs(ids).logits
    assert (logits(read_tiny(tmp_path), ids) - expected).abs().max() < 2e-5


@pytest.mark.slow
def test_imported_llama_scores_and_generates_like_transformers(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "tokenizer.model").write_bytes(sentencepiece(60, bos_id=1, eos_id=2, unk_id=0))
    theirs = save_transformers(tmp_path / "source", "llama")
    import_model(tmp_path / "source", tmp_path / "model", verify=True)
    assert (
        "verified with transformers" in json.loads((tmp_path / "model" / "manifest.json").read_bytes())["verification"]
    )
    loaded, texts = load_language_model(tmp_path / "model"), LINES[:3]
    found = create_document_scorer(loaded).score(texts, 64)
    for text, score in zip(texts, found, strict=True):
        ids = torch.tensor([[1, *encode_documents(loaded.tokenizer.target, [text])[0].tolist(), 2]])
        with torch.inference_mode():
            loss = theirs(ids, labels=ids).loss.item()
        assert math.exp(-score.log_probability / score.tokens) == pytest.approx(math.exp(loss), rel=1e-4)
    greedy = ["decoding={strategy: beam, beam_size: 1, max_length: 12}"]
    generator = create_text_generator(load_language_model(tmp_path / "model", greedy))
    (continued,) = generator.generate(texts[0])
    prompt = torch.tensor([[1, *encode_documents(loaded.tokenizer.target, [texts[0]])[0].tolist()]])
    options = {"max_new_tokens": 12, "do_sample": False, "suppress_tokens": [0, 1], "pad_token_id": 2}
    generated = theirs.generate(prompt, **options)[0].tolist()
    text = decode_document(loaded.tokenizer.target, [token for token in generated[1:] if token != 2])
    assert text.endswith(continued.text)


@has_gpt2_tokenizer
@has_tiny
def test_text_of_gpt2_is_split_as_by_itself(tmp_path: Path) -> None:
    folder = ARTEFACTS / "gpt2_tokenizer"
    shutil.copy(folder / "encoder.json", tmp_path / "vocab.json")
    shutil.copy(folder / "vocab.bpe", tmp_path / "merges.txt")
    from nmt_cli.interop.huggingface.tokenizers import load_tokenizer

    config = {"model_type": "gpt2", "vocab_size": 50257, "bos_token_id": 50256, "eos_token_id": 50256}
    tokenizer = load_tokenizer(tmp_path, config).tokenizer
    for text, expected in (
        ("Hello world", [15496, 995]),
        (" Grüße, Welt! 12345", [1902, 9116, 39683, 68, 11, 370, 2120, 0, 17031, 2231]),
        ("a\u00a0b\x1e", [64, 1849, 65, 198]),  # escaped line breaks
    ):
        ids, _ = encode_documents(tokenizer.target, [text])
        assert ids.tolist() == expected
        assert decode_document(tokenizer.target, expected) == text.replace("\x1e", "\n")
