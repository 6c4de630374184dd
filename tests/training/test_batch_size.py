"""The trial batch for `batch_tokens: auto` is as large as any batch can be."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from shards import written

from nmt_cli.data.prepared import Prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.training import batch_size
from nmt_cli.training.batch_size import _longest_batch, default_batch_tokens
from nmt_cli.training.distributed import Distributed


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    settings = TokenizerSettings(vocabulary_size=12, byte_fallback=False)
    tokenizer = Tokenizer.train(settings, ["a b c", "ab bc ca abc"] * 9, ["a b", "ba cb ac"] * 9, seed=1)
    texts = {"one": (["a b c", "a"], ["a", "b b"]), "other": (["a"], ["a b a b a"])}
    train = [written(tmp_path / name, tokenizer, *sides) for name, sides in texts.items()]
    return Prepared(tokenizer, train, {}, {"adapted": {"data.max_length": 200}})


@pytest.mark.parametrize("tokens", [1, 7, 100, 1000])
def test_longest_batch_has_the_longest_sides_within_the_token_limit(prepared: Prepared, tokens: int) -> None:
    batch = _longest_batch(prepared, tokens)
    source, target = (max(corpus.max_length(side) for corpus in prepared.train) for side in ("source", "target"))
    assert batch.source.shape[1] == source + 1
    assert batch.decoder_input.shape[1] == target + 1
    rows = len(batch.source)
    assert rows == 1 or (batch.padded_tokens <= tokens and batch.source.numel() <= 2 * tokens)
    assert (rows + 1) * (target + 1) > tokens or (rows + 1) * (source + 1) > 2 * tokens


@pytest.mark.parametrize(("update_tokens", "expected"), [(100_000, 819), (1000, 1000)])
def test_batch_size_that_just_fits_is_reduced_unless_it_is_a_whole_update(
    update_tokens: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_size, "_longest_batch", lambda prepared, tokens: tokens)
    monkeypatch.setattr(batch_size, "_fits", lambda trainer, tokens: tokens <= 1500)
    trainer: Any = SimpleNamespace(
        device=torch.device("meta"),
        model=torch.nn.Linear(1, 1),
        settings=Training(update_tokens=update_tokens),
        distributed=Distributed(),
    )
    prepared: Any = None
    reporter: Any = SimpleNamespace(info=lambda message: None)
    assert batch_size.find_batch_tokens(trainer, prepared, reporter) == expected


def test_batch_on_a_cpu_is_limited_for_each_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert default_batch_tokens(10_000, cpu) == 4096
    assert default_batch_tokens(600, cpu) == 600
    assert default_batch_tokens(10_000, torch.device("cuda")) == 10_000
