"""Load recipes, apply overrides, and resolve defaults."""

import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.decoding import BeamSettings, InferenceSettings, SamplingSettings
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import given_yaml, load_recipe, override, resolved_yaml
from nmt_cli.recipe.loading.schema_walk import sections
from nmt_cli.recipe.model import RnnSettings, TransformerSettings
from nmt_cli.recipe.optimization import AdamWSettings, InverseSqrtSettings, SgdSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.section import Section

Write = Callable[[str | bytes], Path]

SETTINGS = sorted(
    {name for classes in sections(Recipe).values() for section in classes for name in section.model_fields}
)
few = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
many = settings(few, max_examples=300)


def test_load_recipe_fills_in_defaults(good: str, write: Write) -> None:
    recipe = load_recipe(write(good))
    assert recipe.run == Path("runs/small")
    assert recipe.data.test["blind"].target == [Path("test.de"), Path("test2.de")]
    assert recipe.training.limits.updates == 100
    assert recipe.training.limits.epochs is None
    assert recipe.decoding == BeamSettings()


def test_sizes_override_the_preset(good: str, write: Write) -> None:
    model = load_recipe(write(good), ["model.width=64"]).model
    assert isinstance(model, TransformerSettings)
    assert (model.width, model.feed_forward, model.heads) == (64, 256, 4)


@pytest.mark.parametrize("word", ["no", "on", "off", "yes", "true", "NO"])
def test_language_code_that_looks_like_another_type_stays_text(word: str, good: str, write: Write) -> None:
    recipe = load_recipe(write(good.replace(": en", f": {word}").replace("news.en", word)))
    assert recipe.data.source_language == word
    assert recipe.data.train["news"].source == Path(word)


@pytest.mark.parametrize("typed", ["010", "1:30", "1_000", "1.10", "2016-01-01", "0x10", "1e4", ".inf", "-0", "True"])
def test_unquoted_text_stays_as_typed(typed: str, good: str, write: Write) -> None:
    recipe = load_recipe(write(good.replace("runs/small", typed).replace("test.de", typed)), [f"data.prepared={typed}"])
    assert recipe.run == recipe.data.prepared == recipe.data.test["blind"].target[0] == Path(typed)
    assert load_recipe(write(resolved_yaml(recipe))) == recipe


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("recipes/*.yaml")), ids=lambda path: path.stem)
def test_given_yaml_has_what_was_given_and_comments(path: Path, write: Write) -> None:
    recipe = load_recipe(path)
    first = next(iter(recipe.data.train))
    text = given_yaml(recipe, {(): "one\ntwo", ("data", "train", first): "three"})
    written = load_recipe(write(text))

    assert written == recipe
    assert written.model_dump(exclude_unset=True) == recipe.model_dump(exclude_unset=True)
    assert text.startswith("# one\n# two\nrun: ")
    assert f"    # three\n    {first}: " in text


@pytest.mark.parametrize(("typed", "value"), [("3e-4", 3e-4), ("1e-4", 1e-4), ("1.e-4", 1e-4), ("1", 1.0), (".5", 0.5)])
def test_float_is_read_in_every_notation(typed: str, value: float, good: str, write: Write) -> None:
    assert (
        load_recipe(write(good), [f"training.optimizer.learning_rate={typed}"]).training.optimizer.learning_rate
        == value
    )


def test_optimizer_without_type_is_the_default(good: str, write: Write) -> None:
    text = good + "  optimizer: {learning_rate: 2e-3}\n  schedule: {warmup: 10}\n"
    training = load_recipe(write(text)).training
    assert training.optimizer == AdamWSettings(learning_rate=2e-3)
    assert training.schedule == InverseSqrtSettings(warmup=10)


@pytest.mark.parametrize(("typed", "value"), [("010", 10), ("0x10", 16)])
def test_integer_is_read_in_every_notation(typed: str, value: int, good: str, write: Write) -> None:
    assert load_recipe(write(good.replace("100", typed))).training.limits.updates == value


@pytest.mark.parametrize("name", ["a b", "é", "-x", "x" * 250, "a#b", "~/x", "a'b", "a\\b", "日本"])
def test_unusual_file_names_are_kept(name: str, good: str, write: Write) -> None:
    assert load_recipe(write(good.replace("runs/small", f'"{name}"' if "\\" not in name else name))).run == Path(name)


@given(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=60))
@example("no").via("a word")
@example("1e4").via("a number")
@example("a\nb ").via("lines")
@example("\udcff").via("not UTF-8")
@example("a\x85b\u2028").via("what YAML takes for a line break")
@few
def test_resolved_recipe_equals_the_recipe(write: Write, good: str, name: str) -> None:
    recipe = load_recipe(write(good)).model_copy(update={"run": Path(name)})
    assert load_recipe(write(resolved_yaml(recipe))) == recipe


