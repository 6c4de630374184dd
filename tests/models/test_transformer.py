"""Parameters, layer drop and cache of the Transformer."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from nmt_cli.models.contract import DecoderInput, ModelInputs, VocabularySpec
from nmt_cli.models.transformer import Transformer
from nmt_cli.recipe.model import NormSettings, TransformerSettings

inputs = ModelInputs.from_ids

VOCABULARY = VocabularySpec(source_size=11, target_size=11)


@pytest.mark.parametrize(("tying", "matrices"), [("all", 1), ("decoder", 2), ("none", 3)])
def test_tied_matrices_occur_once_in_the_state_dict(tying: str, matrices: int) -> None:
    model = Transformer(settings(tied_embeddings=tying), VOCABULARY)
    assert sum(weight.shape == (11, 16) for weight in model.parameters()) == matrices
    assert len({weight.data_ptr() for weight in model.state_dict().values()}) == len(model.state_dict())


def test_base_model_has_as_many_parameters_as_in_the_paper() -> None:
    # Vaswani et al. 2017, table 3: 65 million in the base model, of a joint vocabulary of about 37,000.
    vocabulary = VocabularySpec(source_size=37000, target_size=37000)
    base = TransformerSettings(architecture="transformer", norm=NormSettings(position="post"))
    with torch.device("meta"):
        count = sum(weight.numel() for weight in Transformer(base, vocabulary).parameters())
    assert 62e6 < count < 66e6


def test_only_pre_norm_has_final_norms() -> None:
    pre, post = (Transformer(settings(norm=NormSettings(position=place)), VOCABULARY) for place in ("pre", "post"))
    assert isinstance(pre.decoder_norm, nn.LayerNorm)
    assert isinstance(post.decoder_norm, nn.Identity)


def test_cache_keeps_its_content_when_it_grows() -> None:
    torch.manual_seed(1)
    model, target = Transformer(settings(), VOCABULARY).eval(), torch.randint(11, (2, 80))
    encoder_output = model.encode(inputs(torch.randint(11, (2, 3))))
    cache, steps = model.init_cache(encoder_output, len(encoder_output.hidden_states)), []
    for tokens in target.split(1, dim=1):
        logits, cache = model.step(tokens, cache)
        cache = cache.select(torch.tensor([[0], [1]]))
        steps.append(logits)
    assert_close(
        torch.cat(steps, 1).flatten(0, 1),
        model.logits(model.decode(encoder_output, DecoderInput(target))),
        atol=1e-4,
        rtol=1e-4,
    )


def test_select_does_not_copy_encoder_kv_while_all_sentences_stay() -> None:
    model = Transformer(settings(), VOCABULARY).eval()
    source_ids = torch.ones(2, 3, dtype=torch.long)
    _, cache = model.step(source_ids[:, :1], model.init_cache(model.encode(inputs(source_ids)), 2))
    expanded = cache.select(torch.tensor([[0, 0, 0], [1, 1, 1]]))
    assert expanded.source.encoder_kv is cache.source.encoder_kv
    assert expanded.select(torch.tensor([[4, 5]])).source.encoder_kv.size(2) == 1


def test_layer_drop_skips_layers_at_its_rate() -> None:
    model = Transformer(settings(layer_drop=0.3), VOCABULARY).train()
    passes = [0] * 4
    for number, layer in enumerate([*model.encoder, *model.decoder]):
        layer.register_forward_hook(lambda *_, number=number: passes.__setitem__(number, passes[number] + 1))
    torch.manual_seed(1)
    for _ in range(300):
        model.decode(
            model.encode(inputs(torch.ones(1, 1, dtype=torch.long))),
            DecoderInput(torch.ones(1, 1, dtype=torch.long)),
        )
    assert all(210 - 32 < count < 210 + 32 for count in passes)  # four standard deviations
    assert len(set(passes)) > 1


def test_layer_drop_is_off_in_evaluation() -> None:
    torch.manual_seed(1)
    source_ids = torch.ones(1, 3, dtype=torch.long)
    model = Transformer(settings(layer_drop=0.9), VOCABULARY).eval()
    whole = Transformer(settings(), VOCABULARY).eval()
    whole.load_state_dict(model.state_dict())
    first, second = (
        each.decode(each.encode(inputs(source_ids)), DecoderInput(source_ids)).hidden_states for each in (model, whole)
    )
    assert torch.equal(first, second)


def test_layer_drop_keeps_the_layer_whose_attention_is_requested() -> None:
    model, source_ids = Transformer(settings(layer_drop=0.99), VOCABULARY).train(), torch.ones(1, 3, dtype=torch.long)
    assert (
        model.decode(model.encode(inputs(source_ids)), DecoderInput(source_ids), attention=True).cross_attention
        is not None
    )


def settings(**changes: object) -> TransformerSettings:
    sizes = {"width": 16, "feed_forward": 24, "encoder_layers": 2, "decoder_layers": 2, "heads": 4}
    return TransformerSettings.model_validate({"architecture": "transformer", **sizes, **changes})


def test_embeddings_are_scaled_by_the_root_of_the_width() -> None:
    model, tokens = Transformer(settings(), VOCABULARY), torch.tensor([[3, 5]])
    assert_close(model.embeddings.embed_target(tokens), 4 * model.embeddings.target(tokens))
