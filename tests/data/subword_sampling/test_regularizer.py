"""Each seed gives its own segmentation, the same in every process; the text does not change."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shards import write_shards, written

from nmt_cli.data.batches import batch_by_size, collate
from nmt_cli.data.subword_sampling import regularizer
from nmt_cli.data.subword_sampling.regularizer import SubwordRegularizer
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training import Augmentation, SubwordSampling
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS

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


def regularized(
    corpus: TokenCorpus,
    tokenizer: Tokenizer,
    seed: int = 1,
    sampling: SubwordSampling = SAMPLING,
    max_length: int = MAX_LENGTH,
) -> TokenPairs:
    everything = np.array([[0, len(corpus)]])
    return SubwordRegularizer(tokenizer, sampling, None, max_length).regularize(
        corpus, everything, corpus.read_all(), [seed]
    )


def fingerprint(pairs: TokenPairs) -> str:
    arrays = [part for side in (pairs.sources, pairs.targets) for part in (side.offsets, side.values)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in arrays)).hexdigest()


def test_regularize_preserves_text(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    sampled, plain = regularized(corpus, tokenizer), corpus.read_all()
    numbers = range(len(corpus))
    assert len(sampled) == len(corpus)
    assert tokenizer.source.decode([sampled.sources[pair].tolist() for pair in numbers]) == corpus.read_text()[0]
    assert tokenizer.target.decode([sampled.targets[pair].tolist() for pair in numbers]) == corpus.read_text()[1]
    changed = [not np.array_equal(sampled.targets[pair], plain.targets[pair]) for pair in numbers]
    assert sum(changed) > len(corpus) / 6
    assert sampled.sources.values.dtype == plain.sources.values.dtype


def test_regularize_depends_only_on_seed(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    fingerprints = {seed: fingerprint(regularized(corpus, tokenizer, seed)) for seed in (1, 2)}
    assert fingerprints[1] != fingerprints[2]
    assert fingerprint(regularized(corpus, tokenizer, 1)) == fingerprints[1]


def test_regularize_returns_given_spans(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    spans = np.array([[200, 250], [0, 7]])
    sampled = SubwordRegularizer(tokenizer, SAMPLING, None, MAX_LENGTH).regularize(
        corpus, spans, corpus.read(spans), [1]
    )
    assert sampled.pair_ids.tolist() == [*range(200, 250), *range(7)]
    expected = [corpus.read_text()[1][number] for number in sampled.pair_ids]
    assert tokenizer.target.decode([sampled.targets[row].tolist() for row in range(57)]) == expected


def test_regularize_keeps_tags_that_differ_among_pairs(tmp_path: Path, tokenizer: Tokenizer, text: Sentences) -> None:
    tagged = written(tmp_path / "tagged", tokenizer, text(2, 50), text(3, 50), prefix=[9, 10])
    plain = tagged.read_all()
    plain.sources.values[plain.sources.offsets[:-1:2] + 1] = 11
    spans = np.array([[0, len(tagged)]])
    sampled = SubwordRegularizer(tokenizer, SAMPLING, None, MAX_LENGTH).regularize(tagged, spans, plain, [1])
    assert [sampled.sources[row][:2].tolist() for row in range(50)] == [[9, 11], [9, 10]] * 25


@pytest.mark.parametrize("prefix", [[9], [9, 10]])
def test_regularize_keeps_prefix_tags(tmp_path: Path, tokenizer: Tokenizer, text: Sentences, prefix: list[int]) -> None:
    tagged = written(tmp_path / "tagged", tokenizer, text(2, 50), text(3, 50), prefix=prefix)
    plain = written(tmp_path / "plain", tokenizer, text(2, 50), text(3, 50))
    with_tags, without = regularized(tagged, tokenizer), regularized(plain, tokenizer)
    for row in range(50):
        assert with_tags.sources[row].tolist() == [*prefix, *without.sources[row].tolist()]
        assert with_tags.targets[row].tolist() == without.targets[row].tolist()


@pytest.mark.parametrize(("sampling", "augmentation"), [(SAMPLING, None), (None, Augmentation(upper_case=1))])
def test_regularize_keeps_separators_of_joined_sentences(
    tmp_path: Path,
    tokenizer: Tokenizer,
    text: Sentences,
    sampling: SubwordSampling | None,
    augmentation: Augmentation | None,
) -> None:
    sides = (side.with_tags(["sep"]) for side in (tokenizer.source, tokenizer.target))
    tagged, ones, others = Tokenizer(tokenizer.normalization, *sides), text(2, 50), text(3, 50)
    joined = [f"{one}\x1e{other}" for one, other in zip(ones, others, strict=True)]
    corpus = written(tmp_path / "joined", tagged, joined, joined, prefix=[9])
    subject = SubwordRegularizer(tagged, sampling, augmentation, 10_000)
    sampled = subject.regularize(corpus, np.array([[0, 50]]), corpus.read_all(), [1])
    for row in range(50):
        tag, *tokens = sampled.sources[row].tolist()
        place = tokens.index(tagged.source.tags["sep"])
        expected = [ones[row], others[row].upper() if augmentation else others[row]]
        assert tag == 9
        assert tagged.source.decode([tokens[:place], tokens[place + 1 :]]) == expected


def test_regularize_is_the_same_in_another_process(tokenizer: Tokenizer, tmp_path: Path, text: Sentences) -> None:
    stats = write_shards(tmp_path / "corpus", tokenizer, text(2, 100), text(3, 100))
    corpus = TokenCorpus(tmp_path / "corpus", stats, tokenizer)
    tokenizer.save(tmp_path / "tokenizer")
    program = (
        "import json, sys; from pathlib import Path\n"
        "import numpy as np\n"
        "from nmt_cli.data.subword_sampling.regularizer import SubwordRegularizer\n"
        "from nmt_cli.data.preparation.manifest import CorpusStats\n"
        "from nmt_cli.data.token_corpus import TokenCorpus\n"
        "from nmt_cli.data.tokenizer import Tokenizer\n"
        "from nmt_cli.recipe.training import SubwordSampling\n"
        "folder = Path(sys.argv[1]); tokenizer = Tokenizer.load(folder / 'tokenizer')\n"
        "corpus = TokenCorpus(folder / 'corpus', CorpusStats.from_json('corpus', json.loads(sys.argv[2])), tokenizer)\n"
        "subject = SubwordRegularizer(tokenizer, SubwordSampling(alpha=0.3), None, 200)\n"
        "sampled = subject.regularize(corpus, np.array([[0, 100]]), corpus.read_all(), [5])\n"
        "print(sampled.sources.values.tolist(), sampled.targets.values.tolist())"
    )
    sampled = regularized(corpus, tokenizer, 5)
    printed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), json.dumps(stats.to_json())],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert printed == f"{sampled.sources.values.tolist()} {sampled.targets.values.tolist()}\n"


def test_regularize_samples_chunks_independently(
    corpus: TokenCorpus, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(regularizer, "_CHUNK_LINES", 100)
    shorter = written(tmp_path / "shorter", tokenizer, corpus.read_text()[0][:200], corpus.read_text()[1][:200])
    whole, part = regularized(corpus, tokenizer), regularized(shorter, tokenizer)
    assert len(whole) == 300
    assert all(np.array_equal(whole.sources[pair], part.sources[pair]) for pair in range(200))
    assert not np.array_equal(whole.source_lengths[:100], whole.source_lengths[100:200])


@pytest.mark.parametrize(("side", "other"), [("source", "target"), ("target", "source")])
def test_regularize_can_leave_one_side_unchanged(
    corpus: TokenCorpus, tokenizer: Tokenizer, side: str, other: str
) -> None:
    settings = SubwordSampling.model_validate({"alpha": 0.3, other: False})
    sampled, plain = regularized(corpus, tokenizer, sampling=settings), corpus.read_all()
    assert getattr(sampled, f"{other}s").values.tolist() == getattr(plain, f"{other}s").values.tolist()
    assert getattr(sampled, f"{side}s").values.tolist() != getattr(plain, f"{side}s").values.tolist()


def test_more_randomness_gives_more_tokens(corpus: TokenCorpus, tokenizer: Tokenizer, bpe: Tokenizer) -> None:
    alphas = [0.02, 0.1, 0.3, 0.6] if tokenizer is bpe else [1.0, 0.5, 0.3, 0.1]
    tokens = [
        regularized(corpus, tokenizer, sampling=SubwordSampling(alpha=alpha)).sources.offsets[-1] for alpha in alphas
    ]
    assert sorted(tokens) == tokens
    assert tokens[0] > corpus.source_tokens


def test_regularize_leaves_too_long_pairs_unchanged(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    longest, plain = max(corpus.max_length("source"), corpus.max_length("target")), corpus.read_all()
    wild = SubwordSampling(alpha=0.2)
    free, held = (regularized(corpus, tokenizer, 1, wild, most) for most in (MAX_LENGTH, longest))
    too_long = np.maximum(free.source_lengths, free.target_lengths) > longest
    assert 0 < too_long.sum() < len(corpus)
    for pair in range(len(corpus)):
        expected = plain if too_long[pair] else free
        assert np.array_equal(held.sources[pair], expected.sources[pair])
        assert np.array_equal(held.targets[pair], expected.targets[pair])


def test_regularize_without_byte_fallback_keeps_unk(tmp_path: Path, text: Sentences) -> None:
    for algorithm in ("unigram", "bpe"):
        settings = TokenizerSettings.model_validate(
            {"algorithm": algorithm, "vocabulary_size": 60, "byte_fallback": False, "joint": False}
        )
        tokenizer = Tokenizer.train(settings, text(0, 200), text(1, 200), seed=1)
        corpus = written(tmp_path / algorithm, tokenizer, ["üü a", "字b字"], ["a", "b"])
        sampled, plain = regularized(corpus, tokenizer), corpus.read_all()
        for pair in range(2):
            unk = DEFAULT_SPECIAL_TOKENS.unk
            assert (sampled.sources[pair] == unk).sum() == (plain.sources[pair] == unk).sum()


def test_batches_contain_regularized_tokens(corpus: TokenCorpus, tokenizer: Tokenizer) -> None:
    sampled = regularized(corpus, tokenizer)
    batches = batch_by_size(sampled, 200, [1])
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(corpus)))
    for rows in batches:
        batch = collate(sampled, rows, DEFAULT_SPECIAL_TOKENS)
        assert batch.source[:, :-1].tolist() == [sampled.sources[row].tolist() for row in rows]
        assert batch.target_tokens == (sampled.target_lengths[rows] + 1).sum()
