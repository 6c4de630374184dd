"""Lists of sections and dictionaries of sections with several classes: errors and overrides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.recipe.corpora import LearnedLines, LearnedTsv, TsvCorpus
from nmt_cli.recipe.filters import LanguageFilter, LengthFilter, RatioFilter, RepeatsFilter
from nmt_cli.recipe.loading import load_recipe, resolved_yaml

ErrorsOf = Callable[..., list[str]]
Write = Callable[[str | bytes], Path]

TYPES = "length, ratio, identical, script, repeats, unmatched, duplicates, near_duplicates, overlap, language, score"


def test_formats_and_filters_are_selected_by_name(messy: str, write: Write) -> None:
    data = load_recipe(write(messy)).data
    assert [corpus.format for corpus in data.train.values()] == ["lines", "tsv", "jsonl", "tsv"]
    assert isinstance(data.train["clean"], LearnedLines)
    assert data.filters[:2] == [LengthFilter(max=500), RatioFilter(max=2.5)]
    assert data.filters[3] == LanguageFilter(command="./language.sh", sides="target")


def test_resolved_recipe_with_lists_equals_the_recipe(messy: str, write: Write) -> None:
    recipe = load_recipe(write(messy))
    assert load_recipe(write(resolved_yaml(recipe))) == recipe


@pytest.mark.parametrize("name", ["1", "0o7", "08", "1e4", "true", "~", "no", "+3", "1_0", "-", "a: b"])
def test_column_name_that_looks_like_another_type_stays_text(name: str, messy: str, write: Write) -> None:
    recipe = load_recipe(write(messy), [f'data.train.web.source="{name}"'])
    web = load_recipe(write(resolved_yaml(recipe))).data.train["web"]
    assert isinstance(web, TsvCorpus)
    assert web.source == name


@pytest.mark.parametrize(("typed", "column"), [("2", 2), ("02", 2), ('"2"', "2"), ("1.10", "1.10"), ("true", "true")])
def test_column_is_an_index_or_a_name(typed: str, column: int | str, messy: str, write: Write) -> None:
    web = load_recipe(write(messy), [f"data.train.web.source={typed}"]).data.train["web"]
    assert isinstance(web, TsvCorpus)
    assert web.source == column


@pytest.mark.parametrize(
    ("line", "place", "key", "keyword"),
    [
        ("- {type: length, max: 0}", "17:22", "data.filters.2.max", "1"),
        ("- {type: ratio, maxx: 3}", "17:21", "data.filters.2.maxx", "max?"),
        ("- {type: ratio, kinds: []}", "17:21", "data.filters.2.kinds", "unmatched"),
        ("- {type: repeats, tolernce: 2}", "17:23", "data.filters.2.tolernce", "data.filters.NUMBER.tolerance?"),
        ("- {typ: ratio}", "17:8", "data.filters.2.typ", "type?"),
        ("- {}", "17:7", "data.filters.2.type", TYPES),
        ("- {max: 3}", "17:7", "data.filters.2.type", TYPES),
        ("- {type: rato}", "17:8", "data.filters.2.type", "ratio?"),
        ("- {type: [ratio]}", "17:8", "data.filters.2.type", "ratio?"),
        ("- ratio", "17:7", "data.filters.2", "{type: ratio}"),
        ("- 3", "17:7", "data.filters.2", "not 3"),
        ("-", "17:6", "data.filters.2", "not empty"),
        ("- [x]", "17:7", "data.filters.2", "list"),
        ("- {type: unmatched, kinds: []}", "17:25", "data.filters.2.kinds", "1"),
        ("- {type: unmatched, kinds: [url, mail]}", "17:38", "data.filters.2.kinds.2", "email?"),
        ("- {type: language, command: ''}", "17:24", "data.filters.2.command", '""'),
        ("- {type: score, command: x}", "17:7", "data.filters.2.min", "max"),
    ],
)
def test_error_in_a_list_item_is_one_line(
    line: str, place: str, key: str, keyword: str, messy: str, errors_of: ErrorsOf
) -> None:
    (error,) = errors_of(messy.replace("    - type: ratio\n      max: 2.5\n", f"    {line}\n"))
    assert error.startswith(f"r.yaml:{place}: {key}: ")
    assert keyword in error


@pytest.mark.parametrize("option", ["data.filters=ratio", "training.mixing.stages={weights: {clean: 1}}"])
def test_other_value_instead_of_a_list_is_reported(option: str, messy: str, errors_of: ErrorsOf) -> None:
    (error,) = errors_of(messy, option)
    assert error.startswith(f"--set {option}: {option.partition('=')[0]}: ")
    assert "list" in error


@pytest.mark.parametrize(
    ("corpus", "place", "key", "keyword"),
    [
        ("{format: foo}", "8:11", "format", "tmx"),
        ("{format: tvs}", "8:11", "format", "tsv?"),
        ("{format: tmx, file: x, source: 1}", "8:33", "source", "tmx"),
        ("{format: tsv, file: x, weigth: 2}", "8:33", "weigth", "weight?"),
        ("{format: tsv, file: x, source: 0}", "8:33", "source", "1"),
        ("{format: tsv, file: x, source: [1]}", "8:33", "source", "list"),
        ("{format: tsv, file: x, source: ''}", "8:33", "source", '""'),
        ("{format: tsv, file: x, source: 2}", "8:33", "source", "2"),
        ("{format: jsonl, file: x, target: source}", "8:35", "target", "source"),
        ("{format: tsv}", "8:5", "file", ""),
        ("{source: x}", "8:5", "target", ""),
        ("{source: x, target: y, fromat: lines}", "8:33", "fromat", "format?"),
        ("{source: x, target: y, tag: a b}", "8:33", "tag", '"a b"'),
    ],
)
def test_error_in_a_corpus_is_one_line(
    corpus: str, place: str, key: str, keyword: str, messy: str, errors_of: ErrorsOf
) -> None:
    lines = messy.split("\n")
    lines[7] = f"    web: {corpus}"
    (error,) = errors_of("\n".join(lines))
    assert error.startswith(f"r.yaml:{place}: data.train.web.{key}: ")
    assert keyword in error


@pytest.mark.parametrize("corpus", ["web.tsv", ""])
def test_corpus_that_is_no_section_is_read_as_a_name(corpus: str, messy: str, errors_of: ErrorsOf) -> None:
    lines = messy.split("\n")
    lines[7] = f"    web: {corpus}"
    (error,) = errors_of("\n".join(lines))
    assert error.startswith("r.yaml:8:5: data.train.web: ")
    assert "source" in error and "target" in error


@pytest.mark.parametrize("name", ["a b", "[key]", "", "-"])
def test_invalid_corpus_name_is_reported(name: str, messy: str, errors_of: ErrorsOf) -> None:
    text = messy.replace("    web:", f'    "{name}":')
    (error,) = errors_of(text)
    assert error.startswith(f"r.yaml:8:5: data.train.{name}: ")
    assert error.endswith(f'"{name}"')


@pytest.mark.parametrize("key", ["data.train", "data.test", "data.train.web.factors", "data.context", "data"])
def test_names_that_look_like_pydantic_marks_are_reported(key: str, messy: str, errors_of: ErrorsOf) -> None:
    assert errors_of(messy, f"{key}={{'[key]': 1}}")


# Settings of the command line


def test_override_sets_list_items_by_one_based_index(messy: str, write: Write) -> None:
    options = ["data.filters.2.max=4", "data.filters.1={type: repeats}", "training.mixing.stages.1.weights.clean=5"]
    recipe = load_recipe(write(messy), [*options, "tokenizer.symbols.1=<p>"])
    assert recipe.data.filters[:2] == [RepeatsFilter(), RatioFilter(max=4)]
    assert recipe.training.mixing.stages[0].weights == {"back": 7, "clean": 5}
    assert recipe.tokenizer.symbols == ["<p>"]


@pytest.mark.parametrize("number", ["0", "5", "-1", "last", "01", ""])
def test_override_refuses_index_outside_the_list(number: str, messy: str, errors_of: ErrorsOf) -> None:
    option = f"data.filters.{number}.max=3"
    (error,) = errors_of(messy, option)
    assert error.startswith(f"--set {option}: data.filters ")
    assert "1 to 4" in error


def test_override_of_format_drops_settings_with_another_meaning(messy: str, write: Write) -> None:
    options = ["data.train.clean.format=tsv", "data.train.clean.file=x", "data.train.clean.factors={pos: 3}"]
    clean = load_recipe(write(messy), options).data.train["clean"]
    assert clean == LearnedTsv(file=Path("x"), factors={"pos": 3})


def test_override_of_format_keeps_settings_with_the_same_meaning(messy: str, write: Write) -> None:
    options = ["data.train.web.format=tmx", "data.train.web.file=x", "data.factors=[]"]
    with_weight = messy.replace(", factors: {pos: 4}", "")
    for name in ("clean", "back", "french"):
        options.append(f"data.train.{name}.factors={{}}")
    options += ["data.valid.dev.factors={}", "data.test.blind.factors={}"]
    assert load_recipe(write(with_weight), options).data.train["web"].weight == 0.5


def test_overrides_are_kept_in_any_order(messy: str, write: Write) -> None:
    options = ["data.train.clean.source=5", "data.train.clean.factors={pos: 3}", "data.train.clean.format=tsv"]
    clean = load_recipe(write(messy), [*options, "data.train.clean.file=x"]).data.train["clean"]
    assert clean == LearnedTsv(file=Path("x"), source=5, factors={"pos": 3})


def test_override_of_filter_type_drops_settings_of_the_old_type(messy: str, write: Write) -> None:
    filters = load_recipe(write(messy), ["data.filters.1.type=ratio"]).data.filters
    assert filters[0] == RatioFilter()
