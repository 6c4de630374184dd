"""`nmt adapt`: the recipe that it writes, training, and gain and loss in and out of the domain."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from synthesis_project import TEXT, write_lines
from toy_model import save_toy_model

from nmt_cli.commands.adapt import AdaptOptions, AdaptResult, adapt
from nmt_cli.commands.train import train
from nmt_cli.errors import DataError, NmtError
from nmt_cli.recipe.loading import load_recipe, recipe_from_settings, resolved_yaml

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


def fake_run(**sections: dict[str, Any]) -> Path:
    """A run whose model is `reverse`, as someone else may have sent it."""
    settings: dict[str, Any] = {
        "run": "their",
        "data": {
            "source_language": "en",
            "target_language": "de",
            "prepared": "p",
            "train": {"web": {"format": "tsv", "file": "web.tsv"}},
            "valid": {"dev": {"source": "dev.en", "target": "dev.de"}},
        },
        "model": {"architecture": "transformer", "preset": "tiny"},
    }
    for name, section in sections.items():
        settings[name] = {**settings.get(name, {}), **section}
    write_lines("web.tsv", [f"{line}\t{line[::-1]}" for line in TEXT])
    shutil.copytree("reverse", "their/model")
    Path("their/run.json").write_text("{}")
    Path("their/resolved.yaml").write_text(resolved_yaml(recipe_from_settings(settings, "their")))
    Path("their.yaml").write_text(Path("their/resolved.yaml").read_text())
    return Path("their")


def test_settings_of_the_model_are_kept() -> None:
    fake_run(
        data={"filters": [{"type": "repeats"}, {"type": "length", "max": 900}]},
        evaluation={"metrics": ["chrf", "ter"]},
        training={"label_smoothing": 0.05},
        decoding={"beam_size": 3},
    )
    recipe = load_recipe(run(["seed=7", "training.validation.patience=2"], "their", trains=False).recipe)

    assert [each.type for each in recipe.data.filters] == ["repeats", "length"]
    assert recipe.evaluation.metrics == ["chrf", "ter"]
    assert recipe.training.label_smoothing == 0.05
    assert recipe.decoding.model_dump()["beam_size"] == 3
    assert (recipe.seed, recipe.training.validation.patience) == (7, 2)
    assert list(recipe.data.train) == ["domain", "web"]


def test_defaults_of_the_model_are_not_written() -> None:
    fake_run()
    text = run(["seed=7"], "their", trains=False).recipe.read_text()

    for section in ("decoding:", "evaluation:", "filters:", "label_smoothing:"):
        assert section not in text


def test_inputs_of_a_model_without_its_run_are_kept() -> None:
    save_toy_model(Path("copied"), ["length:short", "length:normal", "length:long"], length_tags=True)
    recipe = load_recipe(run([], "copied", trains=False).recipe)
    assert recipe.data.length_tags


COMMANDS = {
    "data": {"filters": [{"type": "repeats"}, {"type": "language", "command": "touch pwned; cat"}]},
    "evaluation": {"external": {"comet": {"command": ["touch", "pwned", "{hypothesis}"]}}},
}


def test_program_named_only_by_a_run_is_left_out_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    fake_run(**COMMANDS)
    path = run([], "their", trains=False).recipe
    recipe, (filters, external) = load_recipe(path), capsys.readouterr().err.splitlines()

    assert "touch" not in path.read_text()
    assert [each.type for each in recipe.data.filters] == ["repeats"]
    assert filters.startswith("nmt: warning: their/resolved.yaml: data.filters.2: is left out")
    assert "`touch pwned; cat`" in filters
    assert external.startswith("nmt: warning: their/resolved.yaml: evaluation.external.comet: is left out")


def test_programs_of_the_users_own_recipe_and_options_are_kept() -> None:
    fake_run(**COMMANDS)
    kept = load_recipe(run([], "their.yaml", trains=False).recipe)
    setting = "data.filters=[{type: language, command: cat}]"
    added = load_recipe(run([setting], "their", output=Path("other"), trains=False).recipe)

    assert [each.type for each in kept.data.filters] == ["repeats", "language"]
    assert list(kept.evaluation.external) == ["comet"]
    assert [each.type for each in added.data.filters] == ["language"]


def test_folders_around_the_output_are_created() -> None:
    assert run([], output=Path("new/out"), trains=False).recipe == Path("new/out/recipe.yaml")


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
