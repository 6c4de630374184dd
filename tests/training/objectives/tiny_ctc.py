"""A tiny CTC model, and the loss and gradients of a batch."""

import torch
from torch import Tensor

from nmt_cli.data.batches import Batch
from nmt_cli.models import build
from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.recipe.model import CtcSettings
from nmt_cli.training.objectives.ctc import CtcObjective
from nmt_cli.training.objectives.objective import LossOutput


def tiny_ctc(**changes: object) -> Model:
    torch.manual_seed(1)
    sizes = {"width": 8, "feed_forward": 8, "encoder_layers": 1, "decoder_layers": 1, "heads": 2}
    settings = CtcSettings.model_validate({"architecture": "ctc", **sizes, **changes})
    return build(settings, VocabularySpec(9, 9))


def outcome(ctc: CtcObjective, pairs: Batch) -> tuple[LossOutput, dict[str, Tensor]]:
    loss = ctc(pairs)
    loss.sum.backward()
    return loss, {name: weight.grad for name, weight in ctc.named_parameters() if weight.grad is not None}
