"""A model whose tokenizer was extended goes on from one that knew less."""

from pathlib import Path

import pytest
import torch
from toy_model import WORDS, save_toy_model

from nmt_cli.commands.loading import load_model, vocabulary_spec
from nmt_cli.commands.starting import start_from
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.extension import extend
from nmt_cli.errors import ModelError
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs
from nmt_cli.recipe.data import TokenizerSettings

NEW = ["eleven twelve", "thirteen twenty eleven", "twelve twenty"] * 9
SETTINGS = TokenizerSettings.model_validate({"path": "old", "extension": {"pieces": 6}})


def scores(model: Model, source: list[int], target: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        memory = model.eval().encode(ModelInputs.from_ids(torch.tensor([source]), None))
        decoded = model.decode(memory, DecoderInput(torch.tensor([target])))
        return model.logits(decoded)


@pytest.mark.parametrize("tying", ["all", "decoder", "none"])
def test_for_old_words_it_scores_as_before_and_new_words_are_the_means_of_their_parts(
    tmp_path: Path, tying: str
) -> None:
    folder = save_toy_model(tmp_path / "old", ["2de"], tying=tying)
    given = load_model(folder)
    old = given.tokenizer
    new = extend(old, SETTINGS, NEW, NEW, seed=1).with_tags(["2fr"])
    torch.manual_seed(5)
    model = build(given.config.model, vocabulary_spec(new))
    start_from(model, folder, new)

    size, lines = old.target_size, [" ".join(WORDS[:4]), "six seven", "ten"]
    for line in lines:
        source = [old.tag_id("2de"), *old.encode_source([line])[0], old.special_tokens.eos]
        target = [old.special_tokens.decoder_start, *old.encode_target([line])[0]]
        before, after = scores(given.model.cpu(), source, target), scores(model, source, target)
        assert after.shape[1] == new.target_size == size + 7
        assert torch.allclose(after[:, :size], before, rtol=1e-5, atol=1e-6)  # sums may be in another order
    weights, grown = dict(given.model.named_parameters()), dict(model.named_parameters())
    rows = [name for name in grown if name.startswith(("embeddings.", "output.projection"))]
    assert len(rows) == {"all": 1, "decoder": 2, "none": 4}[tying]
    for name in rows:
        for number in range(size, new.target_size - 1):
            (parts,) = old.target.encode_fragments([new.target.entries[number]])
            assert torch.allclose(grown[name][number], weights[name][parts].mean(0))
        assert torch.equal(grown[name][-1], weights[name][old.tag_id("2de")])


def test_the_same_tokenizer_gives_the_same_weights(tmp_path: Path) -> None:
    folder = save_toy_model(tmp_path / "old")
    given = load_model(folder)
    model = build(given.config.model, vocabulary_spec(given.tokenizer))
    start_from(model, folder, given.tokenizer)
    for name, weight in given.model.named_parameters():
        assert torch.equal(weight, dict(model.named_parameters())[name])


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = save_toy_model(tmp_path / "old")
    other = Tokenizer.train(TokenizerSettings(vocabulary_size=274), NEW, NEW, seed=1)
    model = build(load_model(folder).config.model, vocabulary_spec(other))
    with pytest.raises(ModelError, match=r"^training\.start_from: .*tokenizer\.path"):
        start_from(model, folder, other)
