"""Several models that decode together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import (
    Cache,
    Capabilities,
    DecoderInput,
    DecoderOutput,
    EncoderOutput,
    Model,
    ModelInputs,
    OutputPositions,
)


@dataclass(frozen=True)
class EnsembleEncoderOutput(EncoderOutput):
    """The outputs of all models' encoders."""

    outputs: tuple[EncoderOutput, ...]


@dataclass(frozen=True)
class EnsembleDecoderOutput(DecoderOutput):
    """The outputs of all models' decoders.

    Their hidden states [B,T,ΣD] are concatenated, cross-attention is the mean of those that have any.
    """

    outputs: tuple[DecoderOutput, ...] = ()


@dataclass(frozen=True)
class EnsembleCache:
    """The caches of all models, which hold the same hypotheses."""

    caches: tuple[Cache, ...]

    def select(self, hypothesis_indices: Tensor) -> Self:
        """See Cache.select."""
        return type(self)(tuple(cache.select(hypothesis_indices) for cache in self.caches))


class Ensemble(Model):
    """Average the token probabilities of models with the same vocabulary.

    The weighted mean is arithmetic, as in most toolkits: one model that is sure of a token can bring it in. In a
    geometric mean each model has a veto. Models of any kinds can be mixed, but CTC models only with others of the same
    upsampling.
    """

    def __init__(self, models: Sequence[Model], weights: Sequence[float] = ()) -> None:
        """Weights are positive, of any sum; none means that all are equal."""
        capabilities = Capabilities(
            search=frozenset.intersection(*(model.capabilities.search for model in models)),
            attention=any(model.capabilities.attention for model in models),
            output="log_probs",
            blank=models[0].capabilities.blank,
            copies=any(model.capabilities.copies for model in models),
        )
        super().__init__(models[0].vocabulary, capabilities)
        assert all(model.vocabulary == self.vocabulary for model in models)
        weights = weights or [1.0] * len(models)
        assert len(weights) == len(models)
        self.models = nn.ModuleList(models)
        self._log_weights = [math.log(weight / math.fsum(weights)) for weight in weights]

    def encode(self, inputs: ModelInputs) -> EnsembleEncoderOutput:
        return EnsembleEncoderOutput(tuple(model.encode(inputs) for model in self._models()))

    def decode(
        self, encoder_output: EnsembleEncoderOutput, target: DecoderInput, attention: bool = False
    ) -> EnsembleDecoderOutput:
        outputs = tuple(
            model.decode(each, target, attention)
            for model, each in zip(self._models(), encoder_output.outputs, strict=True)
        )
        mean = self._mean_of_some([output.cross_attention for output in outputs])
        hidden_states = torch.cat([output.hidden_states for output in outputs], dim=-1)
        return EnsembleDecoderOutput(hidden_states, outputs[0].lengths, cross_attention=mean, outputs=outputs)

    def logits(self, output: EnsembleDecoderOutput, positions: OutputPositions | None = None) -> Tensor:
        each = zip(self._models(), output.outputs, strict=True)
        return self._mean([model.logits(one, positions) for model, one in each])

    def copy_probability(self, output: EnsembleDecoderOutput) -> Tensor | None:
        """See Model.copy_probability; the mean of the models that copy."""
        each = zip(self._models(), output.outputs, strict=True)
        return self._mean_of_some([model.copy_probability(one) for model, one in each])

    def init_cache(self, encoder_output: EnsembleEncoderOutput, batch_size: int) -> EnsembleCache:
        each = zip(self._models(), encoder_output.outputs, strict=True)
        return EnsembleCache(tuple(model.init_cache(output, batch_size) for model, output in each))

    def step(self, ids: Tensor, cache: EnsembleCache) -> tuple[Tensor, EnsembleCache]:
        steps = [model.step(ids, each) for model, each in zip(self._models(), cache.caches, strict=True)]
        return self._mean([logits for logits, _ in steps]), EnsembleCache(tuple(each for _, each in steps))

    def with_target_tokens(self, tokens: Tensor) -> "Ensemble":
        """See Model.with_target_tokens."""
        weights = list(map(math.exp, self._log_weights))
        return Ensemble([model.with_target_tokens(tokens) for model in self._models()], weights)

    def _models(self) -> Sequence[Model]:
        return cast("Sequence[Model]", self.models)

    def _mean_of_some(self, values: Sequence[Tensor | None]) -> Tensor | None:
        """Return the weighted mean of the values of the models that have one."""
        each = zip(values, map(math.exp, self._log_weights), strict=True)
        given = [(value, weight) for value, weight in each if value is not None]
        total = sum(weight for _, weight in given)
        return torch.stack([value * (weight / total) for value, weight in given]).sum(0) if given else None

    def _mean(self, logits: Sequence[Tensor]) -> Tensor:
        """Return the log-probabilities [...,V] of the mean distribution."""
        each = zip(logits, self._log_weights, strict=True)
        return torch.stack([one.float().log_softmax(-1) + weight for one, weight in each]).logsumexp(0)
