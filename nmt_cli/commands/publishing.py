"""The checkpoints of a run → its model."""

from nmt_cli import __version__, files
from nmt_cli.commands.loading import config_of
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import ModelError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import CONFIG, TOKENIZER, WEIGHTS, RunDirectory
from nmt_cli.training.progress import Progress


def updates_to_average(run: RunDirectory, recipe: Recipe, progress: Progress) -> list[int]:
    """Updates whose checkpoints make the model: the best, or the last if none had a score."""
    best = [step for _, step in progress.best[: recipe.training.checkpoints.keep_best]]
    return sorted([step for step in best if run.checkpoint(step).is_dir()] or run.steps()[-1:])


def is_published(run: RunDirectory, updates: list[int]) -> bool:
    """Whether the run's model is whole, and the average of these updates."""
    try:
        return bool(files.read_manifest(run.model, ModelError).get("averaged_updates") == updates)
    except ModelError:
        return False


def publish(run: RunDirectory, recipe: Recipe, tokenizer: Tokenizer, updates: list[int]) -> None:
    """Average checkpoints into the run's model, which needs nothing else to translate."""
    weights = checkpoints.average([run.checkpoint(step) for step in updates])
    with files.new_folder(run.model) as folder:
        files.write_json(folder / CONFIG, config_of(recipe, tokenizer).model_dump(mode="json"))
        checkpoints.write_tensors(folder / WEIGHTS, weights)
        tokenizer.save(folder / TOKENIZER)
        files.write_manifest(folder, {"format": 1, "nmt": __version__, "averaged_updates": updates})
