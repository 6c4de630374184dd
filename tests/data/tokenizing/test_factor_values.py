"""Values of factors have ids, which are saved with the tokenizer and belong to its fingerprint."""

import json
from collections import Counter
from pathlib import Path

import pytest

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import MAX_VALUES, FactorValues
from nmt_cli.errors import ModelError
from nmt_cli.recipe.data import TokenizerSettings


@pytest.fixture(scope="module")
def plain() -> Tokenizer:
    lines = [f"{one} {other}" for one in ("ab", "bc", "cd", "de") for other in ("ea", "eb", "ec")]
    return Tokenizer.train(TokenizerSettings(algorithm="character", byte_fallback=False), lines, lines, seed=1)


def test_ids_are_by_frequency_and_0_for_unknown_values() -> None:
    factors = FactorValues.learn({"pos": Counter(VERB=2, NOUN=3, ADJ=2), "case": Counter(up=1)})
    assert factors.values == {"pos": ["NOUN", "ADJ", "VERB"], "case": ["up"]}
    assert factors.sizes == (4, 2)
    assert factors.ids([["VERB", "X", "NOUN"], ["up", "up", "down"]]) == [[3, 0, 1], [1, 1, 0]]


def test_learn_keeps_the_most_frequent_values() -> None:
    counts = Counter({f"{number:05}": 2 for number in range(MAX_VALUES)}) + Counter(["rare"])
    assert FactorValues.learn({"lemma": counts}).sizes == (2**16,)
    assert "rare" not in FactorValues.learn({"lemma": counts}).values["lemma"]


def test_factor_values_are_saved_with_the_tokenizer_in_order(plain: Tokenizer, tmp_path: Path) -> None:
    factors = FactorValues({"pos": ["NOUN", "Ä b"], "case": []})
    plain.with_factors(factors).save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.factors == factors != FactorValues({"case": [], "pos": ["NOUN", "Ä b"]})
    assert loaded.fingerprint == plain.with_factors(factors).fingerprint
    assert loaded.with_tags(["new"]).factors == factors


def test_fingerprint_depends_on_factor_values(plain: Tokenizer) -> None:
    kinds = [{}, {"pos": ["A", "B"]}, {"pos": ["B", "A"]}, {"case": ["A", "B"]}, {"pos": ["A"], "case": ["B"]}]
    assert len({plain.with_factors(FactorValues(each)).fingerprint for each in kinds}) == len(kinds)
    assert plain.with_factors(FactorValues()).fingerprint == plain.fingerprint


@pytest.mark.parametrize("factors", [[], {"pos": "NOUN"}, {"pos": [1]}, {"pos": ["A", "A"]}])
def test_load_damaged_factors_is_a_model_error(plain: Tokenizer, tmp_path: Path, factors: object) -> None:
    plain.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"factors": factors}))
    with pytest.raises(ModelError, match="factors"):
        Tokenizer.load(tmp_path)
