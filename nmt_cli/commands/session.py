"""One start of a training: a learner, the run it belongs to, and what passes between them."""

import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import torch

from nmt_cli import console, files
from nmt_cli.commands.loading import check_weights, vocabularies_of
from nmt_cli.commands.publishing import is_published, publish, updates_to_average
from nmt_cli.commands.signals import noted_signals
from nmt_cli.data.prepared import Prepared
from nmt_cli.decoding.translator import Translator
from nmt_cli.devices import describe, environment
from nmt_cli.errors import DivergedError, ModelError, StoppedError
from nmt_cli.evaluation.metrics import score
from nmt_cli.models import build
from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import OPTIMIZER, WEIGHTS, RunDirectory
from nmt_cli.runs.journal import Journal, update_summary
from nmt_cli.text.lines import read_lines
from nmt_cli.training.feed import ahead, feed
from nmt_cli.training.learner import Learner
from nmt_cli.training.loop import Hooks, train, updates
from nmt_cli.training.memory import batch_tokens_that_fit
from nmt_cli.training.objectives import build_objective
from nmt_cli.training.parallel import Ranks
from nmt_cli.training.progress import Progress, finished
from nmt_cli.training.report import Report
from nmt_cli.training.validation import Translation, validate


class Session:
    """One rank's part of it; the first rank writes what all have agreed upon."""

    def __init__(
        self, run: RunDirectory, recipe: Recipe, prepared: Prepared, device: torch.device, ranks: Ranks
    ) -> None:
        self._run, self._recipe, self._prepared, self._ranks = run, recipe, prepared, ranks
        self._journal = Journal(run if ranks.is_first else None, recipe.training.logging.tensorboard)
        self._returns = 0
        checkpoint = checkpoints.last_good_checkpoint(run)
        objective = build_objective(recipe.training, self._first_model(), prepared.tokenizer.unknown)
        self._learner = Learner(objective, recipe.model.width, recipe.training, device, ranks)
        if checkpoint is not None:
            self._restore(checkpoint)

    def is_over(self) -> bool:
        """Whether there is nothing left to do; if so, it says why."""
        progress = self._learner.progress
        reason = finished(self._recipe.training, progress)
        over = bool(reason) and is_published(self._run, updates_to_average(self._run, self._recipe, progress))
        if over:
            console.say(f"{self._run.path}: training is finished: {reason}")
        return over

    def run(self) -> None:
        """Train to the end, or until a signal stops it; should training diverge, go back and on more slowly."""
        with noted_signals() as asked_to_stop:
            while True:
                try:
                    done = self._train(lambda: asked_to_stop() is not None)
                    break
                except DivergedError as error:
                    self._go_back(error)
        progress = self._learner.progress
        if done:
            self._publish()
            return
        if self._ranks.is_first:
            update_summary(self._run, status="stopped", step=progress.step)
        number = asked_to_stop() or signal.SIGTERM  # or another rank was asked
        told = f"stopped by {number.name} at update {progress.step:,}; all is saved: the same command goes on"
        raise StoppedError(told if self._ranks.is_first else "", number)

    def _train(self, stopping: Callable[[], bool]) -> bool:
        settings, learner = self._recipe.training, self._learner
        if self._ranks.is_first:
            checkpoints.forget_later(self._run, learner.progress.step)
            self._journal.rewind(learner.progress.step)
        if settings.batch_tokens == "auto":
            batch_tokens = batch_tokens_that_fit(learner, self._prepared)
        else:
            batch_tokens = settings.batch_tokens
        report = Report(learner, self._journal)
        self._announce(report)
        portions = feed(self._prepared, settings, batch_tokens, self._recipe.seed, learner.progress, self._ranks)
        translation = _translation(self._recipe, self._prepared, learner.device)
        hooks = Hooks(lambda: validate(learner, self._prepared, translation), self._save, stopping)
        with closing(ahead(portions, learner.device)) as made:
            return train(updates(learner, made, self._recipe.seed), learner, report, hooks)

    def _announce(self, report: Report) -> None:
        weights = sum(weight.numel() for weight in self._learner.model.parameters())
        pairs = sum(len(corpus) for corpus in self._prepared.train)
        step = self._learner.progress.step
        console.say(
            f"{self._run.path}: {self._recipe.model.architecture} with {weights:,} weights, {pairs:,} sentence pairs,"
            f" {describe(self._learner.device)}" + (f", going on after update {step:,}" if step else "")
        )
        report.event("resumed" if step else "started", **environment())

    def _save(self) -> None:
        learner, run, progress = self._learner, self._run, self._learner.progress
        weights, memory = learner.weights(), learner.memory()
        if not self._ranks.is_first:
            return
        checkpoints.save_checkpoint(run, progress.step, weights, memory, progress.as_state())
        keep = self._recipe.training.checkpoints
        best = [step for _, step in progress.best]
        if best:
            files.write_json(run.pointer("best"), {"step": best[0], "score": progress.best[0][0]})
        checkpoints.prune(run, {*run.steps()[-keep.keep_last :], *best})
        update_summary(run, step=progress.step, best=[list(entry) for entry in progress.best])

    def _restore(self, checkpoint: Path) -> None:
        weights = checkpoints.read_tensors(checkpoint / WEIGHTS)
        check_weights(self._learner.model, weights, checkpoint / WEIGHTS)
        memory = checkpoints.read_tensors(checkpoint / OPTIMIZER)
        try:
            self._learner.restore(weights, memory, checkpoints.read_state(checkpoint))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{checkpoint}: is not the checkpoint of this training: {error}") from error

    def _go_back(self, error: DivergedError) -> None:
        """Be again what the last good checkpoint holds, or the start, with a lower learning rate."""
        divergence, progress = self._recipe.training.divergence, self._learner.progress
        if self._returns == divergence.returns:
            raise DivergedError(
                f"{error}, after {self._returns} returns to a good checkpoint with a lower learning rate;"
                " lower training.optimizer.learning_rate, or lengthen training.schedule.warmup"
            )
        self._returns += 1
        rate_factor = progress.rate_factor * divergence.factor
        checkpoint = checkpoints.last_good_checkpoint(self._run)
        if checkpoint is None:
            self._learner.restore(dict(self._first_model().named_parameters()), {}, Progress().as_state())
        else:
            self._restore(checkpoint)
        progress = self._learner.progress
        progress.rate_factor = rate_factor
        console.warn(f"{error}; back to update {progress.step:,}, the learning rate times {rate_factor:g}")

    def _first_model(self) -> TranslationModel:
        torch.manual_seed(self._recipe.seed)
        return build(self._recipe.model, vocabularies_of(self._prepared.tokenizer))

    def _publish(self) -> None:
        """Make the run's model of its best checkpoints."""
        run, progress = self._run, self._learner.progress
        if not self._ranks.is_first:
            return
        best = updates_to_average(run, self._recipe, progress)
        publish(run, self._recipe, self._prepared.tokenizer, best)
        reason = finished(self._recipe.training, progress)
        update_summary(run, status="finished", reason=reason, step=progress.step, seconds=round(progress.seconds))
        several = f"the average of {len(best)} checkpoints, updates" if len(best) > 1 else "the checkpoint of update"
        console.say(
            f"finished after {console.duration(progress.seconds)}: {reason}\n"
            f"{run.model}: {several} {', '.join(map('{:,}'.format, best))}\n"
            f"next: nmt evaluate {run.path}"
        )


def _translation(recipe: Recipe, prepared: Prepared, device: torch.device) -> Translation:
    """Validation sets are translated and scored as `nmt evaluate` does it, from the raw text."""
    sources = {name: list(read_lines(corpus.source)) for name, corpus in recipe.data.valid.items()}
    references = {name: list(read_lines(corpus.target)) for name, corpus in recipe.data.valid.items()}
    metrics = recipe.evaluation.model_copy(update={"metrics": ["bleu", "chrf"]})

    def translate(model: TranslationModel, lines: Sequence[str]) -> list[str]:
        translator = Translator(model, prepared.tokenizer, recipe.decoding, device)
        return [translation.best.text for translation in translator.translate(lines)]

    def scores(name: str, hypotheses: list[str]) -> Mapping[str, float]:
        return {found.key: found.value for found in score(hypotheses, [references[name]], metrics)}

    return Translation(sources, translate, scores)
