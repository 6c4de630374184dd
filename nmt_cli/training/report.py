"""Tells the journal and the terminal how training goes."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from nmt_cli import console
from nmt_cli.devices import peak_memory
from nmt_cli.models.linear import product_speed
from nmt_cli.runs.journal import Journal
from nmt_cli.training.health import Health
from nmt_cli.training.learner import Learner
from nmt_cli.training.progress import Progress, Scores, Update


def record_event(journal: Journal, progress: Progress, event: str, **values: Any) -> None:
    """Record something that is neither an update nor a validation."""
    journal.write("event", progress.step, progress.epochs, progress.target_tokens, event=event, **values)


class Report:
    """One rank's; all ranks count together, the first one tells."""

    def __init__(self, learner: Learner, journal: Journal, health: Health) -> None:
        self._learner, self._journal, self._health = learner, journal, health
        limits, progress = learner.settings.limits, learner.progress
        is_counted_in_updates = limits.epochs is None and limits.minutes is None
        total = limits.updates if is_counted_in_updates else None
        self.bar = console.ProgressBar("training", "updates", total, progress.step, plain_lines=False)
        self._weights = sum(weight.numel() for weight in learner.model.parameters())
        precision = torch.bfloat16 if learner.settings.precision == "bf16" else torch.float32
        self._product_speed = product_speed(learner.device, precision) * learner.ranks.count
        self._first_share, self._started = progress.share(limits), time.monotonic()
        self._fits = learner.fits
        self._start_anew()

    def add(self, update: Update) -> None:
        """Count an update, and report when it is time."""
        if self._learner.fits != self._fits:
            self._tell_what_fits()
        if update.is_skipped:
            self._tell_skipped(update)
            return
        self._tell_concern(update)
        self._losses.append(update.loss)
        self._tokens += update.tokens
        self._waited += update.waited
        facts: dict[str, str] = {}
        if self._learner.progress.step % self._learner.settings.logging.every == 0:
            facts = self._tell_stretch(update)
            self._start_anew()
        self.bar.advance(values=facts)

    def validated(self, scores: Mapping[str, Scores]) -> None:
        """Report the scores of all validation sets."""
        progress = self._learner.progress
        for name, values in scores.items():
            self._record("valid", set=name, stale=progress.stale, **values)
            shown = "  ".join(f"{metric} {value:.3f}" for metric, value in values.items())
            console.info(f"update {progress.step:,}  {name}: {shown}" + ("" if progress.stale else "  (best so far)"))
        self._start_anew()

    def _tell_stretch(self, update: Update) -> dict[str, str]:
        """Report the updates since the last report."""
        passed = time.monotonic() - self._since
        progress = self._learner.progress
        summed, waited = self._learner.ranks.sum(float(torch.stack(self._losses).sum()), self._waited)
        loss, speed = summed / self._tokens, self._tokens / passed
        self._record(
            "train",
            loss=loss,
            learning_rate=update.learning_rate,
            gradient_norm=update.gradient_norm,
            target_tokens_per_second=speed,
            # Six floating-point operations for each weight and target token (Kaplan et al. 2020).
            share_of_peak=6 * self._weights * speed / self._product_speed,
            share_waiting_for_data=waited / self._learner.ranks.count / passed,
            memory_bytes=peak_memory(self._learner.device),
            mixture={name: asdict(learned) for name, learned in progress.mixture.items()},
        )
        facts = {"epoch": f"{progress.epochs:.1f}", "loss": f"{loss:.3f}", "tokens/s": f"{speed:,.0f}"}
        facts |= self._times_left(passed)
        if not self.bar.on_terminal:
            console.info(
                f"update {progress.step:,}  epoch {facts['epoch']}  loss {facts['loss']}  {facts['tokens/s']} tokens/s"
                + "".join(f"  {what} in {facts[what]}" for what in ("validation", "end") if what in facts)
            )
        return facts

    def _times_left(self, passed: float) -> dict[str, str]:
        """Time to the next validation and to the end, at the pace so far."""
        settings, progress = self._learner.settings, self._learner.progress
        validation = passed / len(self._losses) * (-progress.step % settings.validation.every)
        share = progress.share(settings.limits)
        if share <= self._first_share:
            return {"validation": console.duration(validation)}
        end = (time.monotonic() - self._started) * (1 - share) / (share - self._first_share)
        # The last validation comes with the end.
        return {"validation": console.duration(min(validation, end)), "end": console.duration(end)}

    def _tell_what_fits(self) -> None:
        self._fits = self._learner.fits
        console.warn(
            f"out of memory: from now on at most {self._fits:,} padded target tokens at once;"
            " the gradients stay the same, but a lower training.batch_tokens is faster"
        )
        record_event(self._journal, self._learner.progress, "out of memory", batch_tokens=self._fits)

    def _tell_concern(self, update: Update) -> None:
        """Say whether training goes as it should, if it is time to look."""
        before = time.monotonic()
        concern = self._health.after(update)
        self._since += time.monotonic() - before  # looking is no slow training
        if concern is not None and self._learner.ranks.is_first:
            progress = self._learner.progress
            console.warn(f"update {progress.step:,}: {concern.message}")
            record_event(self._journal, progress, "unhealthy", cause=concern.cause, message=concern.message)

    def _tell_skipped(self, update: Update) -> None:
        pairs = ", ".join(map(str, update.pairs[:6]))
        console.warn(
            f"update {self._learner.progress.step + 1:,}: the gradient is not finite (pairs {pairs}, …); skipped"
        )
        told = {"pairs": update.pairs, "learning_rate": update.learning_rate}
        record_event(self._journal, self._learner.progress, "skipped", **told)

    def _record(self, kind: str, **values: Any) -> None:
        progress = self._learner.progress
        self._journal.write(kind, progress.step, progress.epochs, progress.target_tokens, **values)

    def _start_anew(self) -> None:
        """Begin a new stretch of updates; a validation in between must not count as slow training."""
        self._losses: list[Tensor] = []
        self._tokens, self._waited, self._since = 0, 0.0, time.monotonic()
