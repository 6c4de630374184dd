"""Several models as one, which thinks of each word what they think of it on average."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import Decoded, Source, State, TranslationModel


@dataclass(frozen=True)
class EnsembleDecoded(Decoded):
    """What each model's decoder says; vectors [B,T,ΣD] side by side, attention the mean of those that have any."""

    parts: tuple[Decoded, ...] = ()


@dataclass(frozen=True)
class EnsembleState:
    """The states of all models, which search the same hypotheses."""

    parts: tuple[State, ...]

    def select(self, rows: Tensor) -> Self:
        """See State.select."""
        return type(self)(tuple(part.select(rows) for part in self.parts))


class Ensemble(TranslationModel):
    """Models of any kind over the same vocabularies.

    A word's probability is the mean of those that the models give it, by weight: an arithmetic mean, so that one model
    that is sure of a word can bring it in, as in most toolkits, and not a geometric one, in which each has a veto.
    """

    def __init__(self, models: Sequence[TranslationModel], weights: Sequence[float] = ()) -> None:
        """Weights are positive, of any sum; none means that all are equal."""
        super().__init__(models[0].vocabularies)
        assert all(model.vocabularies == self.vocabularies for model in models)
        weights = weights or [1.0] * len(models)
        assert len(weights) == len(models)
        self.models = nn.ModuleList(models)
        self._shares = [math.log(weight / math.fsum(weights)) for weight in weights]

    def encode(self, source: Source) -> tuple[Any, ...]:
        return tuple(model.encode(source) for model in self._models())

    def decode(self, memory: tuple[Any, ...], target_in: Tensor, attention: bool = False) -> EnsembleDecoded:
        parts = tuple(
            model.decode(each, target_in, attention) for model, each in zip(self._models(), memory, strict=True)
        )
        looks = [
            (part.attention, math.exp(share))
            for part, share in zip(parts, self._shares, strict=True)
            if part.attention is not None
        ]
        mean = None
        if looks:
            mean = torch.stack([look * share for look, share in looks]).sum(0) / sum(share for _, share in looks)
        return EnsembleDecoded(torch.cat([part.vectors for part in parts], dim=-1), mean, parts)

    def scores(self, decoded: Decoded, positions: Tensor | None = None) -> Tensor:
        assert isinstance(decoded, EnsembleDecoded)
        return self._mean(
            [model.scores(part, positions) for model, part in zip(self._models(), decoded.parts, strict=True)]
        )

    def start(self, memory: tuple[Any, ...]) -> EnsembleState:
        return EnsembleState(tuple(model.start(each) for model, each in zip(self._models(), memory, strict=True)))

    def step(self, tokens: Tensor, state: EnsembleState) -> tuple[Tensor, EnsembleState]:
        steps = [model.step(tokens, each) for model, each in zip(self._models(), state.parts, strict=True)]
        return self._mean([scores for scores, _ in steps]), EnsembleState(tuple(each for _, each in steps))

    def _models(self) -> Sequence[TranslationModel]:
        return cast("Sequence[TranslationModel]", self.models)

    def _mean(self, scores: Sequence[Tensor]) -> Tensor:
        """Log-probabilities [...,V] of the mean distribution."""
        each = [one.float().log_softmax(-1) + share for one, share in zip(scores, self._shares, strict=True)]
        return torch.stack(each).logsumexp(0)
