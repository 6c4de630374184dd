"""Low-rank adaptation of each architecture."""

import pytest
import torch

from nmt_cli.errors import RecipeError
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.recipe.model import CtcSettings, DecoderOnlySettings, RnnSettings, TransformerSettings
from nmt_cli.recipe.optimization import Lora
from nmt_cli.training.optimization.lora import LoraLinear, add_adapters, is_adapter

WIDTHS = {"preset": "tiny", "width": 8, "feed_forward": 8, "heads": 2}
LAYERS = {"encoder_layers": 1, "decoder_layers": 1}
RNN = {"architecture": "rnn", "preset": "tiny", "width": 8, "embedding_width": 8, **LAYERS}


def new(**settings: object) -> Model:
    classes = [TransformerSettings, CtcSettings, DecoderOnlySettings, RnnSettings]
    by_name = dict(zip(["transformer", "ctc", "decoder_only", "rnn"], classes, strict=True))
    torch.manual_seed(1)
    return build(by_name[str(settings["architecture"])].model_validate(settings), VocabularySpec(9, 9)).eval()


def logits(model: Model) -> torch.Tensor:
    ids, search = torch.tensor([[5, 6, 3]]), model.capabilities.search
    inputs = ModelInputs(1) if model.capabilities.source == "none" else ModelInputs.from_ids(ids)
    return model.logits(model.decode(model.encode(inputs), DecoderInput(None if "ctc" in search else ids)))


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "transformer", "output": {"type": "softmax"}, "tied_embeddings": "none", **WIDTHS, **LAYERS},
        {"architecture": "ctc", **WIDTHS, **LAYERS},
        {"architecture": "decoder_only", "layers": 1, "tied_embeddings": "input", **WIDTHS},
        {"tied_embeddings": "none", **RNN},
        {"attention": "additive", "input_feeding": True, **RNN},
    ],
)
def test_default_targets_are_all_linear_layers_but_the_output_layer(settings: dict[str, object]) -> None:
    model = new(**settings)
    linear = {name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    before = logits(model)

    add_adapters(model, Lora(rank=2))

    adapted = {name for name, layer in model.named_modules() if isinstance(layer, LoraLinear)}
    assert adapted == {name for name in linear if not name.startswith("output.")} != set()
    torch.testing.assert_close(logits(model), before)
    logits(model).log_softmax(-1)[..., 4].sum().backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert all(map(is_adapter, trained))


def test_model_without_linear_layers_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^training\.lora: "):
        add_adapters(new(attention="none", bridge="copy", tied_embeddings="none", **RNN), Lora())


def test_targets_of_model_without_linear_layers_are_refused() -> None:
    model = new(attention="none", bridge="copy", tied_embeddings="decoder", **RNN)
    with pytest.raises(RecipeError, match=r"^training\.lora\.targets: "):
        add_adapters(model, Lora(targets=["*"]))
