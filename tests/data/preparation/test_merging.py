"""Duplicates across shards and corpora, and overlap with held-out sets."""

import random
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from preparing import MakeRecipe, changed, prepared

from nmt_cli.data.filters.duplicates import canonical
from nmt_cli.data.preparation import shards
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.schema import Recipe

Pairs = list[tuple[str, str]]
SIDES: dict[str, Callable[[tuple[str, str]], Any]] = {
    "pair": lambda pair: pair,
    "source": lambda pair: pair[0],
    "target": lambda pair: pair[1],
}
TOKENIZER = Tokenizer.train(TokenizerSettings(algorithm="byte"), ["a"], ["b"], seed=1)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of 21 records, in chunks of 7."""
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 7)
    monkeypatch.setattr(shards, "SHARD_RECORDS", 21)
    yield


def of_corpora(recipe: Recipe, folder: Path, corpora: dict[str, Pairs], **data: object) -> Recipe:
    """The recipe with these training corpora."""
    train = {}
    for name, pairs in corpora.items():
        train[name] = {side: str(folder / f"{name}.{side}") for side in ("source", "target")}
        for number, path in enumerate(train[name].values()):
            Path(path).write_text("".join(f"{pair[number]}\n" for pair in pairs))
    return changed(recipe, train=train, **data)


def random_pairs(chance: random.Random, count: int) -> Pairs:
    words = ["ab", "Ab", "áb", "cd", "cd.", "7"]
    return [(" ".join(chance.choices(words, k=2)), chance.choice(words)) for _ in range(count)]


@pytest.mark.parametrize(
    ("by", "then"),
    [pytest.param(*both, marks=pytest.mark.slow if "source" in both else ()) for both in product(SIDES, SIDES)],
)
def test_duplicates_equal_those_of_pairwise_comparison(
    make_recipe: MakeRecipe, tmp_path: Path, by: str, then: str
) -> None:
    chance = random.Random(by + then)
    corpora = {name: random_pairs(chance, count) for name, count in (("one", 70), ("two", 30), ("three", 50))}
    filters = [{"type": "duplicates", "compare": by}, {"type": "near_duplicates", "compare": then}]
    recipe = of_corpora(make_recipe(path="there"), tmp_path, corpora, filters=filters)

    kept: list[tuple[str, int, tuple[str, str]]] = []
    dropped: dict[str, dict[str, list[int]]] = {name: {} for name in corpora}
    alive = [(name, record, pair) for name, pairs in corpora.items() for record, pair in enumerate(pairs, 1)]
    near = lambda pair: SIDES[then](tuple(map(canonical, pair)))  # noqa: E731
    for reason, key in ((_named("duplicates", by), SIDES[by]), (_named("near_duplicates", then), near)):
        kept = []
        for name, record, pair in alive:
            if any(key(pair) == key(other) for _, _, other in kept):
                dropped[name].setdefault(reason, []).append(record)
            else:
                kept.append((name, record, pair))
        alive = kept
    left = {name: [pair for of, _, pair in kept if of == name] for name in corpora}
    if not all(left.values()):  # such a corpus is refused
        corpora = {name: corpora[name] for name in corpora if left[name]}
        recipe = of_corpora(make_recipe(path="there"), tmp_path, corpora, filters=filters)

    made = prepared(recipe, TOKENIZER)
    for corpus in made.train:
        entry = made.manifest["corpora"][f"train/{corpus.name}"]
        assert list(zip(corpus.read_text()[0], corpus.read_text()[1], strict=True)) == left[corpus.name]
        assert entry["dropped"] == {reason: len(records) for reason, records in dropped[corpus.name].items()}
        assert {reason: [example["record"] for example in some] for reason, some in entry["examples"].items()} == {
            reason: records[:3] for reason, records in dropped[corpus.name].items()
        }
        tokens = corpus.read_all()
        for number, (source, target) in enumerate(left[corpus.name]):
            assert tokens.sources[number].tolist() == TOKENIZER.encode_source([source])[0]
            assert tokens.targets[number].tolist() == TOKENIZER.encode_target([target])[0]


def _named(kind: str, by: str) -> str:
    return kind if by == "pair" else f"{kind}_{by}"


@pytest.mark.parametrize("by", ["pair", "source", "target", "either"])
def test_overlap_with_held_out_sets_is_removed(make_recipe: MakeRecipe, tmp_path: Path, by: str) -> None:
    chance = random.Random(by)
    corpora = {"one": random_pairs(chance, 90)}
    held_out = random_pairs(chance, 4)
    references = [pair[1] for pair in random_pairs(chance, 2)]
    for number, side in enumerate(("source", "target")):
        (tmp_path / f"test.{side}").write_text("".join(f"{pair[number]}\n" for pair in held_out[:2]))
        (tmp_path / f"dev.{side}").write_text("".join(f"{pair[number]}\n" for pair in held_out[2:]))
    (tmp_path / "test.second").write_text("".join(f"{text}\n" for text in references))
    sets = {
        "test": {
            "news": {
                "source": str(tmp_path / "test.source"),
                "target": [str(tmp_path / "test.target"), str(tmp_path / "test.second")],
            }
        },
        "valid": {"dev": {side: str(tmp_path / f"dev.{side}") for side in ("source", "target")}},
    }
    recipe = of_corpora(
        make_recipe(path="there"), tmp_path, corpora, filters=[{"type": "overlap", "compare": by}], **sets
    )
    held_out += [(source, reference) for (source, _), reference in zip(held_out, references, strict=False)]
    keys = ["source", "target"] if by == "either" else [by]
    expected = [
        pair
        for pair in corpora["one"]
        if not any(SIDES[key](pair) == SIDES[key](other) for key in keys for other in held_out)
    ]
    assert 0 < len(expected) < 90
    made = prepared(recipe, TOKENIZER)
    [corpus] = made.train
    assert list(zip(corpus.read_text()[0], corpus.read_text()[1], strict=True)) == expected
    assert made.manifest["corpora"]["train/one"]["dropped"] == {"overlap": 90 - len(expected)}
