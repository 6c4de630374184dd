"""What a user names as MODEL → where its files are, without reading the weights."""

from dataclasses import dataclass
from pathlib import Path

from nmt_cli.commands.model_config import read_config
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import TOKENIZER, ModelFiles, find_model


@dataclass(frozen=True)
class NamedModel:
    """A model on disk, and the recipe it was named by, if it was: that one's settings of decoding hold."""

    files: ModelFiles
    recipe: Recipe | None

    @property
    def tokenizer(self) -> Path:
        """The folder of its tokenizer."""
        found = self.files
        return (found.folder if found.standalone or found.run is None else found.run.path) / TOKENIZER

    @property
    def context(self) -> Context | None:
        """How it joins lines to those before them."""
        if self.files.standalone or self.files.run is None:
            return read_config(self.files.folder).context
        return load_recipe(self.files.run.resolved).data.context


def named_model(path: Path) -> NamedModel:
    """Find what `path` names: a recipe (its run), a run, a checkpoint or a model folder."""
    recipe = load_recipe(path) if path.suffix in (".yaml", ".yml") and path.is_file() else None
    return NamedModel(find_model(path if recipe is None else recipe.run), recipe)
