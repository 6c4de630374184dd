"""`nmt adapt`: the recipe that it writes, training, and gain and loss in and out of the domain."""

from pathlib import Path
from typing import Any

import pytest
from synthesis_project import TEXT, write_lines

from nmt_cli.commands.adapt import AdaptOptions, AdaptResult, adapt
from nmt_cli.commands.train import train
from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.loading import load_recipe

pytestmark = pytest.mark.usefixtures("project")
LIMITS = ["training.limits={updates: 4}", "training.validation.every=2", "training.schedule={type: linear, warmup: 1}"]


@pytest.fixture(autouse=True)
def domain(project: Path) -> None:
    """Text of a domain; `reverse` translates from English into German."""
    write_lines("in.en", TEXT[20:40])
    write_lines("in.de", [line[::-1] for line in TEXT[20:40]])


def run(overrides: list[str] = LIMITS, model: str = "reverse", **changes: Any) -> AdaptResult:
    options = {
        "output": Path("out"),
        "corpus": (Path("in.en"), Path("in.de")),
        "valid": (Path("dev.en"), Path("dev.de")),
    }
    found = adapt(Path(model), overrides, AdaptOptions(**{**options, **changes}))
    assert found is not None
    return found


GENERAL = {"general": (Path("train.en"), Path("train.de")), "general_valid": (Path("test.en"), Path("test.de"))}


def test_general_text_is_as_much_as_that_of_the_domain() -> None:
    write_lines("train.en", TEXT)
    write_lines("train.de", TEXT)
    recipe = load_recipe(run([], trains=False, **GENERAL).recipe)

    assert recipe.data.train["general"].weight == pytest.approx(20 / len(TEXT), abs=1e-4)
    assert recipe.training.validation.sets == "all"
    assert recipe.training.start_from == Path("reverse")
    assert (recipe.data.source_language, recipe.data.target_language) == ("en", "de")


def test_without_general_set_the_domain_decides_alone() -> None:
    recipe = load_recipe(run([], trains=False, method="lora").recipe)

    assert (list(recipe.data.train), list(recipe.data.valid)) == (["domain"], ["domain"])
    assert recipe.training.validation.sets == "first"
    assert recipe.training.lora is not None


def test_other_options_for_the_same_folder_are_refused() -> None:
    run(trains=False)
    with pytest.raises(DataError, match=r"out/recipe\.yaml"):
        run(trains=False, method="lora")
    run(trains=False)


def test_missing_text_is_named() -> None:
    with pytest.raises(NmtError, match="none: does not exist"):
        run(corpus=(Path("in.en"), Path("none")))


@pytest.mark.slow
def test_model_of_a_run_is_adapted_with_its_own_text() -> None:
    first = run(**GENERAL, method="lora")
    other = {"corpus": (write_lines("two.en", TEXT[40:]), write_lines("two.de", [line[::-1] for line in TEXT[40:]]))}
    second = run(model="out/run", output=Path("again"), **other)
    repeated = run(model="out/run", output=Path("again"), **other)

    assert [each.set_name for each in first.comparisons] == ["domain", "general"]
    assert [each.name for each in first.comparisons[0].systems] == ["before", "after"]
    assert list(load_recipe(second.recipe).data.train) == ["domain", "general-domain", "general"]
    assert [each.verdicts for each in repeated.comparisons] == [each.verdicts for each in second.comparisons]
    train(second.recipe)  # is finished
