"""A trained model and the settings of its recipe for evaluating it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nmt_cli import files
from nmt_cli.console import Reporter
from nmt_cli.decoding.requests import Request, in_documents
from nmt_cli.errors import ModelError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import ModelFiles, find_model

if TYPE_CHECKING:
    from nmt_cli.decoding.translator import Translator


class ScoredTranslation(Protocol):
    """The part of a translation that evaluation uses."""

    @property
    def text(self) -> str: ...

    @property
    def log_probability(self) -> float: ...

    @property
    def score(self) -> float: ...


TranslateRequests = Callable[[Sequence[Request]], Iterable[ScoredTranslation]]
"""Returns the best translation of each request, in order."""


@dataclass(frozen=True)
class EvaluatedModel:
    """A trained model and the settings of its recipe for evaluating it."""

    recipe: Recipe
    model: Path
    """Folder of the weights."""
    weights: str
    """Description of the updates that the weights come from."""
    sha256: str
    """Of the manifest."""
    recipe_sha256: str
    """Of the run's recipe with all defaults filled in."""
    folder: Callable[[str], Path]
    """From a test set to the folder of its results."""
    translate: TranslateRequests
    """Loads the weights on the first call."""


def open_model(path: Path, overrides: Sequence[str], reporter: Reporter) -> EvaluatedModel:
    """Open the model of a recipe, run, checkpoint or model folder. Its weights are loaded when first needed.

    Raises:
        ModelError: There is no model, or it does not belong to a run.
    """
    found, given = _find_model(path, overrides)
    # As in validation, translations are not checked and repaired, so that scores measure the search alone.
    recipe = given.model_copy(update={"decoding": given.decoding.model_copy(update={"check": False})})
    manifest = found.folder / files.MANIFEST
    content = files.read_json(manifest, ModelError)
    assert found.run is not None
    run, is_final = found.run, found.folder.resolve() == found.run.model.resolve()
    return EvaluatedModel(
        recipe=recipe,
        model=found.folder,
        weights=_describe_weights(content),
        sha256=files.sha256(manifest),
        recipe_sha256=files.sha256(run.resolved) if run.resolved.is_file() else "",
        folder=lambda name: run.evaluation(name if is_final else f"{name}@{found.folder.name}"),
        translate=_translate_lazily(found.folder, recipe, reporter),
    )


def _find_model(path: Path, overrides: Sequence[str]) -> tuple[ModelFiles, Recipe]:
    if path.suffix in (".yaml", ".yml") and path.is_file():
        recipe = load_recipe(path, overrides)
        return find_model(recipe.run), recipe
    found = find_model(path)
    if found.run is None:
        raise ModelError(
            f"{path}: does not belong to a run, so it has no test sets; translate a file with nmt translate and"
            " score it with nmt evaluate --hypothesis FILE --reference FILE"
        )
    return found, load_recipe(found.run.resolved, overrides)


def _translate_lazily(folder: Path, recipe: Recipe, reporter: Reporter) -> TranslateRequests:
    """Return a function that translates with the model in `folder`, which is loaded on the first call."""

    @cache
    def translator() -> "Translator":
        from nmt_cli.commands.loading import load_model  # imports torch, which takes seconds
        from nmt_cli.commands.translators import create_translator

        return create_translator(replace(load_model(folder), decoding=recipe.decoding, evaluation=recipe.evaluation))

    def translate(requests: Sequence[Request]) -> Iterator[ScoredTranslation]:
        with reporter.progress_bar("translating", "lines", total=len(requests)) as progress:
            in_context = in_documents(requests, translator().context.size)
            for translation in translator().translate(in_context, progress.advance):
                yield translation.hypotheses[0]

    return translate


def _describe_weights(manifest: Any) -> str:
    updates = manifest.get("averaged_updates") if isinstance(manifest, dict) else None
    if isinstance(updates, list) and updates:
        shown = ", ".join(str(update) for update in sorted(updates))
        return f"average of updates {shown}" if len(updates) > 1 else f"update {shown}"
    return f"update {manifest['update']}" if isinstance(manifest, dict) and "update" in manifest else "updates unknown"
