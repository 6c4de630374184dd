"""One start of a training run: set up or resume, train, roll back after divergence, publish the model."""

import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nmt_cli import __version__, files
from nmt_cli.commands.adapters import ExtendedVocabulary, added_rows, base_identity, recorded_base, write_adapter
from nmt_cli.commands.launching import catch_stop_signals
from nmt_cli.commands.loading import check_weights, config_of, identity_of
from nmt_cli.commands.model_config import InputSettings
from nmt_cli.commands.starting import initial_model
from nmt_cli.commands.validation_decoder import validation_decoder
from nmt_cli.console import Reporter, command_line, duration
from nmt_cli.data.prepared import Prepared
from nmt_cli.devices import describe, environment, has_fast_bf16, limit_memory_growth
from nmt_cli.errors import DivergedError, ModelError, StoppedError
from nmt_cli.recipe.schema import Recipe, SettingChange
from nmt_cli.reporting.run_report.model_card import model_card
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import CONFIG, MODEL_CARD, OPTIMIZER, TOKENIZER, WEIGHTS, RunDirectory
from nmt_cli.runs.journal import Journal, describe_published, read_summary_if_present, update_summary
from nmt_cli.runs.opening import begin, record_batch_tokens
from nmt_cli.training.batch_size import find_batch_tokens
from nmt_cli.training.data_iterator import UpdateBatches, iterate_updates, prefetch
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.loop import train, train_steps
from nmt_cli.training.monitor import TrainingMonitor
from nmt_cli.training.objectives import build_objective
from nmt_cli.training.optimization.lora import merge_adapters
from nmt_cli.training.train_state import TrainState, main_score, score_sign, stop_reason
from nmt_cli.training.trainer import Checkpointer, Trainer
from nmt_cli.training.training_log import TrainingLog, describe_changes, format_scores, record
from nmt_cli.training.validation import ValidationDecoder, validate


