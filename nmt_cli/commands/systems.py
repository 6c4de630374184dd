"""What can be evaluated: a trained model and what its recipe says of evaluating it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nmt_cli import console, files
from nmt_cli.decoding.requests import Request, in_documents
from nmt_cli.errors import ModelError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import ModelFiles, find_model

if TYPE_CHECKING:
    from nmt_cli.decoding.translator import Translator


class Translated(Protocol):
    """What evaluation keeps of a translation."""

    @property
    def text(self) -> str: ...

    @property
    def log_probability(self) -> float: ...

    @property
    def score(self) -> float: ...


Translate = Callable[[Sequence[Request]], Iterable[Translated]]
"""Lines in, the best translation of each out, in order."""


@dataclass(frozen=True)
class System:
    """A trained model and what its recipe says of evaluating it."""

    recipe: Recipe
    model: Path
    """Its folder."""
    weights: str
    """Which updates it comes from."""
    sha256: str
    """Of its manifest."""
    recipe_sha256: str
    """Of the run's recipe with every default filled in."""
    folder: Callable[[str], Path]
    """Where the results of a test set go."""
    translate: Translate
    """Loads the model when first asked."""


def open_system(path: Path, overrides: Sequence[str]) -> System:
    """The model that `path` names, by its recipe, run, checkpoint or folder; its weights are not loaded yet."""
    found, told = _find(path, overrides)
    # Search alone is measured, as in validation: what looks wrong stays as it is.
    recipe = told.model_copy(update={"decoding": told.decoding.model_copy(update={"check": False})})
    manifest = found.folder / files.MANIFEST
    content = files.read_json(manifest, ModelError)
    assert found.run is not None
    run, is_final = found.run, found.folder.resolve() == found.run.model.resolve()
    return System(
        recipe=recipe,
        model=found.folder,
        weights=_describe_weights(content),
        sha256=files.sha256(manifest),
        recipe_sha256=files.sha256(run.resolved) if run.resolved.is_file() else "",
        folder=lambda name: run.evaluation(name if is_final else f"{name}@{found.folder.name}"),
        translate=_translating(found.folder, recipe),
    )


def _find(path: Path, overrides: Sequence[str]) -> tuple[ModelFiles, Recipe]:
    if path.suffix in (".yaml", ".yml") and path.is_file():
        recipe = load_recipe(path, overrides)
        return find_model(recipe.run), recipe
    found = find_model(path)
    if found.run is None:
        raise ModelError(
            f"{path}: stands apart from its run, so nothing says what to test it on; translate a file with"
            " nmt translate and score it with nmt evaluate --hypothesis FILE --reference FILE"
        )
    return found, load_recipe(found.run.resolved, overrides)


def _translating(folder: Path, recipe: Recipe) -> Translate:
    """Translates with the model in `folder`, which is loaded once, when it is first needed."""

    @cache
    def translator() -> "Translator":
        from nmt_cli.commands.loading import load_model  # torch takes seconds; files and stored scores do without
        from nmt_cli.commands.translators import translator_of

        return translator_of(replace(load_model(folder), decoding=recipe.decoding, evaluation=recipe.evaluation))

    def translate(requests: Sequence[Request]) -> Iterator[Translated]:
        with console.ProgressBar("translating", "lines", total=len(requests)) as progress:
            in_context = in_documents(requests, translator().joining.size)
            for translation in translator().translate(in_context, progress.advance):
                yield translation.hypotheses[0]

    return translate


def _describe_weights(manifest: Any) -> str:
    updates = manifest.get("averaged_updates") if isinstance(manifest, dict) else None
    if isinstance(updates, list) and updates:
        shown = ", ".join(str(update) for update in sorted(updates))
        return f"average of updates {shown}" if len(updates) > 1 else f"update {shown}"
    return f"update {manifest['update']}" if isinstance(manifest, dict) and "update" in manifest else "updates unknown"
