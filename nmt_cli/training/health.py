"""Whether a young training goes as healthy ones do, and if not, what the likely cause is."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nmt_cli.data.batches import Batch
from nmt_cli.devices import arithmetic
from nmt_cli.recipe.training.optimization import AdafactorSettings, SgdSettings, peak_rate
from nmt_cli.training.feed import Portion
from nmt_cli.training.learner import Learner
from nmt_cli.training.progress import Update

CHECKED = (100, 500)
"""Updates after which a look is taken."""
_WINDOW = 10
"""Updates of which the mean loss is taken, at the start and now."""
_BATCHES = 16
"""The last ones, by which the model is measured."""
_RISEN = 1.0
"""Nats above its start where a loss never goes in a healthy run."""
_LEARNED = 0.1
"""Nats below the entropy of single words: less shows no more than chance and the latest batches do."""
_SPEAKS = 0.5
"""Nats below it: the decoder knows which word follows which."""
_UNUSED = 0.02
"""Nats that a model loses by reading a wrong source, if it has learned nothing from sources."""
_HIGH_RATE, _RATHER_HIGH_RATE, _LOW_RATE = 3.0, 1.0, 0.01
"""Of the learning rate times the model's width, at its peak: 0.2 to 0.5 is usual in models of all sizes."""
_TOO_HIGH = (
    "the learning rate is most likely too high;"
    " lower training.optimizer.learning_rate, or lengthen training.schedule.warmup"
)
_MOSTLY_UNSEEN = 0.8
"""Of a vocabulary: what only the other language has is half of a joint one, or less."""
_FAR = 50.0
"""Sum of all rates so far, times the width, after which a healthy run is far below the entropy of single words."""


@dataclass(frozen=True)
class Signs:
    """What can be seen of a training; losses in nats per target token, without label smoothing but where it says so."""

    step: int
    start: float | None
    """Training loss of the first updates, label smoothing and all; None if they were made before a restart."""
    now: float
    """Training loss of the last updates, likewise."""
    loss: float
    """Of the model on the last batches, without dropout."""
    wrong_source: float
    """The same where each target stands with the source of another one of the same length."""
    entropy: float
    """Of single target words: the loss of a model that knows nothing but how often each one comes."""
    uniform: float
    """The logarithm of the vocabulary's size: the loss of a model that knows nothing at all."""
    unseen: float
    """Share of the target vocabulary that has not come yet."""
    rate: float
    """The highest learning rate so far."""
    peak: float
    """The highest one that there will be."""
    width: int
    way: float
    """The sum of all rates so far, times the width."""


@dataclass(frozen=True)
class Concern:
    """Why a training does not look healthy."""

    cause: str
    """In a word or two, for the journal."""
    message: str
    """What is seen, the likely cause, and what to do."""