class TrainingRun:
    """One rank's part of a training run. The primary rank writes files and messages."""

    def __init__(
        self,
        run: RunDirectory,
        recipe: Recipe,
        prepared: Prepared,
        device: torch.device,
        distributed: Distributed,
        reporter: Reporter,
    ) -> None:
        self._run, self._recipe, self._prepared, self._distributed = run, recipe, prepared, distributed
        self._reporter = reporter
        self._journal = Journal(run if distributed.is_primary else None, recipe.training.logging)
        checkpoint = checkpoints.last_good_checkpoint(run, reporter)
        self._is_new = checkpoint is None
        model = initial_model(recipe, prepared.tokenizer, is_resumed=not self._is_new)
        objective = build_objective(recipe.training, model, prepared.tokenizer.special_tokens.unk)
        self._trainer = Trainer(objective, recipe.model.width, recipe.training, device, distributed)
        self._checkpointer = Checkpointer(run, self._trainer, self._journal)
        if checkpoint is not None:
            self._load_checkpoint(checkpoint)

    def start(self, recipe_path: Path) -> None:
        """Start or resume the run, which is locked, and train until the end or a signal.

        After divergence, roll back and continue with a lower learning rate. If the run is finished, change no file.

        Raises:
            StoppedError: A signal stopped this rank or another one; everything is saved.
        """
        run, prepared, reason = self._run, self._prepared, stop_reason(self._recipe.training, self._trainer.state)
        # The status "finished" is written last: without it, a kill may have left work to do or files to remove.
        if reason and read_summary_if_present(run).get("status") == "finished" and self._is_published():
            self._reporter.info(f"{run.path}: training is finished: {reason}")
            return
        changes = list[SettingChange]()
        if self._distributed.is_primary:
            identity = {"data": prepared.fingerprint, **identity_of(self._recipe, prepared.tokenizer)}
            save = prepared.tokenizer.save
            changes = begin(
                run, self._recipe, recipe_path, identity | self._base(), save, environment(), self._reporter
            )
        limit_memory_growth()
        decoder = validation_decoder(self._recipe, prepared, self._trainer.device, self._reporter)
        with catch_stop_signals(self._reporter) as received_signal:
            self._checkpointer.sync_run_directory()
            self._log_start(changes)
            self._score_start(decoder)
            while True:
                try:
                    is_finished = self._train(
                        decoder, lambda: received_signal() is not None or self._is_asked_to_stop()
                    )
                    break
                except DivergedError as error:
                    self._roll_back(error)
        num_updates = self._trainer.state.num_updates
        if is_finished:
            self._publish(decoder)
            return
        if self._distributed.is_primary:
            update_summary(run, status="stopped", update=num_updates)
        number = received_signal() or signal.SIGTERM  # None if another rank received it
        cause = "nmt stop" if self._is_asked_to_stop() else number.name
        message = f"stopped by {cause} at update {num_updates:,}; rerun the same command to resume"
        raise StoppedError(message if self._distributed.is_primary else "", number)

    def _base(self) -> dict[str, Any]:
        """Return the entry `base` of run.json: the identity of the model to start from, which adapters need later."""
        training = self._recipe.training
        if training.start_from is not None and self._is_new:
            return {"base": base_identity(training.start_from)}
        if training.start_from is not None and training.lora is not None:
            return {"base": recorded_base(self._run, training.start_from, self._prepared.tokenizer)}
        return {}

    def _is_asked_to_stop(self) -> bool:
        """Return whether there is a stop request; only the primary rank looks for it, and the loop tells the others."""
        return self._distributed.is_primary and self._run.stop_request.exists()

    def _train(self, decoder: ValidationDecoder, is_stop_requested: Callable[[], bool]) -> bool:
        settings, trainer, prepared, seed = self._recipe.training, self._trainer, self._prepared, self._recipe.seed
        batch_tokens = settings.batch_tokens
        if batch_tokens == "auto":
            batch_tokens = find_batch_tokens(trainer, prepared, self._reporter)
            if trainer.distributed.is_primary:
                record_batch_tokens(self._run, batch_tokens, self._reporter)
        weights = {name: corpus.weight for name, corpus in self._recipe.data.train.items()}
        monitor = TrainingMonitor(trainer)
        log = TrainingLog(trainer, self._journal, monitor, self._reporter)
        with ExitStack() as threads:
            updates: Iterator[UpdateBatches] = threads.enter_context(
                closing(
                    iterate_updates(
                        prepared, weights, settings, batch_tokens, seed, trainer.state.data, self._distributed
                    )
                )
            )
            if trainer.device.type == "cuda":
                updates = map(UpdateBatches.pinned, updates)
            prefetched = threads.enter_context(closing(prefetch(updates)))
            steps = train_steps(trainer, monitor.watch(prefetched), seed)
            return train(steps, trainer, log, self._checkpointer, prepared, decoder, is_stop_requested)

    def _log_start(self, changes: Sequence[SettingChange]) -> None:
        trainer = self._trainer
        num_parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
        num_trained = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
        trained = f" ({num_trained:,} of them trained)" if num_trained < num_parameters else ""
        num_pairs = sum(len(corpus) for corpus in self._prepared.train)
        num_updates = trainer.state.num_updates
        if self._recipe.training.precision == "bf16" and not has_fast_bf16(trainer.device):
            self._reporter.warn("training.precision: this processor has no bf16 instructions; using fp32")
        self._reporter.info(
            f"{self._run.path}: {self._recipe.model.architecture} with {num_parameters:,} parameters{trained},"
            f" {num_pairs:,} {self._recipe.data.unit}, {describe(trainer.device)}"
            + (f", resuming after update {num_updates:,}" if num_updates else "")
        )
        facts: dict[str, Any] = {"changed": {each.key: each.new for each in changes}} if changes else {}
        event = "resumed" if num_updates else "started"
        record(self._journal, trainer.state, "event", event=event, **facts, **environment())

    def _score_start(self, decoder: ValidationDecoder) -> None:
        """Score the model that training starts from, once, so that gains and losses on each set are known."""
        trainer = self._trainer
        is_due = (
            self._recipe.training.start_from is not None
            and not trainer.state.num_updates
            and "start_scores" not in read_summary_if_present(self._run)
        )
        if not trainer.distributed.all_gather_object(is_due)[0]:
            return
        scores = validate(trainer, self._prepared, decoder)
        for name, values in scores.items():
            record(self._journal, trainer.state, "valid", set=name, num_not_improved=0, **values)
            self._reporter.info(f"update 0  {name}: {format_scores(values)}")
        if trainer.distributed.is_primary:
            update_summary(self._run, start_scores=scores)

    def _load_checkpoint(self, checkpoint: Path) -> None:
        weights = checkpoints.read_tensors(checkpoint / WEIGHTS)
        check_weights(self._trainer.model, weights, checkpoint / WEIGHTS)
        optimizer_state = checkpoints.read_tensors(checkpoint / OPTIMIZER)
        try:
            self._trainer.load_state(weights, optimizer_state, checkpoints.read_train_state(checkpoint))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{checkpoint}: does not fit this training run: {error}") from error

    def _roll_back(self, error: DivergedError) -> None:
        """Return to the last good checkpoint, or to the start, with a lower learning rate."""
        divergence, before = self._recipe.training.divergence, self._trainer.state
        if before.num_rollbacks >= divergence.max_rollbacks:
            raise DivergedError(
                f"{error}, after {before.num_rollbacks} rollbacks with a lower learning rate;"
                " lower training.optimizer.learning_rate, or lengthen training.schedule.warmup"
            )
        if self._distributed.is_primary and self._run.saved_updates()[-1:] == [before.num_updates]:
            # No update has followed, so that the cause is in this checkpoint; a lower rate would not help.
            checkpoints.remove_checkpoints_after(self._run, before.num_updates - 1)
        self._distributed.barrier()
        checkpoint = checkpoints.last_good_checkpoint(self._run, self._reporter)
        if checkpoint is None:
            parameters = dict(initial_model(self._recipe, self._prepared.tokenizer).named_parameters())
            self._trainer.load_state(parameters, {}, TrainState().state_dict())
        else:
            self._load_checkpoint(checkpoint)
        state = self._trainer.state
        state.num_rollbacks = before.num_rollbacks + 1
        state.lr_scale = before.lr_scale * divergence.factor
        self._checkpointer.sync_run_directory()
        details = {"num_rollbacks": state.num_rollbacks, "lr_scale": state.lr_scale}
        record(self._journal, state, "event", event="rolled back", diverged_after=before.num_updates, **details)
        self._reporter.warn(
            f"{error}; rolled back to update {state.num_updates:,}; learning rate multiplied by {state.lr_scale:g}"
        )

    def _best_updates(self) -> list[int]:
        """Return the updates of the best checkpoints, best first, or the last one if none has a score."""
        run, keep_best = self._run, self._recipe.training.checkpoints.keep_best
        best = [update for _, update in self._trainer.state.best[:keep_best]]
        return [update for update in best if run.checkpoint(update).is_dir()] or run.saved_updates()[-1:]

    def _is_published(self) -> bool:
        try:
            manifest = files.read_manifest(self._run.model, ModelError)
        except ModelError:
            return False
        best = self._best_updates()
        return manifest.get("averaged_updates") in (sorted(best), best[:1])

    def _better_weights(self, decoder: ValidationDecoder) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the average of the best checkpoints, or the best if it validates better, and their scores.

        All ranks must call this. The scores are those of `describe_published`.
        """
        run, trainer, settings, best = self._run, self._trainer, self._recipe.training, self._best_updates()
        scores = {update: score for score, update in trainer.state.best}
        best_score, metric = scores.get(best[0]), settings.validation.metric
        facts: dict[str, Any] = {"updates": sorted(best), "metric": metric, "average": None}
        facts["best_checkpoint"] = best_score
        weights = checkpoints.average_checkpoints([run.checkpoint(update) for update in sorted(best)])
        if best_score is not None and len(best) > 1:
            average = main_score(settings, validate(trainer, self._prepared, decoder, weights))
            facts["average"] = average if math.isfinite(average) else None
            if not score_sign(settings) * (average - best_score) >= 0:
                facts["updates"] = best[:1]
                weights = checkpoints.average_checkpoints([run.checkpoint(best[0])])
        if settings.start_from is not None:
            facts["scores"] = validate(trainer, self._prepared, decoder, weights)
        return weights, facts

    def _publish(self, decoder: ValidationDecoder) -> None:
        """Write the run's model, which is self-contained. All ranks must call this."""
        run, state, tokenizer = self._run, self._trainer.state, self._prepared.tokenizer
        if self._distributed.is_primary:
            checkpoints.remove_damaged(run, self._best_updates(), self._reporter)
        self._distributed.barrier()
        weights, facts = self._better_weights(decoder)
        if not self._distributed.is_primary:
            return
        lora, summary = self._recipe.training.lora, read_summary_if_present(run)
        config = config_of(self._recipe, tokenizer)
        if lora is not None:
            model, base = self._trainer.model, summary["base"]
            trained = sorted(name for name, each in model.named_parameters() if each.requires_grad)
            tensors = {name: weights[name] for name in trained} | dict(added_rows(model, weights, base))
            is_extended = base["tokenizer"] != tokenizer.fingerprint
            vocabulary = ExtendedVocabulary(tokenizer, config.language_tokens) if is_extended else None
            write_adapter(run.adapter, tensors, lora, base, InputSettings.of(config), vocabulary)
            weights = merge_adapters(weights, lora, run.adapter)
        with files.new_folder(run.model) as folder:
            files.write_json(folder / CONFIG, config.model_dump(mode="json"))
            checkpoints.write_tensors(folder / WEIGHTS, weights)
            tokenizer.save(folder / TOKENIZER)
            num_parameters = sum(weight.numel() for weight in weights.values())
            size = num_parameters, state.num_updates, state.data.passes
            card = model_card(self._recipe, self._prepared, *size, facts)
            (folder / MODEL_CARD).write_bytes(card.encode())
            origin = {"format": 1, "nmt": __version__, "licence": self._recipe.licence}
            files.write_manifest(folder, {**origin, "averaged_updates": facts["updates"]})
        reason, seconds = stop_reason(self._recipe.training, state), round(state.seconds)
        record(self._journal, state, "event", event="published", **facts)
        update_summary(
            run, status="finished", reason=reason, update=state.num_updates, seconds=seconds, published=facts
        )
        options = ["--allow-commands"] if self._recipe.evaluation.programs() else []  # the user's own recipe names them
        self._reporter.info(
            f"finished after {duration(state.seconds)}: {reason}\n"
            f"{run.model}: {describe_published(facts)}\n"
            f"{describe_changes(summary.get('start_scores'), facts.get('scores'))}"
            f"next: {command_line('nmt', 'evaluate', run.path, *options)}"
        )
