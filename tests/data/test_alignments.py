"""Word links survive normalisation, storage, and any segmentation of the words."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shards import written as write

from nmt_cli.data.alignments import normalized_links
from nmt_cli.data.batches import Batch, batch_by_size, collate
from nmt_cli.data.subword_sampling.regularizer import SubwordRegularizer
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs, concatenate_pairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.training import Augmentation, SubwordSampling
from nmt_cli.text.normalization import NORMALIZATIONS
from nmt_cli.text.special_tokens import DEFAULT_SPECIAL_TOKENS

Sentences = Callable[[int, int], list[str]]


def links_after(links: str, source: str, target: str, normalization: str = "nfkc") -> str:
    normalize = NORMALIZATIONS[normalization]
    found = normalized_links(links, (source, target), (normalize(source), normalize(target)), normalize)
    return " ".join(f"{one}-{other}" for one, other in found)


@pytest.mark.parametrize("normalization", ["nfkc", "none"])
def test_normalized_links_keeps_links_of_plain_words(normalization: str) -> None:
    assert links_after("2-0 0-1 1-1 0-1", "a b c", "d e", normalization) == "0-1 1-1 2-0"
    assert links_after("", "a b c", "d e", normalization) == ""


def test_normalized_links_ignores_repeated_spaces() -> None:
    assert links_after("1-1", " a  b\t", "c \t d") == "1-1"
    assert (
        links_after("0-0 1-1", " a  b", "c d", "none") == "1-0 3-1"
    )  # the line stays: an empty word before each space


def test_normalized_links_copies_links_to_parts_of_split_word() -> None:
    no_break_space, accent_with_a_space_inside = "10\xa0000 b", "it´s b"
    assert links_after("0-0 1-1", no_break_space, accent_with_a_space_inside) == "0-0 0-1 1-0 1-1 2-2"


def test_normalized_links_drops_links_of_vanished_word() -> None:
    assert links_after("0-0 1-1 2-2", "a \u200b c", "a b c") == "0-0 1-2"


def test_normalized_links_merges_links_of_joined_words() -> None:
    assert links_after("0-0 1-0", "a\tb", "c", "none") == "0-0"


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("3-0", "3-0: .*source"),
        ("0-2", "0-2: .*target"),
        ("0-0 1", "'1'"),
        ("-1-0", "'-1-0'"),
        ("0–0", "'0–0'"),
        ("²-0", "'²-0'"),
    ],
)
def test_normalized_links_rejects_invalid_link(link: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        links_after(link, "a b c", "d e")


@given(st.text(st.sampled_from("ab \t\xa0\u0301\u00b4\u200b\ufeff\u3000\x85\u2581\ufb01\u1100\u1161"), max_size=12))
@pytest.mark.parametrize("normalization", ["whitespace", "nfc", "nfkc", "none"])
def test_normalized_indices_match_characters_of_any_words(normalization: str, line: str) -> None:
    normalize = NORMALIZATIONS[normalization]
    after = normalize(line).split(" ")
    words = [word for word in line.replace("\t", " ").split(" ") if word]
    for number, word in enumerate(words):
        links = normalized_links(f"{number}-0", (line, "x"), (normalize(line), "x"), normalize)
        linked = "".join(after[source] for source, _ in links)
        spelled = normalize(word).replace(" ", "")
        assert set(spelled) - {"\ufeff", "\xa0", "\u200b", "\u3000"} <= set(linked)


@pytest.fixture(scope="module")
def tokenizer(sentences: Sentences) -> Tokenizer:
    settings = TokenizerSettings(vocabulary_size=300, joint=False)
    return Tokenizer.train(settings, sentences(0, 100), sentences(1, 100), seed=1)


@dataclass(frozen=True)
class Pair:
    source: str
    target: str
    links: str


def written(
    folder: Path, tokenizer: Tokenizer, pairs: list[Pair], aligned: bool, prefix: Sequence[int] = ()
) -> TokenCorpus:
    """In two shards."""
    sides = [pair.source for pair in pairs], [pair.target for pair in pairs]
    links = [pair.links for pair in pairs] if aligned else None
    return write(folder, tokenizer, *sides, links, prefix, shards=[20, len(pairs) - 20])


def everything(corpus: TokenCorpus) -> np.ndarray:
    return np.array([[0, len(corpus)]])


@pytest.fixture(scope="module")
def pairs(sentences: Sentences) -> list[Pair]:
    """Pairs with links at random; the first has none."""
    generator = np.random.default_rng(1)
    found = []
    for source, target in zip(sentences(0, 60), sentences(1, 60), strict=True):
        grid = generator.random((len(source.split()), len(target.split()))) < 0.3
        found.append(
            Pair(source, target, " ".join(f"{i}-{j}" for i, j in np.argwhere(grid if found else grid & False)))
        )
    return [*found, Pair("ü字 a", "b ü", "0-1 1-0 1-1")]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, pairs: list[Pair]) -> TokenCorpus:
    return written(tmp_path_factory.mktemp("aligned"), tokenizer, pairs, aligned=True)


def assembled(pairs: TokenPairs, rows: np.ndarray) -> Batch:
    return collate(pairs, rows, DEFAULT_SPECIAL_TOKENS)


def words_of(tokens: list[int], vocabulary: list[str]) -> list[int]:
    """Which word each token belongs to."""
    found, word = [], -1
    for token in tokens:
        word += vocabulary[token].startswith("▁")
        found.append(word)
    return found


def expected_weights(
    cut: TokenPairs, tokenizer: Tokenizer, pairs: list[Pair], number: int
) -> dict[tuple[int, int], float]:
    """Weight by target and source place, token by token."""
    source = words_of(cut.sources[number].tolist(), tokenizer.source.entries)
    target = words_of(cut.targets[number].tolist(), tokenizer.target.entries)
    sources: dict[int, list[int]] = defaultdict(list)
    for link in pairs[number].links.split():
        one, other = map(int, link.split("-"))
        for place, word in enumerate(target):
            if word == other:
                sources[place] += [begin for begin, word in enumerate(source) if word == one]
    return {(place, begin): 1 / len(begins) for place, begins in sources.items() for begin in begins}


def weights_in(batch: Batch) -> dict[int, dict[tuple[int, int], float]]:
    """What a batch says, by pair."""
    assert batch.alignment is not None
    length = batch.decoder_input.shape[1]
    found: dict[int, dict[tuple[int, int], float]] = {int(pair): {} for pair in batch.pair_ids}
    rows = zip(*(part.tolist() for part in vars(batch.alignment).values()), strict=True)
    for position, source, weight in rows:
        assert found[int(batch.pair_ids[position // length])].setdefault((position % length, source), weight) == weight
    return found


def assert_linked_as_words(cut: TokenPairs, tokenizer: Tokenizer, pairs: list[Pair]) -> None:
    batches = batch_by_size(cut, 150, [1])
    assert max(map(len, batches)) > 1
    for rows in batches:
        for number, weights in weights_in(assembled(cut, rows)).items():
            assert weights == pytest.approx(expected_weights(cut, tokenizer, pairs, number))


def test_collate_links_tokens_as_their_words(corpus: TokenCorpus, tokenizer: Tokenizer, pairs: list[Pair]) -> None:
    assert_linked_as_words(corpus.read_all(), tokenizer, pairs)


def test_collate_links_skip_tags(tmp_path: Path, tokenizer: Tokenizer, pairs: list[Pair]) -> None:
    tag = next(n for n, piece in enumerate(tokenizer.source.entries) if n > 3 and not piece.startswith("▁"))
    tagged = written(tmp_path / "tagged", tokenizer, pairs, aligned=True, prefix=[tag])
    assert_linked_as_words(tagged.read_all(), tokenizer, pairs)


def test_collate_links_sampled_tokens_as_their_words(
    corpus: TokenCorpus, tokenizer: Tokenizer, pairs: list[Pair]
) -> None:
    plain, regularizer = corpus.read_all(), SubwordRegularizer(tokenizer, SubwordSampling(alpha=0.1), None, 1000)
    cut = regularizer.regularize(corpus, everything(corpus), plain, [1])
    assert cut.targets.values.tolist() != plain.targets.values.tolist()
    assert_linked_as_words(cut, tokenizer, pairs)


def test_read_keeps_links_of_spans(corpus: TokenCorpus, tokenizer: Tokenizer, pairs: list[Pair]) -> None:
    chosen = [*range(18, 25), 60, *range(3)]
    cut = corpus.read(np.array([[18, 25], [60, 61], [0, 3]]))
    for row, number in enumerate(chosen):
        found = weights_in(assembled(cut, np.array([row])))[number]
        assert found == pytest.approx(expected_weights(cut, tokenizer, [pairs[n] for n in chosen], row))


def test_regularizer_moves_links_of_reordered_words(
    corpus: TokenCorpus, tokenizer: Tokenizer, pairs: list[Pair]
) -> None:
    augmentation, plain = Augmentation(noise=1, no_final_punctuation=1), corpus.read_all()
    changed = SubwordRegularizer(tokenizer, None, augmentation, 1000).regularize(corpus, everything(corpus), plain, [1])
    assert changed.links is not None
    assert plain.links is not None
    sources = tokenizer.source.decode([changed.sources[row].tolist() for row in range(len(changed))])
    for row, pair in enumerate(pairs):
        before, after = pair.source.split(" "), sources[row].split(" ")
        assert before != after or len(set(before)) < len(before)
        linked = set(map(tuple, changed.links.rows[row].tolist()))
        words = {(before[int(i)], int(j)) for i, j in (link.split("-") for link in pair.links.split())}
        if len(set(before)) == len(before):  # so that each word tells where it was
            assert linked == {(i, j) for i, word in enumerate(after) for known, j in words if known == word}


def test_collate_alignment_weights_sum_to_one(corpus: TokenCorpus) -> None:
    pairs = corpus.read_all()
    for rows in batch_by_size(pairs, 150, [1]):
        batch = assembled(pairs, rows)
        assert batch.alignment is not None
        sums = torch.zeros(batch.decoder_input.numel()).index_add(
            0, batch.alignment.target_positions, batch.alignment.weights
        )
        torch.testing.assert_close(sums[sums > 0], torch.ones(int((sums > 0).sum())))
        assert batch.alignment.weights.dtype == torch.float32


def test_collate_without_alignments_gives_none(tmp_path: Path, tokenizer: Tokenizer, pairs: list[Pair]) -> None:
    plain = written(tmp_path / "plain", tokenizer, pairs, aligned=False)
    assert assembled(plain.read_all(), np.array([3])).alignment is None


def test_concatenate_pairs_keeps_links_of_aligned_corpus_only(
    tmp_path: Path, corpus: TokenCorpus, tokenizer: Tokenizer, pairs: list[Pair]
) -> None:
    plain = written(tmp_path / "plain", tokenizer, pairs, aligned=False)
    assert pairs[-1].links
    for corpora, aligned in (([plain, corpus], 1), ([corpus, plain], 0)):
        both = concatenate_pairs([one.read_all() for one in corpora], [0, len(pairs)])
        last = [len(pairs) - 1, 2 * len(pairs) - 1]
        found = weights_in(assembled(both, np.array(last)))
        assert found[last[aligned]] == pytest.approx(
            expected_weights(corpus.read_all(), tokenizer, pairs, len(pairs) - 1)
        )
        assert found[last[1 - aligned]] == {}


def test_read_rejects_alignment_files_of_wrong_size(tmp_path: Path, tokenizer: Tokenizer, pairs: list[Pair]) -> None:
    corpus = written(tmp_path / "aligned", tokenizer, pairs, aligned=True)
    path = tmp_path / "aligned" / "00001" / "alignment.bin"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match=r"alignment\.bin: "):
        corpus.read_all()


def test_batch_to_moves_alignment(corpus: TokenCorpus) -> None:
    moved = assembled(corpus.read_all(), np.array([5])).to(torch.device("meta")).alignment
    assert moved is not None
    assert {part.device.type for part in (moved.target_positions, moved.source_positions, moved.weights)} == {"meta"}