class Health:
    """Watches the first updates of a training, and takes a look after some of them."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._counts = torch.zeros(learner.model.vocabularies.target_size, dtype=torch.int64)
        self._batches: deque[Batch] = deque(maxlen=_BATCHES)
        self._first: list[Tensor] = []
        self._last: deque[Tensor] = deque(maxlen=_WINDOW)
        self._rates: list[float] = []

    def watching(self, portions: Iterator[Portion]) -> Iterator[Portion]:
        """The same portions, whose words are counted as long as that is of use."""
        for portion in portions:
            if self._is_young:
                for part in portion.parts:
                    self._counts += torch.bincount(part.batch.labels, minlength=len(self._counts))
                    self._batches.append(part.batch)
            yield portion

    def after(self, update: Update) -> Concern | None:
        """What is wrong after this update, if it is time for a look; all ranks must ask."""
        step = self._learner.progress.step
        if step > CHECKED[-1]:
            return None
        self._rates.append(update.learning_rate)
        self._last.append(update.loss / update.tokens)
        if step <= _WINDOW:
            self._first.append(update.loss / update.tokens)
        found = judge(self._signs()) if step in CHECKED else None
        if step == CHECKED[-1]:
            self._batches.clear()
        return found

    @property
    def _is_young(self) -> bool:
        return self._learner.progress.step < CHECKED[-1]

    def _signs(self) -> Signs:
        learner, settings = self._learner, self._learner.settings
        moves_freely = isinstance(settings.optimizer, SgdSettings | AdafactorSettings)
        width = 0 if moves_freely else learner.width  # how far these go does not follow from their rates
        peak = peak_rate(settings.optimizer.learning_rate, settings.schedule, learner.width)
        right, wrong = self._losses()
        seen, total = self._counts[self._counts > 0], int(self._counts.sum())
        shares = seen / total
        return Signs(
            step=learner.progress.step,
            start=self._mean(self._first) if len(self._first) == _WINDOW else None,
            now=self._mean(self._last),
            loss=right,
            wrong_source=wrong,
            # What few words show is too low by so much, about (Miller 1955).
            entropy=float(-(shares * shares.log()).sum()) + (len(seen) - 1) / (2 * total),
            uniform=math.log(len(self._counts)),
            unseen=float((self._counts == 0).float().mean()),
            rate=max(self._rates),
            peak=peak * learner.progress.rate_factor,
            width=width,
            way=sum(self._rates) * width,
        )

    def _mean(self, losses: Iterable[Tensor]) -> float:
        (summed,) = self._learner.ranks.sum(float(torch.stack(list(losses)).mean()))
        return summed

    def _losses(self) -> tuple[float, float]:
        """Loss of the last batches, and of the same with each source in the place of another one."""
        learner, right, wrong, tokens = self._learner, 0.0, 0.0, 0
        with learner.evaluating(), torch.no_grad(), arithmetic(learner.device, learner.settings.precision):
            for batch in self._batches:
                for piece in batch.pieces(learner.fits or batch.padded_tokens):
                    if len(piece.source) > 1:
                        here = piece.to(learner.device)
                        loss, count = learner.objective(here)
                        other, _ = learner.objective(replace(here, source=here.source.roll(1, 0)))
                        right, wrong, tokens = right + float(loss), wrong + float(other), tokens + count
        right, wrong, summed = learner.ranks.sum(right, wrong, tokens)
        return (right / summed, wrong / summed) if summed else (math.nan, math.nan)


def judge(signs: Signs) -> Concern | None:
    """What is wrong, if anything certainly is: of slow but healthy training nothing is said."""
    if signs.start is not None and signs.now > signs.start + _RISEN:
        seen = f"the loss has risen from {signs.start:.2f} to {signs.now:.2f}"
        return Concern("rate too high", f"{seen}: {_TOO_HIGH}")
    gained = signs.entropy - signs.loss  # not a number where no two sources are equally long: then nothing is said
    if gained < _LEARNED:
        return _nothing_learned(signs)
    if signs.step >= CHECKED[-1] and gained > _SPEAKS and signs.wrong_source - signs.loss < _UNUSED:
        return _source_unused(signs)
    return None


def _source_unused(signs: Signs) -> Concern | None:
    """Why a model speaks the target language, whatever the source is."""
    if signs.way < _FAR:
        return None
    seen = "the model has learned to speak the target language, but nothing from the source"
    if signs.rate * signs.width > _RATHER_HIGH_RATE:
        return Concern("rate too high", f"{seen}: {_TOO_HIGH}")
    told = "the two sides are most likely not translations, line by line; look at the text, or ask `nmt check`"
    return Concern("source unused", f"{seen}: {told}")


def _nothing_learned(signs: Signs) -> Concern | None:
    """Why a model does no better than one that knows how often each word comes."""
    seen = (
        f"the model has learned no more than how often each word comes (its loss without label smoothing is"
        f" {signs.loss:.2f}; word frequencies alone give {signs.entropy:.2f}, and knowing nothing {signs.uniform:.2f})"
    )
    if signs.rate * signs.width > _HIGH_RATE:
        return Concern("rate too high", f"{seen}: {_TOO_HIGH}")
    is_near_start = signs.loss > (signs.entropy + signs.uniform) / 2
    if is_near_start and signs.peak * signs.width < _LOW_RATE:
        told = f"the learning rate ({signs.peak:.1g} at most) is most likely too low for a new model"
        return Concern("rate too low", f"{seen}: {told}; about {0.3 / signs.width:.0e} is usual for this width")
    if signs.step < CHECKED[-1] or signs.way < _FAR:
        return None
    if signs.unseen > _MOSTLY_UNSEEN:
        told = (
            f"{100 * signs.unseen:.0f} % of the target vocabulary have not come yet, so it is most likely far too large"
        )
        return Concern("vocabulary too large", f"{seen}: {told}; lower tokenizer.vocabulary_size")
    told = "the learning rate may be too high, or the two sides no translations; `nmt check` looks at both"
    return Concern("nothing learned", f"{seen}: {told}")
