"""nmt adapt: fine-tune a model for a domain, and measure what it gains there and loses elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from nmt_cli import console, files
from nmt_cli.commands.loading import config_of_model
from nmt_cli.commands.model_config import ModelConfig, named_model
from nmt_cli.commands.synthesis.inherited import inherited_settings, recipe_of
from nmt_cli.commands.synthesis.side_by_side import SideBySide, measure
from nmt_cli.commands.synthesis.training import prepare_and_train
from nmt_cli.commands.translate import raise_on_signals
from nmt_cli.console import Reporter
from nmt_cli.data.preparation.corpora import check_file, corpus_tasks
from nmt_cli.data.preparation.tokenizer_training import measure_corpora
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import AnyCorpus
from nmt_cli.recipe.loading import given_yaml, recipe_from_settings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import argument_text

Method = Literal["lora", "all"]

_LEARNING_RATES: dict[Method, float] = {"all": 2e-4, "lora": 2e-3}
_EPOCHS = 10
_PATIENCE = 5
_PAIRS_PER_UPDATE, _MIN_EVERY = 100, 50
"""The model is validated about once per epoch, assuming this many pairs in an update, but not more often than this."""
_DOMAIN, _GENERAL = "domain", "general"


@dataclass(frozen=True)
class AdaptOptions:
    """The text of the domain and of the general domain, and how to train. Files are pairs of source and target."""

    output: Path
    """Folder for recipe, prepared data and run."""
    corpus: tuple[Path, Path]
    valid: tuple[Path, Path]
    general: tuple[Path, Path] | None = None
    """Mixed in, so that the model does not forget; None: the training corpora of the model's run, if they exist."""
    general_valid: tuple[Path, Path] | None = None
    """Shows what is forgotten; None: the first validation set of the model's run, if it exists."""
    mixes: bool = True
    """Whether to mix in general text."""
    method: Method = "all"
    """Train all parameters, or adapters."""
    trains: bool = True
    """Whether to train and measure, not only to write the recipe."""


@dataclass(frozen=True)
class AdaptResult:
    """What was made."""

    recipe: Path
    run: Path
    comparisons: tuple[SideBySide, ...] = ()
    """The model before and after, in the domain and, if there is a set, outside of it."""

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self) | {"recipe": str(self.recipe), "run": str(self.run)}


def adapt(
    model: Path,
    overrides: Sequence[str],
    options: AdaptOptions,
    processes: int | None = None,
    dry_run: bool = False,
    reporter: Reporter = console,
) -> AdaptResult | None:
    """Write a recipe that fine-tunes a model for a domain, train it, and measure gain and loss.

    Rerun the same command to resume after an interruption; what is complete is not repeated.

    Args:
        overrides: Changes of the recipe that is written, as KEY=VALUE.
        processes: Number of processes that train; None: one per GPU, else one.

    Returns:
        None after a dry run.

    Raises:
        RecipeError: The options do not fit together, or do not fit the model.
        DataError: A file is missing, or the folder contains the recipe of something else.
    """
    recipe, comments = _new_recipe(model, overrides, options, reporter)
    path = _recipe_path(options)
    text = given_yaml(recipe, comments)
    if dry_run:
        reporter.info(f"would write {path}:")
        reporter.info(text)
        return None
    _write(path, text)
    if not options.trains:
        return AdaptResult(path, recipe.run)
    run = prepare_and_train(path, processes, reporter)
    systems = {"before": TranslateOptions((model,)), "after": TranslateOptions((run,))}
    with raise_on_signals():
        comparisons = tuple(measure(recipe, systems, reporter, name) for name in recipe.data.valid)
    return AdaptResult(path, run, comparisons)


def _write(path: Path, text: str) -> None:
    """Write the recipe, unless it is there. DataError if there is another one, whose run would not be resumed."""
    if not path.exists():
        with files.new_file(path) as file:
            file.write(text.encode())
    elif files.read_bytes(path) != text.encode():
        advice = "choose another --output, or remove it to write it again"
        raise DataError(f"{path}: differs from the recipe of these options; {advice}")


def _recipe_path(options: AdaptOptions) -> Path:
    return options.output / "recipe.yaml"


