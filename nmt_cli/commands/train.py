"""nmt train: prepared data → a run directory with checkpoints and a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from nmt_cli import __version__, console, files
from nmt_cli.commands.loading import build_with_weights, config_of, vocabularies_of
from nmt_cli.commands.signals import noted_signals
from nmt_cli.data.prepared import Prepared, open_prepared
from nmt_cli.decoding.translator import Translator
from nmt_cli.devices import describe, environment, keep_freed_memory, pick_device
from nmt_cli.errors import ModelError, StoppedError
from nmt_cli.evaluation.metrics import score
from nmt_cli.models import build
from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import CONFIG, OPTIMIZER, TOKENIZER, WEIGHTS, RunDirectory
from nmt_cli.runs.journal import Journal, update_summary
from nmt_cli.runs.opening import begin, move_aside, refuse_another_experiment, refuse_foreign_folder
from nmt_cli.text.lines import read_lines
from nmt_cli.training.feed import feed
from nmt_cli.training.loop import Hooks, Progress, finished, updates
from nmt_cli.training.loop import train as run_loop
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.optimizer import build_optimizer, load_optimizer, optimizer_tensors
from nmt_cli.training.validation import TranslationScores, validate


def train(
    recipe_path: Path,
    overrides: Sequence[str] = (),
    run_path: Path | None = None,
    fresh: bool = False,
    dry_run: bool = False,
) -> None:
    """Train the recipe's model, or go on with its run; the best checkpoints' average ends in RUN/model."""
    recipe = load_recipe(recipe_path, overrides)
    if run_path is not None:
        recipe = recipe.model_copy(update={"run": run_path})
    prepared = open_prepared(recipe)
    run = RunDirectory(recipe.run)
    if dry_run:
        _describe(recipe, prepared, run)
        return
    refuse_foreign_folder(run)
    if fresh:
        move_aside(run)
    with files.lock(run.lock):
        refuse_another_experiment(run, recipe, prepared.fingerprint)
        start = _Start(run, recipe, prepared)
        if start.is_over():
            return  # and no file has changed
        begin(run, recipe, recipe_path, prepared.fingerprint, prepared.tokenizer.save, environment())
        start.run()


class _Start:
    """One start of `nmt train` on a run that is open and locked."""

    def __init__(self, run: RunDirectory, recipe: Recipe, prepared: Prepared) -> None:
        self._run, self._recipe, self._prepared = run, recipe, prepared
        self._device = pick_device()
        torch.manual_seed(recipe.seed)
        self._journal = Journal(run)
        self._progress = Progress()
        checkpoint = checkpoints.last_good_checkpoint(run)
        vocabularies = vocabularies_of(prepared.tokenizer)
        if checkpoint is None:
            self._model = build(recipe.model, vocabularies).to(self._device)
        else:
            weights = checkpoints.read_tensors(checkpoint / WEIGHTS)
            model = build_with_weights(recipe.model, vocabularies, weights, checkpoint / WEIGHTS)
            self._model = model.to(self._device)
        self._objective = CrossEntropy(self._model, recipe.training.label_smoothing).train()
        self._optimizer = build_optimizer(recipe.training.optimizer, self._model)
        if checkpoint is not None:
            self._restore(checkpoint)

    def is_over(self) -> bool:
        """Whether there is nothing left to do; if so, it says why."""
        reason = finished(self._recipe.training, self._progress)
        over = bool(reason) and self._is_published()
        if over:
            console.say(f"{self._run.path}: training is finished: {reason}")
        return over

    def run(self) -> None:
        """Train to the end, or until a signal stops it."""
        settings, progress, run = self._recipe.training, self._progress, self._run
        checkpoints.forget_later(run, progress.step)
        self._journal.rewind(progress.step)
        self._announce()
        keep_freed_memory()
        portions = feed(self._prepared, settings, self._recipe.seed, progress.epoch, progress.used)
        steps = updates(self._objective, self._optimizer, portions, settings, progress, self._device)
        scores = _translation_scores(self._model, self._recipe, self._prepared, self._device)
        with noted_signals() as noted:
            hooks = Hooks(
                validate=lambda: validate(self._objective, self._prepared, settings, scores, self._device),
                save=self._save,
                stopping=lambda: bool(noted),
            )
            done = run_loop(steps, settings, progress, self._journal, hooks)
        if not done:
            update_summary(run, status="stopped", step=progress.step)
            raise StoppedError(
                f"stopped by {noted[0].name} at update {progress.step:,}; all is saved: the same command goes on",
                noted[0],
            )
        self._publish()

    def _announce(self) -> None:
        weights = sum(weight.numel() for weight in self._model.parameters())
        pairs = sum(len(corpus) for corpus in self._prepared.train)
        going_on = f", going on after update {self._progress.step:,}" if self._progress.step else ""
        console.say(
            f"{self._run.path}: {self._recipe.model.architecture} with {weights:,} weights,"
            f" {pairs:,} sentence pairs, {describe(self._device)}{going_on}"
        )
        self._journal.write(
            "event",
            self._progress.step,
            self._progress.epochs,
            self._progress.target_tokens,
            event="resumed" if self._progress.step else "started",
            **environment(),
        )

    def _save(self, progress: Progress) -> None:
        tensors = optimizer_tensors(self._optimizer, self._model)
        tensors["random/cpu"] = torch.get_rng_state()
        if self._device.type == "cuda":
            tensors["random/cuda"] = torch.cuda.get_rng_state(self._device)
        weights = dict(self._model.named_parameters())
        checkpoints.save_checkpoint(self._run, progress.step, weights, tensors, progress.as_state())
        keep = self._recipe.training.checkpoints
        best = [step for _, step in progress.best]
        if best:
            files.write_json(self._run.pointer("best"), {"step": best[0], "score": progress.best[0][0]})
        checkpoints.prune(self._run, {*self._run.steps()[-keep.keep_last :], *best})
        update_summary(self._run, step=progress.step, best=[list(entry) for entry in progress.best])

    def _restore(self, checkpoint: Path) -> None:
        tensors = checkpoints.read_tensors(checkpoint / OPTIMIZER)
        try:
            self._progress = Progress.from_state(checkpoints.read_state(checkpoint))
            torch.set_rng_state(tensors.pop("random/cpu"))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{checkpoint}: is not the checkpoint of a training: {error}") from error
        cuda_state = tensors.pop("random/cuda", None)
        if cuda_state is not None and self._device.type == "cuda":
            torch.cuda.set_rng_state(cuda_state, self._device)
        load_optimizer(self._optimizer, self._model, tensors)

    def _to_average(self) -> list[int]:
        """Updates whose checkpoints make the model: the best, or the last if none had a score."""
        keep = self._recipe.training.checkpoints.keep_best
        best = [step for _, step in self._progress.best[:keep] if self._run.checkpoint(step).is_dir()]
        return sorted(best or self._run.steps()[-1:])

    def _is_published(self) -> bool:
        """Whether the run's model is what `_publish` would make of the checkpoints."""
        manifest = self._run.model / files.MANIFEST
        return (
            manifest.is_file() and files.read_json(manifest, ModelError).get("averaged_updates") == self._to_average()
        )

    def _publish(self) -> None:
        """Average the best checkpoints into the run's model."""
        run, progress, best = self._run, self._progress, self._to_average()
        weights = checkpoints.average([run.checkpoint(step) for step in best])
        with files.new_folder(run.model) as folder:
            files.write_json(folder / CONFIG, config_of(self._recipe, self._prepared.tokenizer).model_dump(mode="json"))
            checkpoints.write_tensors(folder / WEIGHTS, weights)
            self._prepared.tokenizer.save(folder / TOKENIZER)
            files.write_manifest(folder, {"format": 1, "nmt": __version__, "averaged_updates": best})
        reason = finished(self._recipe.training, progress)
        update_summary(run, status="finished", reason=reason, step=progress.step, seconds=round(progress.seconds))
        console.say(
            f"finished after {console.duration(progress.seconds)}: {reason}\n"
            f"{run.model}: the average of {len(best)} checkpoints (updates {', '.join(map(str, best))})\n"
            f"next: nmt evaluate {run.path}"
        )


