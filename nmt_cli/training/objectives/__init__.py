"""Training objectives: modules that hold the model and sum a loss over a batch."""

from nmt_cli.models.contract import Model
from nmt_cli.recipe.training import Training, WordDropout
from nmt_cli.training.objectives.cross_entropy import CrossEntropyObjective
from nmt_cli.training.objectives.ctc import CtcObjective
from nmt_cli.training.objectives.objective import Objective as Objective
from nmt_cli.training.objectives.regularized import RegularizedObjective


def build_objective(settings: Training, model: Model, unk: int) -> Objective:
    """Return the objective of a recipe; `unk` stands for dropped words."""
    model.recompute, model.predicts_source = settings.gradient_checkpointing, settings.source_loss > 0
    if model.capabilities.blank is not None:
        return CtcObjective(model, settings.label_smoothing, settings.word_dropout.source, settings.glancing)
    is_plain = (
        settings.consistency is None
        and settings.word_dropout == WordDropout()
        and settings.scheduled_sampling is None
        and settings.guided_alignment is None
        and settings.coverage_loss is None
    )
    if is_plain:
        return CrossEntropyObjective(model, settings.label_smoothing, settings.source_loss)
    return RegularizedObjective(model, settings, unk)