def _new_recipe(
    model: Path, overrides: Sequence[str], options: AdaptOptions, reporter: Reporter
) -> tuple[Recipe, Mapping[tuple[str, ...], str]]:
    """Return the recipe and its comments."""
    named, path = named_model(model), argument_text(str(_recipe_path(options)), "--output")
    config, original = config_of_model(named.files), recipe_of(named)
    general = {} if options.general is None else {_GENERAL: _pair(*options.general)}
    general_valid = None if options.general_valid is None else _pair(*options.general_valid)
    if original is not None:
        general = general or _existing(original.data.train)
        general_valid = general_valid or next(iter(_existing(original.data.valid).values()), None)
    if not options.mixes:
        general = {}
    general = {f"{_GENERAL}-{name}" if name == _DOMAIN else name: each for name, each in general.items()}
    settings = _settings(model, config, options, {_DOMAIN: _pair(*options.corpus), **general}, general_valid)
    for section, inherited in inherited_settings(named, config, reporter).items():
        settings[section] = settings.get(section, {}) | inherited
    factor, sizes = _general_factor(recipe_from_settings(settings, path))
    settings["training"]["validation"]["every"] = max(
        _MIN_EVERY, (1 + bool(general)) * sizes[_DOMAIN] // _PAIRS_PER_UPDATE
    )
    for name in general:
        given = settings["data"]["train"][name]
        given["weight"] = float(f"{factor * given.get('weight', 1.0):.4g}")
    recipe = recipe_from_settings(settings, path, overrides)
    return recipe, _comments(model, options, general, sizes, general_valid is not None)


def _settings(
    model: Path,
    config: ModelConfig,
    options: AdaptOptions,
    train: dict[str, dict[str, Any]],
    general_valid: dict[str, Any] | None,
) -> dict[str, Any]:
    valid = {_DOMAIN: _pair(*options.valid)} | ({_GENERAL: general_valid} if general_valid else {})
    training: dict[str, Any] = {"start_from": str(model)}
    if options.method == "lora":
        training["lora"] = {"rank": 16, "alpha": 32.0}
    training |= {
        "optimizer": {"learning_rate": _LEARNING_RATES[options.method]},
        "schedule": {"type": "linear"},
        "limits": {"epochs": _EPOCHS},
        "validation": {"metric": "chrf", "sets": "all" if general_valid else "first", "patience": _PATIENCE},
    }
    data = {
        "source_language": config.source_language,
        "target_language": config.target_language,
        "prepared": str(options.output / "prepared"),
        "train": {name: dict(each) for name, each in train.items()},
        "valid": valid,
    }
    return {"run": str(options.output / "run"), "data": data, "training": training}


def _comments(
    model: Path,
    options: AdaptOptions,
    general: Mapping[str, Any],
    sizes: Mapping[str, int],
    has_general_valid: bool,
) -> dict[tuple[str, ...], str]:
    path = _recipe_path(options)
    head = f"{model}, adapted to a domain; written by nmt adapt.\nnmt preprocess {path} && nmt train {path}"
    found = {
        (): head,
        ("data", "train", _DOMAIN): f"{sizes[_DOMAIN]:,} pairs of the domain",
    }
    if general:
        number = sum(sizes[name] for name in general)
        mixed = f"{number:,} general pairs against forgetting, weighted to be at most as many in each epoch"
        found["data", "train", next(iter(general))] = mixed
    if has_general_valid:
        found["training", "validation"] = "the best checkpoint has the best mean of both domains"
    return found


def _general_factor(recipe: Recipe) -> tuple[float, dict[str, int]]:
    """Return the factor on the weights of general corpora, and the number of records of each corpus."""
    tasks = [task for task in corpus_tasks(recipe) if task.is_training]
    sizes = {name.removeprefix("train/"): size.num_records for name, size in measure_corpora(tasks).items()}
    own = sizes[_DOMAIN]
    others = sum(sizes.values()) - own
    return min(1.0, own / others) if others else 1.0, sizes


def _existing(corpora: Mapping[str, AnyCorpus]) -> dict[str, dict[str, Any]]:
    """Return the corpora whose files exist, without defaults."""
    return {
        name: ({} if corpus.format == "lines" else {"format": corpus.format})
        | corpus.model_dump(mode="json", exclude_defaults=True)
        for name, corpus in corpora.items()
        if all(path.is_file() for path in corpus.files.values())
    }


def _pair(source: Path, target: Path) -> dict[str, Any]:
    for path in (source, target):
        check_file(path)
    return {"source": str(source), "target": str(target)}
