"""Adapters that are damaged, or replace what they must not, are refused in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy_model import save_toy_model

from nmt_cli import files
from nmt_cli.commands.adapters import ExtendedVocabulary, base_identity, write_adapter
from nmt_cli.commands.loading import config_of_model, load_model
from nmt_cli.commands.model_config import InputSettings, named_model
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.recipe.optimization import Lora
from nmt_cli.runs.checkpoints import read_tensors

SETTINGS = Lora(rank=2, alpha=3.0, also_train=["*_norm.*"])
Change = Callable[[dict[str, Tensor], str], object]


@pytest.fixture
def tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Tensor], str]:
    """The tensors of an adapter of one layer of `base`, and the name of the layer."""
    monkeypatch.chdir(tmp_path)
    weights = read_tensors(save_toy_model(Path("base")) / "model.safetensors")
    name = next(name for name, weight in weights.items() if weight.dim() == 2 and name.startswith("encoder"))
    layer, (rows, columns) = name.removesuffix(".weight"), weights[name].shape
    return {f"{layer}.lora_a": torch.ones(2, columns), f"{layer}.lora_b": torch.ones(rows, 2)}, layer


def inputs() -> InputSettings:
    return InputSettings.of(config_of_model(named_model(Path("base")).files))


def write(tensors: dict[str, Tensor]) -> None:
    write_adapter(Path("adapter"), tensors, SETTINGS, base_identity(Path("base")), inputs())


def test_adapter_may_replace_what_it_also_trained(tensors: tuple[dict[str, Tensor], str]) -> None:
    norm = next(name for name in read_tensors(Path("base/model.safetensors")) if "_norm." in name)
    write({**tensors[0], norm: torch.full((16,), 0.5)})

    loaded = load_model(Path("base"), adapter=Path("adapter")).model.cpu()
    assert torch.equal(loaded.get_parameter(norm), torch.full((16,), 0.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found, layer: found.pop(f"{layer}.lora_b"), "is incomplete"),
        (lambda found, layer: found.pop(f"{layer}.lora_a"), "is incomplete"),
        (lambda found, layer: found.update({"other.lora_a": torch.ones(2, 2)}), "adapter of other is incomplete"),
        (lambda found, layer: found.update({f"{layer}.lora_b": torch.ones(3, 2)}), "do not fit"),
        (lambda found, layer: found.update({f"{layer}.lora_a": torch.tensor(1.0)}), "do not fit"),
        (lambda found, layer: found.update({f"{layer}.weight": torch.ones(16, 16)}), "not one that this adapter may"),
        (lambda found, layer: found.update({"unknown": torch.ones(1)}), "not one that this adapter may"),
    ],
)
def test_damaged_adapter_is_refused(change: Change, message: str, tensors: tuple[dict[str, Tensor], str]) -> None:
    change(*tensors)
    write(tensors[0])

    with pytest.raises(ModelError, match=rf"^adapter/adapter\.safetensors: .*{message}"):
        load_model(Path("base"), adapter=Path("adapter"))


def test_adapter_whose_manifest_omits_a_file_is_refused(tensors: tuple[dict[str, Tensor], str]) -> None:
    write(tensors[0])
    files.write_json(Path("adapter/manifest.json"), {"format": 1, "files": {}})

    with pytest.raises(ModelError, match=r"does not list adapter\.json"):
        load_model(Path("base"), adapter=Path("adapter"))


def test_rows_of_new_entries_need_an_extended_vocabulary_and_fit(tensors: tuple[dict[str, Tensor], str]) -> None:
    name = "embeddings.target.weight.added_rows"
    write({**tensors[0], name: torch.ones(3, 16)})
    with pytest.raises(ModelError, match=f"{name}, which is not one that this adapter may"):
        load_model(Path("base"), adapter=Path("adapter"))

    same = ExtendedVocabulary(Tokenizer.load(Path("base/tokenizer")), None)
    identity = base_identity(Path("base"))
    write_adapter(Path("adapter"), {**tensors[0], name: torch.ones(3, 5)}, SETTINGS, identity, inputs(), same)
    with pytest.raises(ModelError, match=f"{name}: has shape"):
        load_model(Path("base"), adapter=Path("adapter"))
    write_adapter(Path("adapter"), {**tensors[0], name: torch.ones(3, 16)}, SETTINGS, identity, inputs(), same)
    with pytest.raises(ModelError, match=r"embeddings\.target\.weight"):
        load_model(Path("base"), adapter=Path("adapter"))


def test_adapter_with_invalid_settings_is_refused(tensors: tuple[dict[str, Tensor], str]) -> None:
    write(tensors[0])
    content = files.read_json(Path("adapter/adapter.json"), ModelError)
    content["inputs"]["longest_sentence"] = "many"
    files.write_json(Path("adapter/adapter.json"), content)
    files.write_manifest(Path("adapter"), {"format": 1})

    with pytest.raises(ModelError, match=r"^adapter/adapter\.json: inputs: "):
        load_model(Path("base"), adapter=Path("adapter"))