def test_resolved_recipe_has_every_setting(good: str, write: Write) -> None:
    recipe = load_recipe(write(good))
    text = resolved_yaml(recipe)
    for section in sections_of(recipe):
        assert all(f"{name}:" in text for name in type(section).model_fields)


def sections_of(value: object) -> Iterator[Section]:
    """Yield a section and the sections inside it."""
    if isinstance(value, Section):
        yield value
        value = dict(value)
    if isinstance(value, dict):
        for inner in value.values():
            yield from sections_of(inner)


# Settings of the command line


def test_last_override_wins(good: str, write: Write) -> None:
    recipe = load_recipe(write(good), ["training.limits.updates=5", "seed=2", "seed=3", "run=runs/=x"])
    assert (recipe.training.limits.updates, recipe.seed, recipe.run) == (5, 3, Path("runs/=x"))


def test_override_sets_keys_of_missing_sections(good: str, write: Write) -> None:
    recipe = load_recipe(write(good), ["tokenizer.joint=false", "model.norm.type=rms", "model.tied_embeddings=none"])
    assert not recipe.tokenizer.joint
    assert isinstance(recipe.model, TransformerSettings)
    assert recipe.model.norm.type == "rms"


def test_override_reaches_corpora_by_name(good: str, write: Write) -> None:
    text = good.replace("blind:", "blind.2016:")
    added = "data.train.more={source: m.en, target: m.de}"
    data = load_recipe(write(text), ["data.test.blind.2016.source=x", added]).data
    assert data.test["blind.2016"].source == Path("x")
    assert list(data.train) == ["news", "more"]


def test_override_replaces_invalid_value(good: str, write: Write) -> None:
    assert load_recipe(write(good.replace("100", "many")), ["training.limits.updates=7"]).training.limits.updates == 7


@pytest.mark.parametrize("option", ["seed", "=3", ""])
def test_override_without_key_or_value_is_refused(option: str, good: str, write: Write) -> None:
    with pytest.raises(RecipeError, match=rf"^--set {option}: "):
        load_recipe(write(good), [option])


@pytest.mark.parametrize(
    "option", ["seed=[", "seed=1: 2: 3", "seed=*x", "seed=!!int 3", "seed={a: 1, a: 2}", "run.x=3"]
)
def test_invalid_override_is_named(option: str, good: str, write: Write) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(good), [option])
    assert all(line.startswith(f"--set {option}: ") for line in str(caught.value).split("\n"))


def test_override_selects_another_architecture(good: str, write: Write) -> None:
    text = good.replace("preset: tiny", "preset: tiny\n  heads: 2\n  dropout: 0.3")
    model = load_recipe(write(text), ["model.architecture=rnn"]).model
    assert isinstance(model, RnnSettings)
    assert model.dropout == 0.3


def test_override_of_optimizer_drops_settings_of_the_old_one(good: str, write: Write) -> None:
    text = good + "  optimizer: {learning_rate: 2e-3, weight_decay: 0.1, betas: [0.9, 0.99]}\n"
    chosen = load_recipe(write(text), ["training.optimizer.type=sgd", "training.optimizer.momentum=0.5"])
    assert chosen.training.optimizer == SgdSettings(type="sgd", learning_rate=2e-3, weight_decay=0.1, momentum=0.5)


# What may change when a model stands


def test_override_changes_only_the_given_settings() -> None:
    stored = InferenceSettings(decoding=BeamSettings(beam_size=4, length_penalty=0.6))
    changed = override(stored, ["decoding.beam_size=1", "evaluation.samples=0"])
    assert changed.decoding == BeamSettings(beam_size=1, length_penalty=0.6)
    assert changed.evaluation == Evaluation(samples=0)
    assert override(stored, []) == stored


def test_default_beam_does_not_grow_with_the_number_of_translations() -> None:
    with pytest.raises(RecipeError, match="n_best"):  # another beam could find another best translation
        override(InferenceSettings(), ["decoding.n_best=6"])


def test_default_beam_fits_an_override_of_the_number_of_groups() -> None:
    changed = override(InferenceSettings(), ["decoding.num_beam_groups=3"])
    assert changed.decoding == BeamSettings(num_beam_groups=3, beam_size=6)


