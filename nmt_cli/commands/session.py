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
from nmt_cli.commands.starting import start_from
from nmt_cli.commands.translators import utility_of
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.reading import read_whole
from nmt_cli.data.tokenizing.tags import SourceTags
from nmt_cli.decoding.requests import Request, in_documents, plain_requests
from nmt_cli.decoding.translator import Demands, Translator
from nmt_cli.devices import describe, environment, keep_memory_in_bounds, multiplies_bf16
from nmt_cli.errors import DivergedError, ModelError, ResourceError, StoppedError
from nmt_cli.evaluation.metrics import score
from nmt_cli.models import build
from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import OPTIMIZER, WEIGHTS, RunDirectory
from nmt_cli.runs.journal import Journal, read_summary, update_summary
from nmt_cli.training.feed import ahead, feed
from nmt_cli.training.health import Health
from nmt_cli.training.learner import Learner
from nmt_cli.training.loop import Hooks, train, updates
from nmt_cli.training.memory import batch_tokens_that_fit
from nmt_cli.training.objectives import build_objective
from nmt_cli.training.parallel import Ranks
from nmt_cli.training.progress import Progress, finished
from nmt_cli.training.report import Report, record_event
from nmt_cli.training.validation import Translation, validate


class Session:
    """One rank's part of it; the first rank writes what all have agreed upon."""

    def __init__(
        self, run: RunDirectory, recipe: Recipe, prepared: Prepared, device: torch.device, ranks: Ranks
    ) -> None:
        self._run, self._recipe, self._prepared, self._ranks = run, recipe, prepared, ranks
        self._journal = Journal(run if ranks.is_first else None, recipe.training.logging.tensorboard)
        checkpoint = checkpoints.last_good_checkpoint(run)
        model = self._first_model() if checkpoint is None else build(recipe.model, vocabularies_of(prepared.tokenizer))
        objective = build_objective(recipe.training, model, prepared.tokenizer.special_tokens.unk)
        self._learner = Learner(objective, recipe.model.width, recipe.training, device, ranks)
        if checkpoint is not None:
            self._restore(checkpoint)

    def is_over(self) -> bool:
        """Whether there is nothing left to do; if so, it says why."""
        progress = self._learner.progress
        reason = finished(self._recipe.training, progress)
        # "finished" is written last of all: without it, a kill may have left something to do or to clear away.
        over = (
            bool(reason)
            and read_summary(self._run).get("status") == "finished"
            and is_published(self._run, updates_to_average(self._run, self._recipe, progress))
        )
        if over:
            console.info(f"{self._run.path}: training is finished: {reason}")
        return over

    def run(self) -> None:
        """Train to the end, or until a signal stops it; should training diverge, go back and on more slowly."""
        keep_memory_in_bounds()
        with noted_signals() as asked_to_stop:
            self._settle()
            self._announce()
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
        if settings.batch_tokens == "auto":
            batch_tokens = batch_tokens_that_fit(learner, self._prepared)
        else:
            batch_tokens = settings.batch_tokens
        health = Health(learner)
        report = Report(learner, self._journal, health)
        weights = {name: corpus.weight for name, corpus in self._recipe.data.train.items()}
        seed, progress = self._recipe.seed, learner.progress
        portions = feed(self._prepared, weights, settings, batch_tokens, seed, progress, self._ranks)
        translation = _translation(self._recipe, self._prepared, learner.device)
        hooks = Hooks(lambda: validate(learner, self._prepared, translation), self._save, stopping)
        with closing(ahead(portions, learner.device)) as made:
            return train(updates(learner, health.watching(made), self._recipe.seed), learner, report, hooks)

    def _settle(self) -> None:
        """Let the files of the run agree with where the learner stands: a kill, or a return, may have parted them."""
        run, progress = self._run, self._learner.progress
        if not self._ranks.is_first:
            return
        checkpoints.forget_later(run, progress.step)
        self._journal.rewind(progress.step)
        if progress.step:
            self._follow()

    def _announce(self) -> None:
        weights = sum(weight.numel() for weight in self._learner.model.parameters())
        pairs = sum(len(corpus) for corpus in self._prepared.train)
        step = self._learner.progress.step
        if self._recipe.training.precision == "bf16" and not multiplies_bf16(self._learner.device):
            console.warn("training.precision: this processor has no instructions for bf16; taking fp32")
        console.info(
            f"{self._run.path}: {self._recipe.model.architecture} with {weights:,} weights, {pairs:,} sentence pairs,"
            f" {describe(self._learner.device)}" + (f", going on after update {step:,}" if step else "")
        )
        record_event(self._journal, self._learner.progress, "resumed" if step else "started", **environment())

    def _save(self) -> None:
        learner, run, progress = self._learner, self._run, self._learner.progress
        weights, memory = learner.weights(), learner.memory()
        if not all(bool(torch.isfinite(tensor).all()) for tensor in (*weights.values(), *memory.values())):
            raise DivergedError(f"update {progress.step:,}: some weights are not finite")
        if not self._ranks.is_first:
            return
        if not run.summary.is_file():
            raise ResourceError(f"{run.path}: was moved or removed; update {progress.step:,} could not be saved")
        checkpoints.save_checkpoint(run, progress.step, weights, memory, progress.as_state())
        self._follow()

    def _follow(self) -> None:
        """Let pointers, the checkpoints that are kept and the summary follow the newest checkpoint."""
        run, progress = self._run, self._learner.progress
        best = [step for _, step in progress.best]
        files.write_json(run.pointer("last"), {"step": progress.step})
        if best:
            files.write_json(run.pointer("best"), {"step": best[0], "score": progress.best[0][0]})
        else:
            files.remove(run.pointer("best"))
        checkpoints.prune(run, {*run.steps()[-self._recipe.training.checkpoints.keep_last :], *best})
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
        divergence, before = self._recipe.training.divergence, self._learner.progress
        if before.returns >= divergence.returns:
            raise DivergedError(
                f"{error}, after {before.returns} returns to a good checkpoint with a lower learning rate;"
                " lower training.optimizer.learning_rate, or lengthen training.schedule.warmup"
            )
        if self._ranks.is_first and self._run.steps()[-1:] == [before.step]:
            # No update has followed it: what went wrong is in the checkpoint, and no lower rate would change that.
            checkpoints.forget_later(self._run, before.step - 1)
        self._ranks.wait()
        checkpoint = checkpoints.last_good_checkpoint(self._run)
        if checkpoint is None:
            self._learner.restore(dict(self._first_model().named_parameters()), {}, Progress().as_state())
        else:
            self._restore(checkpoint)
        progress = self._learner.progress
        progress.returns = before.returns + 1
        progress.rate_factor = before.rate_factor * divergence.factor
        self._settle()
        told = {"diverged_after": before.step, "returns": progress.returns, "rate_factor": progress.rate_factor}
        record_event(self._journal, progress, "returned", **told)
        console.warn(f"{error}; back to update {progress.step:,}, the learning rate times {progress.rate_factor:g}")

    def _first_model(self) -> TranslationModel:
        """A model of random weights, or of those that the recipe starts from."""
        torch.manual_seed(self._recipe.seed)
        model = build(self._recipe.model, vocabularies_of(self._prepared.tokenizer))
        path = self._recipe.training.start_from
        if path is None:
            return model
        start_from(model, path, self._prepared.tokenizer, self._recipe.data.prepared)
        return model

    def _publish(self) -> None:
        """Make the run's model of its best checkpoints."""
        run, progress = self._run, self._learner.progress
        if not self._ranks.is_first:
            return
        checkpoints.forget_damaged(run, updates_to_average(run, self._recipe, progress))
        best = updates_to_average(run, self._recipe, progress)
        publish(run, self._recipe, self._prepared.tokenizer, best)
        reason = finished(self._recipe.training, progress)
        update_summary(run, status="finished", reason=reason, step=progress.step, seconds=round(progress.seconds))
        several = f"the average of {len(best)} checkpoints, updates" if len(best) > 1 else "the checkpoint of update"
        console.info(
            f"finished after {console.duration(progress.seconds)}: {reason}\n"
            f"{run.model}: {several} {', '.join(map('{:,}'.format, best))}\n"
            f"next: nmt evaluate {run.path}"
        )


