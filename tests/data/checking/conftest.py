"""Generated English-German pairs that resemble a corpus, and samples of them."""

import random
from collections.abc import Callable

import pytest

from nmt_cli.data.checking.sampling import CorpusSample, Pair, sample_corpus

PHRASES = [
    ("he goes to the house", "er geht zu dem Haus"),
    ("that is not for you", "das ist nicht für dich"),
    ("and she was in the garden", "und sie war in dem Garten"),
    ("they have a red car", "sie haben ein rotes Auto"),
    ("it is as good as that", "es ist so gut wie das"),
    ("we are at the old bridge with the children", "wir sind mit den Kindern an der alten Brücke"),
    ("this man is from Berlin", "der Mann ist von Berlin"),
    ("but which of them was it", "aber wer von ihnen war es"),
]


def _pairs(count: int, seed: int = 1) -> list[Pair]:
    generator = random.Random(seed)
    chosen = (generator.choices(PHRASES, k=generator.randint(1, 6)) for _ in range(count))
    numbered = enumerate(chosen)
    return [(f"{n}: {', '.join(e for e, _ in all_)}", f"{n}: {', '.join(d for _, d in all_)}") for n, all_ in numbered]


@pytest.fixture(scope="session")
def pairs() -> Callable[..., list[Pair]]:
    """Makes pairs of many lengths, given their number and a seed."""
    return _pairs


def corpus(pairs: list[Pair], languages: tuple[str, str] = ("en", "de")) -> CorpusSample:
    return sample_corpus("data.train.news", languages, pairs)


@pytest.fixture(scope="session")
def sampled() -> Callable[..., CorpusSample]:
    """Makes a corpus to check from pairs and languages."""
    return corpus
