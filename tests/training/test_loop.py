"""One update is the same however its batches are cut; what is best, stale or finished is decided rightly."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nmt_cli.data.batches import Batch
from nmt_cli.errors import DivergedError
from nmt_cli.models import build
from nmt_cli.models.contract import TranslationModel, Vocabularies
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal
from nmt_cli.training.feed import Portion
from nmt_cli.training.loop import Hooks, Progress, finished, record_validation, train, updates
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.optimizer import build_optimizer

CPU = torch.device("cpu")
START, END = 2, 3


def tiny_model() -> TranslationModel:
    torch.manual_seed(1)
    settings = TransformerSettings.model_validate(
        {"architecture": "transformer", "preset": "tiny", "width": 8, "feed_forward": 8, "heads": 2}
        | {
            "encoder_layers": 1,
            "decoder_layers": 1,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "activation_dropout": 0.0,
        }
    )
    return build(settings, Vocabularies(9, 9, START, END))


def batch(rows: list[list[int]]) -> Batch:
    """Sentences that translate to themselves; targets may differ in length."""
    longest = max(map(len, rows))
    source = torch.tensor([[5, 6, END]] * len(rows))
    target_in = torch.tensor([[START, *row] + [0] * (longest - len(row)) for row in rows])
    labels = [[*row, END] for row in rows]
    positions = [i * (longest + 1) + t for i, row in enumerate(labels) for t in range(len(row))]
    flat = torch.tensor([token for row in labels for token in row])
    return Batch(source, target_in, torch.tensor(positions), flat, np.arange(len(rows)))


def portion(*batches: Batch) -> Portion:
    return Portion(batches, 0, 1, 0.5)


def after_one_update(*batches: Batch) -> nn.Module:
    """Weights that moved by the gradient itself, and far: Adam's first step would hide how long the gradient is."""
    objective = CrossEntropy(tiny_model(), 0.1)
    settings = Training.model_validate(
        {
            "clip_norm": None,
            "optimizer": {"type": "sgd", "learning_rate": 1.0},
            "schedule": {"warmup": 0, "type": "linear"},
        }
    )
    optimizers = build_optimizer(settings.optimizer, objective)
    list(updates(objective, optimizers, [portion(*batches)], settings, Progress(), CPU, 8))
    return objective


def test_an_update_is_the_same_however_its_batches_are_cut() -> None:
    short, long = [4, 5], [6, 7, 8, 4, 5, 6]
    together = after_one_update(batch([short, long]))
    apart = after_one_update(batch([short]), batch([long]))
    for one, other in zip(together.parameters(), apart.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_loss_is_cross_entropy_at_real_positions() -> None:
    model = tiny_model().eval()
    rows = batch([[4, 5], [6, 7, 8]])
    loss, tokens = CrossEntropy(model, 0.1).eval()(rows)
    from nmt_cli.models.contract import Source

    scores = model.scores(model.decode(model.encode(Source(rows.source)), rows.target_in)).log_softmax(-1)
    expected = -sum(scores[p, label] for p, label in zip(rows.positions, rows.labels, strict=True))
    assert tokens == 7
    torch.testing.assert_close(loss, expected)


def test_label_smoothing_spreads_its_share_evenly() -> None:
    model = tiny_model()
    rows = batch([[4, 5]])
    loss, _ = CrossEntropy(model, 0.3).train()(rows)
    from nmt_cli.models.contract import Source

    scores = model.scores(model.decode(model.encode(Source(rows.source)), rows.target_in)).log_softmax(-1)
    hits = scores[torch.arange(3), rows.labels]
    torch.testing.assert_close(loss, -(0.7 * hits + 0.3 * scores.mean(-1)).sum())


def test_a_loss_that_is_no_number_stops_before_it_reaches_a_weight() -> None:
    objective = CrossEntropy(tiny_model(), 0.1)
    with torch.no_grad():
        next(objective.parameters())[5] = math.nan
    before = copy.deepcopy(objective.state_dict())
    optimizers = build_optimizer(Training().optimizer, objective)
    with pytest.raises(DivergedError, match="update 1: the gradient is not finite"):
        list(updates(objective, optimizers, [portion(batch([[4]]))], Training(), Progress(), CPU, 8))
    assert all(
        torch.equal(before[name], weight) or before[name].isnan().any()
        for name, weight in objective.state_dict().items()
    )


def validated(*scores: float, metric: str = "bleu", keep_best: int = 2) -> Progress:
    settings = Training.model_validate({"validation": {"metric": metric}, "checkpoints": {"keep_best": keep_best}})
    progress = Progress()
    for score in scores:
        progress.step += 1
        record_validation(settings, progress, {"valid": {metric: score}, "other": {metric: 0.0}})
    return progress


def test_the_best_are_kept_best_first_and_staleness_is_counted() -> None:
    progress = validated(10.0, 30.0, 20.0, 5.0)
    assert progress.best == [(30.0, 2), (20.0, 3)]
    assert progress.stale == 2


def test_a_lower_loss_is_better() -> None:
    assert validated(3.0, 1.0, 2.0, metric="loss").best == [(1.0, 2), (2.0, 3)]


def test_of_equal_scores_the_earlier_is_better() -> None:
    progress = validated(10.0, 10.0)
    assert progress.best == [(10.0, 1), (10.0, 2)]
    assert progress.stale == 1


def test_a_score_that_is_no_number_is_never_best() -> None:
    progress = validated(math.nan, 1.0, math.nan)
    assert progress.best == [(1.0, 2)]
    assert progress.stale == 1


def test_training_is_finished_by_updates_epochs_or_patience() -> None:
    settings = Training.model_validate({"limits": {"updates": 10, "epochs": 3}, "validation": {"patience": 2}})
    assert not finished(settings, Progress(step=9, epochs=2.9, stale=1))
    assert "10 updates" in finished(settings, Progress(step=10))
    assert "3.0 epochs" in finished(settings, Progress(epochs=3.0))
    assert "bleu has not improved in 2" in finished(settings, Progress(stale=2))


def test_progress_survives_json() -> None:
    import json

    progress = Progress(step=3, best=[(1.5, 2), (1.0, 3)])
    assert Progress.from_state(json.loads(json.dumps(progress.as_state()))) == progress


@pytest.mark.parametrize(
    ("settings", "saved", "done"),
    [
        ({"limits": {"updates": 4}, "validation": {"every": 2}}, [2, 4], True),
        ({"limits": {"updates": 5}, "validation": {"every": 3}, "checkpoints": {"every": 2}}, [2, 3, 4, 5], True),
        ({"limits": {"updates": 9}, "validation": {"every": 9}}, [6], False),
    ],
)
def test_when_it_is_saved(settings: dict[str, object], saved: list[int], done: bool, tmp_path: Path) -> None:
    training, progress, found = Training.model_validate(settings), Progress(), list[int]()
    objective = CrossEntropy(tiny_model(), 0.1)
    steps = updates(
        objective,
        build_optimizer(training.optimizer, objective),
        iter(lambda: portion(batch([[4]])), None),
        training,
        progress,
        CPU,
        8,
    )
    hooks = Hooks(
        validate=lambda: {"valid": {"loss": 1.0, "bleu": float(progress.step)}},
        save=lambda progress: found.append(progress.step),
        stopping=lambda: progress.step == 6,
    )
    assert train(steps, training, progress, Journal(RunDirectory(tmp_path)), hooks) is done
    assert found == saved