def _translation_scores(
    model: TranslationModel, recipe: Recipe, prepared: Prepared, device: torch.device
) -> TranslationScores:
    """How validation translates and scores a set: as `nmt evaluate` does, from the raw text."""
    lines = {
        name: (list(read_lines(corpus.source)), list(read_lines(corpus.target)))
        for name, corpus in recipe.data.valid.items()
    }

    def scores(name: str) -> Mapping[str, float]:
        sources, references = lines[name]
        translator = Translator(model, prepared.tokenizer, recipe.decoding, device)
        hypotheses = [translation.hypotheses[0].text for translation in translator.translate(sources)]
        model.train()
        settings = recipe.evaluation.model_copy(update={"metrics": ["bleu", "chrf"]})
        return {found.key: found.value for found in score(hypotheses, [references], settings)}

    return scores


def _describe(recipe: Recipe, prepared: Prepared, run: RunDirectory) -> None:
    """What a training would be, without doing any of it."""
    with torch.device("meta"):
        weights = sum(w.numel() for w in build(recipe.model, vocabularies_of(prepared.tokenizer)).parameters())
    pairs = sum(len(corpus) for corpus in prepared.train)
    tokens = sum(int(corpus.target_lengths.sum()) + len(corpus) for corpus in prepared.train)
    console.table(
        f"{run.path} would be trained on {describe(pick_device())}",
        ["", "number"],
        [
            ["weights", f"{weights:,}"],
            ["sentence pairs", f"{pairs:,}"],
            ["target tokens in an epoch", f"{tokens:,}"],
            ["updates in an epoch", f"{max(1, round(tokens / recipe.training.update_tokens)):,}"],
            ["updates at most", f"{recipe.training.limits.updates:,}"],
        ],
    )