def test_override_of_strategy_drops_settings_of_the_old_one() -> None:
    stored = InferenceSettings(decoding=BeamSettings(beam_size=4, length_penalty=0.6))
    changed = override(stored, ["decoding.strategy=sampling", "decoding.top_k=10"])
    assert changed.decoding == SamplingSettings(strategy="sampling", length_penalty=0.6, top_k=10)
    assert override(changed, ["decoding.strategy=beam"]).decoding == BeamSettings(length_penalty=0.6)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["decoding.strategy=sampling", "decoding.beam_size=3"], "decoding.beam_size"),
        (["training.limits.updates=3"], "training"),
        (["decoding.beam_size=5", "decoding.n_best=6"], "decoding.n_best"),
    ],
)
def test_override_refuses_invalid_settings(options: list[str], key: str) -> None:
    with pytest.raises(RecipeError, match=rf"^--set {options[-1]}: {key}: "):
        override(InferenceSettings(), options)


# Whatever a recipe holds, it is a recipe or a error that is told

scalars = st.one_of(
    st.sampled_from(
        ["", "~", "no", "true", "ten", ".nan", "-.inf", "1e400", "-1", "0", "1.5", "1_0", "'", '"', "&a", "*a", "0o7"]
    ),
    st.sampled_from(["{}", "[]", "ratio", "{type: score, max: 1}", "tsv", "{format: tmx, file: x}", "'[key]': x"]),
    st.integers().map(str),
    st.floats().map(str),
    st.text(string.printable, max_size=8),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(SETTINGS), inner, max_size=3).map(
            lambda items: f"{{{', '.join(f'{name}: {value}' for name, value in items.items())}}}"
        ),
    ),
    max_leaves=4,
)
inner_keys = st.one_of(
    st.sampled_from(["data.train.web", "data.train.x", "data.valid.dev", "data.train.web.factors"]),
    st.sampled_from(["data.filters", "data.filters.1", "data.filters.2", "tokenizer.symbols.1"]),
    st.sampled_from(["training.mixing.stages", "training.mixing.stages.1"]),
)
keys = st.one_of(
    st.lists(st.sampled_from([*SETTINGS, "news", "x", "1"]), min_size=1, max_size=4).map(".".join),
    inner_keys,
    st.tuples(inner_keys, st.sampled_from([*SETTINGS, "x", "0", "2"])).map(".".join),
)


def loads_or_is_refused(path: Path, overrides: list[str]) -> None:
    try:
        recipe = load_recipe(path, overrides)
    except RecipeError as error:
        assert all(line.startswith(("r.yaml:", "--set ")) for line in str(error).split("\n"))
    else:
        path.write_text(resolved_yaml(recipe))
        assert load_recipe(path) == recipe


@st.composite
def changed_text(draw: st.DrawFn, text: str) -> str:
    """Return a recipe with a few characters replaced."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 8)))
    inserted = draw(st.one_of(scalars, st.text(max_size=4), st.sampled_from(SETTINGS)))
    return text[:start] + inserted + text[end:]


@st.composite
def moved_line(draw: st.DrawFn, text: str) -> str:
    """Return a recipe with a line moved or indented differently."""
    lines = text.split("\n")
    moved = lines.pop(draw(st.integers(0, len(lines) - 1))).strip()
    lines.insert(draw(st.integers(0, len(lines))), " " * draw(st.integers(0, 4)) + moved)
    return "\n".join(lines)


@given(key=keys, value=values)
@few
def test_any_value_of_any_key_is_accepted_or_refused(write: Write, good: str, messy: str, key: str, value: str) -> None:
    loads_or_is_refused(write(good), [f"{key}={value}"])
    loads_or_is_refused(write(messy), [f"{key}={value}"])


@given(data=st.data())
@few
def test_any_edit_of_a_recipe_is_accepted_or_refused(write: Write, messy: str, data: st.DataObject) -> None:
    text = data.draw(st.one_of(changed_text(messy), moved_line(messy)))
    loads_or_is_refused(write(text.encode("utf-8", "replace")), [])


@pytest.mark.slow
@given(key=keys, value=values, data=st.data())
@many
def test_many_edits_are_accepted_or_refused(
    write: Write, good: str, messy: str, key: str, value: str, data: st.DataObject
) -> None:
    recipe = data.draw(st.sampled_from([good, messy]))
    loads_or_is_refused(write(recipe), [f"{key}={value}"])
    text = data.draw(st.one_of(changed_text(recipe), moved_line(recipe)))
    loads_or_is_refused(write(text.encode("utf-8", "replace")), [])


def test_file_name_that_no_folder_can_hold_is_an_error(write: Write, good: str) -> None:
    with pytest.raises(RecipeError, match=r"prepared.*at most 255 bytes"):
        load_recipe(write(good.replace("data/prepared", "data/" + "ü" * 128)))
