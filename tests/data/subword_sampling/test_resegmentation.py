"""Each epoch has a cut of its own, the same in every process; only the cut changes, never the text."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from nmt_cli.data.batches import assemble, plan_epoch
from nmt_cli.data.corpora import Pair, Tally
from nmt_cli.data.subword_sampling import resegmentation
from nmt_cli.data.subword_sampling.resegmentation import Resegmenter, sampled_epochs
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs, write_corpus
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training.subword_sampling import SubwordSampling

Sentences = Callable[[int, int], list[str]]
SAMPLING = SubwordSampling(alpha=0.3)
MAX_LENGTH = 200


@pytest.fixture(params=["unigram", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    found: Tokenizer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def corpus(tmp_path: Path, tokenizer: Tokenizer, text: Sentences) -> TokenCorpus:
    """Three hundred pairs, some with characters that no piece holds."""
    return written(tmp_path / "corpus", tokenizer, [*text(2, 299), "aü 字 字b"], [*text(3, 299), "ü"])


def written(folder: Path, tokenizer: Tokenizer, sources: list[str], targets: list[str]) -> TokenCorpus:
    write_corpus(folder, map(Pair, sources, targets), tokenizer, MAX_LENGTH, Tally())
    return TokenCorpus(folder, tokenizer)


def fingerprint(pairs: TokenPairs) -> str:
    arrays = [part for side in (pairs.sources, pairs.targets) for part in (side.offsets, side.tokens)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in arrays)).hexdigest()


def test_only_the_cut_changes(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    cut = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH).resegmented(corpus, 0)
    numbers = range(len(corpus))
    assert len(cut) == len(corpus)
    assert tokenizer.source.decode([cut.source(pair).tolist() for pair in numbers]) == corpus.source_text()
    assert tokenizer.target.decode([cut.target(pair).tolist() for pair in numbers]) == corpus.target_text()
    changed = [not np.array_equal(cut.target(pair), corpus.target(pair)) for pair in numbers]
    assert sum(changed) > len(corpus) / 6
    assert cut.sources.tokens.dtype == corpus.sources.tokens.dtype


def test_seed_and_epoch_decide_the_cut(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    cuts = {
        (seed, epoch): fingerprint(Resegmenter(tokenizer, SAMPLING, seed, MAX_LENGTH).resegmented(corpus, epoch))
        for epoch in (1, 0)
        for seed in (1, 2)
    }
    assert len(set(cuts.values())) == 4
    resegmenter = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH)
    assert [fingerprint(resegmenter.resegmented(corpus, epoch)) for epoch in (0, 1)] == [cuts[1, 0], cuts[1, 1]]


def test_equal_texts_under_two_names_are_cut_differently(tmp_path: Path, tokenizer: Tokenizer, text: Sentences) -> None:
    one, other = (written(tmp_path / name, tokenizer, text(2, 50), text(3, 50)) for name in "ab")
    resegmenter = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH)
    assert fingerprint(resegmenter.resegmented(one, 0)) != fingerprint(resegmenter.resegmented(other, 0))


def test_another_process_cuts_alike(corpus: TokenCorpus, tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer")
    program = (
        "import sys; from pathlib import Path\n"
        "from nmt_cli.data.subword_sampling.resegmentation import Resegmenter\n"
        "from nmt_cli.data.token_corpus import TokenCorpus\n"
        "from nmt_cli.data.tokenizer import Tokenizer\n"
        "from nmt_cli.recipe.training.subword_sampling import SubwordSampling\n"
        "folder = Path(sys.argv[1]); tokenizer = Tokenizer.load(folder / 'tokenizer')\n"
        "resegmenter = Resegmenter(tokenizer, SubwordSampling(alpha=0.3), 1, 200)\n"
        "cut = resegmenter.resegmented(TokenCorpus(folder / 'corpus', tokenizer), 5)\n"
        "print(cut.sources.tokens.tolist(), cut.targets.tokens.tolist())"
    )
    cut = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH).resegmented(corpus, 5)
    printed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert printed == f"{cut.sources.tokens.tolist()} {cut.targets.tokens.tolist()}\n"


def test_chunks_are_cut_on_their_own(
    corpus: TokenCorpus, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resegmentation, "_LINES_AT_ONCE", 100)
    (tmp_path / "other").mkdir()
    shorter = written(tmp_path / "other" / "corpus", tokenizer, corpus.source_text()[:200], corpus.target_text()[:200])
    resegmenter = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH)
    whole, part = resegmenter.resegmented(corpus, 0), resegmenter.resegmented(shorter, 0)
    assert len(whole) == 300
    assert all(np.array_equal(whole.source(pair), part.source(pair)) for pair in range(200))
    assert not np.array_equal(whole.source_lengths[:100], whole.source_lengths[100:200])


@pytest.mark.parametrize(("side", "other"), [("source", "target"), ("target", "source")])
def test_a_side_can_be_left_as_it_is(corpus: TokenCorpus, tokenizer: Tokenizer, side: str, other: str) -> None:
    settings = SubwordSampling.model_validate({"alpha": 0.3, other: False})
    cut = Resegmenter(tokenizer, settings, 1, MAX_LENGTH).resegmented(corpus, 0)
    assert getattr(cut, f"{other}s") is getattr(corpus, f"{other}s")
    assert getattr(cut, f"{side}s").tokens.tolist() != getattr(corpus, f"{side}s").tokens.tolist()


def test_more_random_means_more_tokens(corpus: TokenCorpus, tokenizer: Tokenizer, bpe: Tokenizer) -> None:
    alphas = [0.02, 0.1, 0.3, 0.6] if tokenizer is bpe else [1.0, 0.5, 0.3, 0.1]
    tokens = [
        Resegmenter(tokenizer, SubwordSampling(alpha=alpha), 1, MAX_LENGTH).resegmented(corpus, 0).sources.offsets[-1]
        for alpha in alphas
    ]
    assert sorted(tokens) == tokens
    assert tokens[0] > corpus.sources.offsets[-1]


def test_a_pair_that_would_be_too_long_keeps_its_plain_cut(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    longest = int(max(corpus.source_lengths.max(), corpus.target_lengths.max()))
    free = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH).resegmented(corpus, 0)
    held = Resegmenter(tokenizer, SAMPLING, 1, longest).resegmented(corpus, 0)
    too_long = np.maximum(free.source_lengths, free.target_lengths) > longest
    assert 0 < too_long.sum() < len(corpus)
    for pair in range(len(corpus)):
        expected = corpus if too_long[pair] else free
        assert np.array_equal(held.source(pair), expected.source(pair))
        assert np.array_equal(held.target(pair), expected.target(pair))


def test_without_bytes_what_no_piece_holds_is_unknown(tmp_path: Path, text: Sentences) -> None:
    for algorithm in ("unigram", "bpe"):
        settings = TokenizerSettings.model_validate(
            {"algorithm": algorithm, "vocabulary_size": 60, "byte_fallback": False, "joint": False}
        )
        tokenizer = Tokenizer.train(settings, text(0, 200), text(1, 200), seed=1)
        corpus = written(tmp_path / algorithm, tokenizer, ["üü a", "字b字"], ["a", "b"])
        cut = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH).resegmented(corpus, 0)
        for pair in range(2):
            assert (cut.source(pair) == Tokenizer.unknown).sum() == (corpus.source(pair) == Tokenizer.unknown).sum()


def test_batches_are_made_of_the_new_cut(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    cut = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH).resegmented(corpus, 0)
    plan = plan_epoch([cut], 200, seed=1, epoch=0)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(corpus)))
    for pairs in plan:
        batch = assemble([cut], pairs, Tokenizer.start, Tokenizer.end, Tokenizer.pad)
        assert batch.source[:, :-1].tolist() == [cut.source(pair).tolist() for pair in pairs]
        assert batch.target_tokens == (cut.target_lengths[pairs] + 1).sum()


def test_epochs_come_in_order_from_any_on(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    resegmenter = Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH)
    expected = [fingerprint(resegmenter.resegmented(corpus, epoch)) for epoch in range(4)]
    for first in (0, 2):
        epochs = islice(sampled_epochs([corpus], resegmenter, first), 4 - first)
        assert [fingerprint(cut) for (cut,) in epochs] == expected[first:]


def test_a_failure_of_the_thread_is_told(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    epochs = sampled_epochs([corpus], Resegmenter(tokenizer, SAMPLING, 1, MAX_LENGTH), 0)
    (corpus.sources._text).unlink()
    with pytest.raises(Exception, match="does not exist"):
        next(epochs)
        next(epochs)
