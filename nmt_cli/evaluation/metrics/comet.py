"""COMET (Rei et al. 2020): a neural metric, computed by the package unbabel-comet in a process of its own.

The package excludes versions of numpy and transformers that extras of nmt require, so it may be installed in another
environment. Its checkpoints are pickles, which can run any code when they are read.
"""

import importlib.metadata
import sys
from pathlib import Path

from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics.external import run_program
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MeanMetric
from nmt_cli.recipe.evaluation import CometMetric, ExternalMetric

_PROGRAM = Path(__file__).with_name("comet_program.py")


def comet_metric(settings: CometMetric) -> MeanMetric:
    """The mean of 100 times COMET's sentence scores; over several references, the mean of the scores with each.

    Raises:
        RecipeError: The model or the package is missing.
    """
    key = "evaluation.comet"
    checkpoint, folder = settings.path, settings.path.absolute().parent.parent
    if not checkpoint.is_file():
        raise RecipeError(f"{key}.path: {checkpoint}: is not a file; give the .ckpt file of a downloaded model")
    if not (folder / "hparams.yaml").is_file():
        raise RecipeError(f"{key}.path: {checkpoint}: has no hparams.yaml in the folder above its own")
    if settings.python is None:
        try:
            importlib.metadata.version("unbabel-comet")
        except importlib.metadata.PackageNotFoundError as error:
            raise RecipeError(
                f"{key}: needs the package unbabel-comet, which is not installed; pip install 'nmt-cli[comet]', or set"
                f" {key}.python to the Python of an environment that has it"
            ) from error
    python = str(settings.python or sys.executable)
    # -I: the folder of the program has modules that are named like packages
    arguments = [python, "-I", str(_PROGRAM), str(checkpoint), str(settings.batch_size), str(settings.gpus)]
    program = ExternalMetric(command=[*arguments, "{source}", "{hypothesis}", "{reference}"], timeout=settings.timeout)

    def score_sentences(texts: EvaluationTexts) -> list[float]:
        return [100 * score for score in run_program(key, program, texts)]

    model = folder.name.replace("|", "_").replace(":", "_")
    return MeanMetric("comet", "COMET", score_sentences, f"model:{model}")
