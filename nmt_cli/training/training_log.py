"""Reports training progress to the journal and the terminal."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from nmt_cli.console import Reporter, duration
from nmt_cli.devices import peak_memory
from nmt_cli.models.kernels import matmul_speed
from nmt_cli.runs.journal import Journal
from nmt_cli.training.monitor import TrainingMonitor
from nmt_cli.training.train_state import Scores, TrainState, UpdateStats
from nmt_cli.training.trainer import Trainer

_PROGRESS_SECONDS = 20
_DIGITS = {"loss": 3}
"""Decimals of a validation score, if not 2."""


def record(journal: Journal, state: TrainState, kind: str, **values: Any) -> None:
    """Record an update, a validation or another event."""
    journal.write(kind, state.num_updates, state.data.passes, state.target_tokens, **values)


def format_scores(scores: Mapping[str, float]) -> str:
    """Return the scores of a validation set for a message."""
    return "  ".join(f"{metric} {value:.{_DIGITS.get(metric, 2)}f}" for metric, value in scores.items())


def describe_changes(before: Any, after: Any) -> str:
    """Return a line for each validation set with its scores before and after fine-tuning; empty if they are unknown.

    Args:
        before: Entry `start_scores` of run.json: scores by set and metric.
        after: Entry `published.scores`.
    """
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ""
    lines = list[str]()
    for name, scores in after.items():
        old = before.get(name, {})
        changes = [
            f"{key} {old[key]:.2f} → {value:.2f} ({value - old[key]:+.2f})"
            for key, value in scores.items()
            if key in old
        ]
        lines.append(f"{name}: {'  '.join(changes)}\n")
    return "".join(lines)


class TrainingLog:
    """One rank's log. Every rank must make the same calls; only the primary rank writes."""

    def __init__(self, trainer: Trainer, journal: Journal, monitor: TrainingMonitor, reporter: Reporter) -> None:
        self._trainer, self._journal, self._monitor, self._reporter = trainer, journal, monitor, reporter
        limits, state = trainer.settings.limits, trainer.state
        is_limited_by_updates = limits.epochs is None and limits.minutes is None
        total = limits.updates if is_limited_by_updates else None
        # No plain lines: `_report_interval` prints its own, with figures.
        self.progress_bar = reporter.progress_bar("training", "updates", total, state.num_updates, "figures")
        self._num_parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
        precision = torch.bfloat16 if trainer.settings.precision == "bf16" else torch.float32
        self._peak_flops = matmul_speed(trainer.device, precision) * trainer.distributed.world_size
        self._initial_fraction, self._started = state.fraction_done(limits), time.monotonic()
        self._max_tokens_that_fit = trainer.max_tokens_that_fit
        self._next_progress = 0.0  # `state.seconds` at which a long interval is reported; at once after the start
        self._start_interval()

    def add(self, stats: UpdateStats) -> None:
        """Count an update, and report when it is time."""
        if self._trainer.max_tokens_that_fit != self._max_tokens_that_fit:
            self._report_out_of_memory()
        if stats.is_skipped:
            self._report_skipped(stats)
            return
        self._report_diagnosis(stats)
        self._losses.append(stats.loss)
        self._tokens += stats.tokens
        self._data_wait += stats.data_wait
        facts: dict[str, str] = {}
        state = self._trainer.state
        if state.num_updates % self._trainer.settings.logging.every == 0:
            facts = self._report_interval(stats, "train")
            self._start_interval()
        elif state.seconds >= self._next_progress:  # the same on all ranks
            facts = self._report_interval(stats, "progress")
        self.progress_bar.advance(values=facts)

    def add_validation(self, scores: Mapping[str, Scores]) -> None:
        """Report the scores of all validation sets."""
        state = self._trainer.state
        for name, values in scores.items():
            record(self._journal, state, "valid", set=name, num_not_improved=state.num_not_improved, **values)
            is_best = bool(state.best) and state.best[0][1] == state.num_updates
            best = "  (best so far)" if is_best else ""
            self._reporter.info(f"update {state.num_updates:,}  {name}: {format_scores(values)}{best}")
        self._start_interval()

    def _report_interval(self, stats: UpdateStats, kind: str) -> dict[str, str]:
        """Report the updates of this interval so far; return the figures for the progress bar.

        Records of kind `progress` come before the end of an interval, for those who watch a slow run.
        """
        passed = time.monotonic() - self._interval_start
        state, distributed = self._trainer.state, self._trainer.distributed
        summed, data_wait = distributed.all_reduce_sum(float(torch.stack(self._losses).sum()), self._data_wait)
        loss, speed = summed / self._tokens, self._tokens / passed
        times_left = self._times_left(passed)
        self._next_progress = state.seconds + _PROGRESS_SECONDS
        record(
            self._journal,
            state,
            kind,
            loss=loss,
            seconds_left=times_left.get("end"),
            learning_rate=stats.learning_rate,
            gradient_norm=stats.gradient_norm,
            target_tokens_per_second=speed,
            # 6 floating-point operations per parameter and target token (Kaplan et al. 2020).
            model_flops_utilization=6 * self._num_parameters * speed / self._peak_flops,
            data_wait_fraction=data_wait / distributed.world_size / passed,
            memory_bytes=peak_memory(self._trainer.device),
            mixture={name: asdict(exposure) for name, exposure in state.mixture.items()},
        )
        facts = {what: duration(seconds) for what, seconds in times_left.items()}
        facts |= {"epoch": f"{state.data.passes:.1f}", "loss": f"{loss:.3f}", "tokens/s": f"{speed:,.0f}"}
        done = f"{state.fraction_done(self._trainer.settings.limits):.0%}"
        if self.progress_bar.total is None:
            facts = {"done": done, **facts}
        line = (
            f"update {state.num_updates:,} ({done})  epoch {facts['epoch']}  loss {facts['loss']}"
            f"  {facts['tokens/s']} tokens/s" + "".join(f"  {what} in {facts[what]}" for what in times_left)
        )
        (self._reporter.log if self.progress_bar.on_terminal else self._reporter.info)(line)
        return facts

    def _times_left(self, passed: float) -> dict[str, float]:
        """Estimate the seconds to the next validation and to the end, at the pace so far."""
        settings, state = self._trainer.settings, self._trainer.state
        validation = passed / len(self._losses) * (-state.num_updates % settings.validation.every)
        fraction = state.fraction_done(settings.limits)
        if fraction <= self._initial_fraction:
            return {"validation": validation}
        end = (time.monotonic() - self._started) * (1 - fraction) / (fraction - self._initial_fraction)
        # The last validation takes place at the end.
        return {"validation": min(validation, end), "end": end}

    def _report_out_of_memory(self) -> None:
        self._max_tokens_that_fit = self._trainer.max_tokens_that_fit
        self._reporter.warn(
            f"out of memory: training continues with at most {self._max_tokens_that_fit:,} padded target tokens at"
            " once; the gradients stay the same, but a lower training.batch_tokens is faster"
        )
        record(
            self._journal, self._trainer.state, "event", event="out of memory", batch_tokens=self._max_tokens_that_fit
        )

    def _report_diagnosis(self, stats: UpdateStats) -> None:
        before = time.monotonic()
        diagnosis = self._monitor.after(stats)
        self._interval_start += time.monotonic() - before  # the check must not count as slow training
        if diagnosis is not None and self._trainer.distributed.is_primary:
            state = self._trainer.state
            self._reporter.warn(f"update {state.num_updates:,}: {diagnosis.message}")
            record(self._journal, state, "event", event="unhealthy", cause=diagnosis.cause, message=diagnosis.message)

    def _report_skipped(self, stats: UpdateStats) -> None:
        state = self._trainer.state
        ids = ", ".join(map(str, stats.pair_ids[:6]))
        self._reporter.warn(
            f"update {state.num_updates + 1:,}: the gradient is not finite (examples {ids}, …); skipped"
        )
        record(self._journal, state, "event", event="skipped", pairs=stats.pair_ids, learning_rate=stats.learning_rate)

    def _start_interval(self) -> None:
        """Start a new reporting interval, also after a validation, which must not count as slow training."""
        self._losses: list[Tensor] = []
        self._tokens, self._data_wait, self._interval_start = 0, 0.0, time.monotonic()
