"""Prepares data for tests, and looks at what came of it."""

from collections.abc import Callable
from pathlib import Path

from nmt_cli.data.preparation.preparing import ALL_WORK, PreprocessJob, prepare
from nmt_cli.data.prepared import HASHES, Prepared, open_prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.schema import Recipe

MakeRecipe = Callable[..., Recipe]
Sentences = Callable[[int, int], list[str]]


def prepared(
    recipe: Recipe, pretrained: Tokenizer | None = None, job: PreprocessJob = ALL_WORK, processes: int = 1
) -> Prepared:
    """What `prepare` makes of a recipe, opened."""
    prepare(recipe, pretrained, job, processes)
    return open_prepared(recipe, pretrained)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a prepared folder by name, except caches."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != HASHES
    }


def changed(recipe: Recipe, **data: object) -> Recipe:
    """The recipe with other settings of `data`."""
    return Recipe.model_validate(recipe.model_dump() | {"data": recipe.data.model_dump() | data})


def aligned(recipe: Recipe, lines: list[str]) -> Recipe:
    """The recipe, its training corpus with these alignments."""
    path = recipe.run.with_name("train.alignment")
    path.write_text("".join(f"{line}\n" for line in lines))
    [corpus] = recipe.data.train.values()
    return changed(recipe, train={"corpus": corpus.model_dump() | {"alignment": path}})


def links_of(recipe: Recipe) -> list[list[list[int]]]:
    """The word links of each training pair."""
    links = open_prepared(recipe).train[0].read_all().links
    assert links is not None
    return [links.rows[pair].tolist() for pair in range(len(links.rows))]
