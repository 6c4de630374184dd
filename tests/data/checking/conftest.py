"""Pairs in English and German that look like a corpus, and samples of them."""

import random
from collections.abc import Callable

import pytest

from nmt_cli.data.checking.sampling import Pair, Sample, sample

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
    """Pairs of many lengths, by number and seed."""
    return _pairs


def corpus(pairs: list[Pair], languages: tuple[str, str] = ("en", "de")) -> Sample:
    return sample("data.train.news", languages, pairs)


@pytest.fixture(scope="session")
def look() -> Callable[..., Sample]:
    """A corpus to be checked, of given pairs and languages."""
    return corpus
