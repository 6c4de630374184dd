"""A recipe that gives only data and model runs on any corpus, and a run keeps the defaults that it was started with."""

from pathlib import Path

import pytest

from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.train import train
from nmt_cli.data.preparation.tokenizer_training import train_adapted
from nmt_cli.data.prepared import is_current
from nmt_cli.errors import DataError
from nmt_cli.recipe.adapting import TEXT_KEYS, TRAINING_KEYS
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe

ENGLISH = ["one", "two", "three", "four", "five"]
GERMAN = ["eins", "zwei", "drei", "vier", "fünf"]
THAI = ["หนึ่ง", "สอง", "สาม", "สี่", "ห้า"]
CHINESE = ["一", "二", "三", "四", "五"]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe without any setting that adapts."""
    monkeypatch.chdir(tmp_path)
    write_corpus(ENGLISH, GERMAN)
    path = Path("bare.yaml")
    path.write_text(
        "run: run\n"
        "data:\n  source_language: en\n  target_language: de\n  prepared: prepared\n"
        "  train: {digits: {source: train.en, target: train.de}}\n"
        "  valid: {dev: {source: dev.en, target: dev.de}}\n"
        "model: {architecture: transformer, preset: tiny, width: 24, encoder_layers: 1, decoder_layers: 1}\n"
    )
    return path


def write_corpus(source: list[str], target: list[str]) -> None:
    for name, words in (("en", source), ("de", target)):
        lines = [" ".join(words[i // 5**k % 5] for k in range(1 + i % 4)) + "\n" for i in range(150)]
        Path(f"train.{name}").write_text("".join(lines))
        Path(f"dev.{name}").write_text("".join(lines[::20]))


def adapted(recipe: Recipe) -> dict[str, object]:
    keys = (key for key in (*TEXT_KEYS, *TRAINING_KEYS) if key != "training.schedule.patience")
    return {key: recipe.value(key) for key in keys}


@pytest.mark.parametrize("algorithm", ["unigram", "bpe", "character", "byte", "word"])
@pytest.mark.parametrize("joint", ["true", "false"])
@pytest.mark.parametrize("target", [GERMAN, THAI, CHINESE], ids=["german", "thai", "chinese"])
def test_any_tokenizer_can_be_trained_on_a_tiny_corpus(
    algorithm: str, joint: str, target: list[str], bare: Path
) -> None:
    settings = [f"tokenizer.algorithm={algorithm}", f"tokenizer.joint={joint}"]
    texts = [ENGLISH * 30, target * 30]
    for options in (settings, [*settings, "tokenizer.byte_fallback=false"][: None if algorithm != "byte" else 2]):
        tokenizer = train_adapted(load_recipe(bare, options), lambda: texts, seed=1, scale=1.0)
        assert tokenizer.decode_target(tokenizer.encode_target(target)) == target


@pytest.mark.slow
def test_bare_recipe_trains_and_keeps_its_defaults_when_it_resumes(bare: Path) -> None:
    preprocess(load_recipe(bare))
    train(bare, ["training.limits.updates=3", "training.validation.every=3"])
    started = load_recipe(Path("run/resolved.yaml"))
    assert started.training.schedule.warmup == 1
    train(bare, ["training.limits.updates=5", "training.validation.every=3"])
    resumed = load_recipe(Path("run/resolved.yaml"))
    assert adapted(resumed) == adapted(started)
    train(
        Path("run/resolved.yaml"), ["training.limits.updates=6"]
    )  # accepts the data that was prepared from the recipe


def test_separate_vocabularies_are_trained_with_other_tying(bare: Path) -> None:
    settings = ["tokenizer.joint=false", "training.limits.updates=1"]
    preprocess(load_recipe(bare, settings))
    train(bare, settings)
    assert load_recipe(Path("run/resolved.yaml")).model.tied_embeddings == "decoder"


def test_maximum_length_follows_from_the_algorithm(bare: Path) -> None:
    write_corpus([word * 40 for word in ENGLISH], GERMAN)
    lengths = {}
    for algorithm in ("word", "byte"):
        settings = [f"tokenizer.algorithm={algorithm}", f"data.prepared={algorithm}", "data.filters=[]"]
        summary = preprocess(load_recipe(bare, settings))
        assert summary is not None
        lengths[algorithm] = summary.settings["data.max_length"]
        (corpus,) = (each for each in summary.corpora if each.name == "train/digits")
        assert corpus.num_kept == corpus.num_read
    assert lengths["word"] == 200 < lengths["byte"]


def test_value_that_is_no_longer_given_makes_data_stale(bare: Path) -> None:
    preprocess(load_recipe(bare, ["data.max_length=7"]))
    assert not is_current(load_recipe(bare))
    with pytest.raises(DataError, match=r"data\.max_length 7"):
        train(bare)


def test_dry_run_states_the_limits_of_minutes(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess(load_recipe(bare))
    capsys.readouterr()
    train(bare, ["training.limits.minutes=2"], dry_run=True)
    assert "2 minutes" in capsys.readouterr().err
    assert not Path("run").exists()


def test_very_small_corpus_is_a_warning(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess(load_recipe(bare))
    train(bare, ["training.limits.updates=1"])
    assert "150 pairs" in capsys.readouterr().err
