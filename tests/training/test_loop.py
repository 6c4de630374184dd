"""One update is the same however its batches are cut; what is best, stale or finished is decided rightly."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nmt_cli.data.batches import Batch
from nmt_cli.errors import DivergedError, ResourceError
from nmt_cli.models import build
from nmt_cli.models.contract import TranslationModel, Vocabularies
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.recipe.training import Training
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal
from nmt_cli.training.feed import Part, Portion
from nmt_cli.training.health import Health
from nmt_cli.training.learner import Learner
from nmt_cli.training.loop import Hooks, train, updates
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.parallel import Ranks
from nmt_cli.training.progress import Learned, Progress, finished, record_validation
from nmt_cli.training.report import Report

CPU = torch.device("cpu")
START, END = 2, 3


def tiny_model(dropout: float = 0.0) -> TranslationModel:
    torch.manual_seed(1)
    settings = TransformerSettings.model_validate(
        {"architecture": "transformer", "preset": "tiny", "width": 8, "feed_forward": 8, "heads": 2}
        | {
            "encoder_layers": 1,
            "decoder_layers": 1,
            "dropout": dropout,
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
    parts = [Part(each, number) for number, each in enumerate(batches)]
    tokens = sum(each.target_tokens for each in batches)
    return Portion(parts, tokens, {"corpus": Learned(1, tokens)}, 0, 0, 1, 4096, 0.5)


def learner(dropout: float = 0.0, **settings: object) -> Learner:
    """Plain gradient descent by large steps: Adam's first step would hide how long the gradient is."""
    training = Training.model_validate(
        {
            "clip_norm": None,
            "optimizer": {"type": "sgd", "learning_rate": 1.0, "momentum": 0.0},
            "schedule": {"warmup": 0, "type": "linear"},
            **settings,
        }
    )
    return Learner(CrossEntropy(tiny_model(dropout), 0.1), 8, training, CPU, Ranks())


def learn(learner: Learner, *portions: Portion) -> None:
    steps = updates(learner, iter(portions), seed=1)
    for _ in portions:
        next(steps)


def after_one_update(*batches: Batch) -> nn.Module:
    made = learner()
    learn(made, portion(*batches))
    return made.model


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


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_what_is_drawn_follows_from_the_seed_and_the_place_alone() -> None:
    """So a restart, or another rank, draws the same without any state."""
    first, second, again = portion(batch([[4, 5]])), portion(batch([[6, 7, 8]])), learner(dropout=0.5)
    straight = learner(dropout=0.5)
    learn(straight, first, second)
    learn(again, first)
    torch.rand(100)
    learn(again, second)
    assert same(straight.model, again.model)


def test_batches_of_an_update_draw_differently() -> None:
    """Were the draws the same, two equal batches would move the weights as one does."""
    twice, once = learner(dropout=0.5), learner(dropout=0.5)
    learn(twice, portion(batch([[4, 5]]), batch([[4, 5]])))
    learn(once, portion(batch([[4, 5]])))
    assert not same(twice.model, once.model)


def poisoned() -> Portion:
    """A portion whose loss is no number: a weight that is infinite is used by these words alone."""
    return portion(batch([[8]]))


def vulnerable(**settings: object) -> Learner:
    made = learner(**settings)
    with torch.no_grad():
        made.model.embeddings.target.weight[8] = math.inf
    return made


def test_an_update_whose_gradient_is_no_number_is_skipped() -> None:
    made = vulnerable()
    before = copy.deepcopy(made.model)
    steps = updates(made, iter([poisoned(), poisoned()]), seed=1)
    assert next(steps).is_skipped
    assert next(steps).is_skipped
    assert made.progress.step == 0
    assert made.progress.used == 1, "it is not tried again"
    assert same(before, made.model)


def test_too_many_skipped_in_a_row_end_the_training() -> None:
    steps = updates(vulnerable(divergence={"skips": 2}), iter([poisoned()] * 4), seed=1)
    for _ in range(3):
        next(steps)
    with pytest.raises(DivergedError, match="update 1: 3 gradients in a row are not finite"):
        next(steps)


class Forgetful(CrossEntropy):
    """Runs out of memory with more than `most` target positions, in the middle of an update."""

    most = 10**9

    def forward(self, batch: Batch) -> tuple[torch.Tensor, int]:
        loss, tokens = super().forward(batch)
        if batch.padded_tokens > self.most:
            raise torch.OutOfMemoryError("no more")
        return loss, tokens


def with_memory_for(most: int) -> Learner:
    made = learner()
    made.objective = made.shared = Forgetful(made.model, 0.1).train()
    made.objective.most = most
    return made


@pytest.mark.parametrize("most", [18, 10, 6])
def test_where_memory_runs_out_the_gradient_is_that_of_smaller_batches(most: int) -> None:
    batches = portion(batch([[4, 5]]), batch([[6, 7, 8, 4, 5], [6, 7], [8, 8, 8], [4]]))
    ample, scarce = with_memory_for(10**9), with_memory_for(most)
    learn(ample, batches)
    learn(scarce, batches)
    assert ample.fits is None
    assert scarce.fits is not None
    assert scarce.fits <= most
    for one, other in zip(ample.model.parameters(), scarce.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_memory_that_does_not_hold_one_pair_is_a_mistake_to_tell() -> None:
    with pytest.raises(
        ResourceError, match=r"out of memory with 6 target tokens at once; lower training\.batch_tokens"
    ):
        learn(with_memory_for(5), portion(batch([[6, 7, 8, 4, 5], [4]])))


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
    assert "the limit of 3 epochs" in finished(settings, Progress(epochs=3.0))
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
    made, found = learner(**settings), list[int]()
    progress = made.progress
    steps = updates(made, iter(lambda: portion(batch([[4]])), None), seed=1)
    hooks = Hooks(
        validate=lambda: {"valid": {"loss": 1.0, "bleu": float(progress.step)}},
        save=lambda: found.append(progress.step),
        stopping=lambda: progress.step == 6,
    )
    assert train(steps, made, Report(made, Journal(RunDirectory(tmp_path)), Health(made)), hooks) is done
    assert found == saved


def test_training_ends_when_its_time_is_over() -> None:
    made = learner(limits={"minutes": 1e-9}, validation={"every": 100})
    steps = updates(made, iter(lambda: portion(batch([[4]])), None), seed=1)
    hooks = Hooks(lambda: {"valid": {"loss": 1.0, "bleu": 1.0}}, lambda: None, lambda: False)
    assert train(steps, made, Report(made, Journal(None), Health(made)), hooks)
    assert made.progress.step == 1
