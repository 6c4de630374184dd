"""The Python interface, whose names `nmt_cli` provides: the commands as functions that print nothing.

Programs import it, and no module of the package does. Every function raises the errors of the command line.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from nmt_cli import console
from nmt_cli.api.settings import OnMessage, PathLike, RecipeChanges, TranslateSettings, messages, to_overrides
from nmt_cli.errors import DataError, RecipeError

if TYPE_CHECKING:  # importing this module must not import torch, which takes seconds
    from nmt_cli.api.translator import LoadedTranslator
    from nmt_cli.commands.evaluate import EvaluationResult
    from nmt_cli.models.attention.recording import AttentionKind
    from nmt_cli.recipe.schema import Recipe
    from nmt_cli.reporting.plots.attention import AttentionHeads


def load_recipe(path: PathLike, settings: RecipeChanges | None = None) -> "Recipe":
    """Read and validate a recipe. Raises RecipeError with a line for each error."""
    from nmt_cli.recipe.loading import load_recipe

    return load_recipe(Path(path), to_overrides(settings))


def preprocess(
    recipe: PathLike, settings: RecipeChanges | None = None, *, processes: int = 1, on_message: OnMessage | None = None
) -> None:
    """Prepare the data of a recipe, as `nmt preprocess` does, unless that is done."""
    from nmt_cli.commands.preprocess import preprocess

    with messages(on_message):
        preprocess(load_recipe(recipe, settings), num_processes=processes)


def train(
    recipe: PathLike,
    settings: RecipeChanges | None = None,
    *,
    run: PathLike | None = None,
    fresh: bool = False,
    on_message: OnMessage | None = None,
) -> Path:
    """Train a recipe's model in this process, or resume its run, and return the run directory.

    In the main thread, Ctrl-C saves and raises StoppedError; the same call then resumes the run.

    Args:
        run: Run directory; overrides `run` of the recipe.
        fresh: Move an existing run aside and start a new one.
    """
    from nmt_cli.commands.train import train

    run_path = None if run is None else Path(run)
    with messages(on_message):
        train(Path(recipe), to_overrides(settings), run_path, fresh, processes=1)
    return run_path or load_recipe(recipe, settings).run


def read_metrics(run: PathLike) -> Iterator[dict[str, Any]]:
    """Yield the records of a run's metrics.jsonl as docs/training.md describes them, also while it is trained.

    A line that is incomplete or damaged is left out. Raises ModelError if the run does not exist.
    """
    from nmt_cli.runs.directory import RunDirectory
    from nmt_cli.runs.journal import read_records

    records = read_records(RunDirectory(Path(run)).metrics)
    return (record for record in records if isinstance(record, dict))


def evaluate(
    model: PathLike,
    tests: Sequence[str] = (),
    settings: RecipeChanges | None = None,
    *,
    robustness: bool = False,
    adapter: PathLike | None = None,
    allow_commands: bool = False,
    on_message: OnMessage | None = None,
) -> "list[EvaluationResult]":
    """Score a model on test sets of its recipe, as `nmt evaluate` does, which writes the results to the run.

    Args:
        tests: Names of test or validation sets; empty for all test sets.
        robustness: Also translate the test sets with capitals, typos and without final punctuation.
        allow_commands: Run the programs of `evaluation.external` and `evaluation.comet` even if they come from a run.
    """
    from nmt_cli.commands.evaluate import evaluate_model
    from nmt_cli.commands.evaluation_inputs import open_model

    adapter_path = None if adapter is None else Path(adapter)
    with messages(on_message):
        opened = open_model(Path(model), to_overrides(settings), console, allow_commands, adapter_path)
        return list(evaluate_model(opened, tests, robustness, console))


def evaluate_texts(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    sources: Sequence[str] | None = None,
    settings: RecipeChanges | None = None,
    *,
    target_language: str | None = None,
    on_message: OnMessage | None = None,
) -> "EvaluationResult":
    """Score translations of any system. Nothing is written.

    Args:
        references: A line for each translation, or several lists of such lines.
        sources: Source lines, which some metrics need.
        target_language: Selects the tokenizers of metrics.
    """
    from nmt_cli.commands import evaluate
    from nmt_cli.evaluation.metrics.metric import EvaluationTexts

    lists = [[each for each in references if isinstance(each, str)]] if _is_flat(references) else references
    given = [*lists, *([] if sources is None else [sources])]
    if not hypotheses or not lists or any(len(each) != len(hypotheses) for each in given):
        counts = ", ".join(str(len(each)) for each in given)
        raise DataError(f"{len(hypotheses)} hypotheses, but {counts} references and sources; give one for each")
    texts = EvaluationTexts(hypotheses, [list(each) for each in lists], sources)
    with messages(on_message):
        return evaluate.evaluate_texts("hypotheses", texts, target_language, to_overrides(settings), console)


def load_translator(
    *models: PathLike,
    weights: Sequence[float] = (),
    adapter: PathLike | None = None,
    on_message: OnMessage | None = None,
    **settings: Unpack[TranslateSettings],
) -> "LoadedTranslator":
    """Load a model to the best device; several models form an ensemble.

    Args:
        models: Run directories, recipes, checkpoints or model folders.
        weights: Weight of each model in the ensemble; empty: all equal.
        adapter: A run with an adapter, or the folder of one, to be merged into the only model.
        settings: Options and `decoding` settings of all translations that do not change them.
    """
    from nmt_cli.api.translator import LoadedTranslator, with_settings
    from nmt_cli.decoding.requests import TranslateOptions

    if not models:
        raise RecipeError("load_translator: give at least one model")
    paths, adapter_path = tuple(map(Path, models)), None if adapter is None else Path(adapter)
    options = TranslateOptions(models=paths, weights=tuple(weights), adapter=adapter_path)
    return LoadedTranslator(with_settings(options, settings), on_message)


def attention(
    model: PathLike, line: str, translation: str | None = None, kind: "AttentionKind" = "cross"
) -> "AttentionHeads":
    """Return the attention of each layer and head of a model for a line, which a notebook draws.

    Args:
        translation: None to translate the line with the model.
        kind: `cross`, from target to source, or the self-attention of `encoder` or `decoder`.
    """
    from nmt_cli.commands.attention import attention_heads
    from nmt_cli.decoding.requests import TranslateOptions

    path = Path(model)
    with messages(None):
        return attention_heads(line, translation, kind, TranslateOptions((path,)))


def _is_flat(references: Sequence[object]) -> bool:
    return bool(references) and isinstance(references[0], str)
