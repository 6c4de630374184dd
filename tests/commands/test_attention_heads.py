"""nmt attention: weights of each layer and head, and their forms."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_model import save_toy_model

from nmt_cli.cli.attention import attention
from nmt_cli.commands.attention import attention_maps
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.errors import DataError, RecipeError

LINE = "one two three"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model."""
    return save_toy_model(tmp_path_factory.mktemp("toy"), check=False)


def shown(model: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    attention(model, options.pop("line", LINE), json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_cross_attention_has_the_mean_that_reports_draw(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(model, capsys)
    [translated] = open_translator(TranslateOptions((model,))).translate_window([Request(LINE)])
    assert found["translation"] == translated.best.text
    loaded = load_model(model)
    [expected] = attention_maps(loaded, [(1, LINE, found["translation"])])
    assert (found["columns"], found["rows"]) == (expected.source, expected.target)
    assert len(found["weights"]) == loaded.config.model.decoder_layers
    assert torch.allclose(torch.tensor(found["weights"][-1]).mean(0), torch.tensor(expected.weights), atol=1e-6)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_self_attention_is_of_one_side(model: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(model, capsys, kind=kind, translation="four one")
    assert found["rows"] == found["columns"]
    weights = torch.tensor(found["weights"])
    assert weights.shape[2:] == (len(found["rows"]),) * 2
    assert torch.allclose(weights.sum(3), torch.ones(()), atol=1e-5)
    assert bool((weights.triu(1) == 0).all()) == (kind == "decoder")


def test_attention_of_a_layer_and_head(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = shown(model, capsys, translation="four")
    one = shown(model, capsys, translation="four", layer=1, head=2)
    assert one["weights"] == [[every["weights"][0][1]]]
    assert one["names"] == [["layer 1, head 2"]]
    with pytest.raises(RecipeError, match=r"--head 99: .*1 to"):
        shown(model, capsys, head=99)


def test_attention_on_the_terminal_has_a_row_for_each_subword(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(model, capsys, translation="four one")
    attention(model, LINE, translation="four one")
    head, grid = capsys.readouterr().out.split("\n\n")
    assert head.startswith(f"source       {LINE}\ntranslation  four one\n")
    title, numbers, *rows, _ = grid.split("\n")
    assert "mean of" in title
    assert numbers.split() == [str(number + 1) for number in range(len(found["columns"]))]
    assert [row.split()[0] for row in rows] == found["rows"]


def test_attention_writes_pictures(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py", reason="needs the package resvg-py")
    hostile = "one </svg><script> two"
    attention(model, hostile, output=tmp_path / "all.svg")
    texts = [each.text for each in ElementTree.parse(tmp_path / "all.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert "layer 1, head 1" in texts
    attention(model, LINE, layer=1, head=1, output=tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    attention(model, LINE, output=tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_bytes())["source"] == LINE


def test_attention_refuses_what_cannot_be_drawn(model: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"\.svg, \.png or \.json"):
        attention(model, LINE, output=tmp_path / "x.gif")
    with pytest.raises(DataError, match="blank"):
        attention(model, " ")
    with pytest.raises(DataError, match="80"):
        attention(model, "one " * 100, translation="one")


def test_attention_of_a_recurrent_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"architecture": "rnn", "encoder_layers": 1, "decoder_layers": 1, "width": 16, "embedding_width": 8}
    model = save_toy_model(tmp_path / "rnn", tying="decoder", model=settings)
    found = shown(model, capsys, translation="four")
    assert [len(heads) for heads in found["weights"]] == [1]
    with pytest.raises(RecipeError, match="no encoder attention"):
        attention(model, LINE, translation="four", kind="encoder")


@pytest.mark.parametrize("has_cross_attention", [False, True])
def test_attention_of_a_ctc_model_is_that_of_its_encoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], has_cross_attention: bool
) -> None:
    settings = {"architecture": "ctc", "encoder_layers": 1, "decoder_layers": 1, "cross_attention": has_cross_attention}
    model = save_toy_model(
        tmp_path / "ctc", model=settings | {"width": 16, "feed_forward": 16, "heads": 2}, check=False
    )
    assert shown(model, capsys, kind="encoder", translation="four")["rows"][0] == "▁one"
    for kind in ("cross", "decoder"):
        with pytest.raises(RecipeError, match=rf"no {kind} attention"):
            attention(model, LINE, translation="four", kind=kind)


def test_attention_of_a_decoder_only_model_is_refused(tmp_path: Path) -> None:
    settings = {"architecture": "decoder_only", "layers": 1, "source_attention": "causal"}
    model = save_toy_model(
        tmp_path / "dec", model=settings | {"width": 16, "feed_forward": 16, "heads": 2}, check=False
    )
    for kind in ("cross", "encoder", "decoder"):
        with pytest.raises(RecipeError, match=rf"no {kind} attention"):
            attention(model, LINE, translation="four", kind=kind)
