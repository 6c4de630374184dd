"""What training minimises: a module that holds the model and sums a loss over a batch."""

from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.training import Training
from nmt_cli.recipe.training.regularization import WordDropout
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.objectives.regularized import Regularized


def build_objective(settings: Training, model: TranslationModel, unknown: int) -> CrossEntropy:
    """The objective that a recipe asks for; `unknown` is the token that stands where a word is hidden.

    Whatever it adds while training, in evaluation it is plain cross-entropy.
    """
    model.recompute = settings.gradient_checkpointing
    is_plain = (
        settings.consistency is None
        and settings.word_dropout == WordDropout()
        and settings.scheduled_sampling is None
        and settings.guided_alignment is None
    )
    return CrossEntropy(model, settings.label_smoothing) if is_plain else Regularized(model, settings, unknown)