def _translation(recipe: Recipe, prepared: Prepared, device: torch.device) -> Translation:
    """Validation sets are translated and scored as `nmt evaluate` does it, from the raw text; nothing is mended."""
    data, words = recipe.data, prepared.tokenizer
    sets = {
        name: read_whole(
            each,
            (each.source_language or data.source_language, each.target_language or data.target_language),
            data.on_error,
        )
        for name, each in data.valid.items()
    }
    count = 0 if data.context is None else data.context.sentences
    sources = {
        name: list(
            in_documents(plain_requests(records.sources, records.factors, data.valid[name].target_language), count)
        )
        for name, records in sets.items()
    }
    metrics = recipe.evaluation.model_copy(update={"metrics": ["bleu", "chrf"], "external": {}})
    utility, tags = utility_of(recipe.decoding, recipe.evaluation), SourceTags(words.source.tags, data.target_language)

    def translate(model: TranslationModel, requests: Sequence[Request]) -> list[str]:
        demands = Demands(tags=tags, context=data.context)
        translator = Translator(
            model, words, recipe.decoding, device, longest=data.max_length, utility=utility, demands=demands
        )
        return [translation.best.text for translation in translator.translate(requests)]

    def scores(name: str, hypotheses: list[str]) -> Mapping[str, float]:
        return {found.key: found.value for found in score(hypotheses, [sets[name].targets], metrics)}

    return Translation(sources, translate, scores)
