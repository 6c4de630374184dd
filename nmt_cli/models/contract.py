"""What loss and search may ask of a model.

Shapes, here and everywhere: B sentences, S source and T target positions, k hypotheses of each
sentence, D model width, H heads, V words of the target vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Vocabularies:
    """What a model knows of the words: how many there are, and which are special."""

    source_size: int
    target_size: int
    start: int
    """The decoder's first input."""
    end: int
    """Ends each source and each target."""
    factors: tuple[int, ...] = ()
    """How many numbers each factor of the source's words has; 0 is that of none."""


@dataclass(frozen=True)
class Source:
    """Source sentences as tokens [B,S], each ending with `end`; lengths [B], or None if all fill S.

    Factors [B,S,k] are given to a model that knows k of them, and to no other.
    """

    tokens: Tensor
    lengths: Tensor | None = None
    factors: Tensor | None = None


@dataclass(frozen=True)
class Decoded:
    """What the decoder says at each position: vectors [B,T,D] and, if asked for, attention [B,T,S].

    A model that has no attention gives none.
    """

    vectors: Tensor
    attention: Tensor | None = None


class State(Protocol):
    """What a model remembers of k hypotheses for each of B sentences while it searches.

    A state is spent once it was given to `step` or `select`; only what they return can be gone on with.
    """

    def select(self, rows: Tensor) -> Self:
        """Keep, repeat, reorder or drop hypotheses and sentences.

        rows [B',k'] numbers hypotheses as sentence·k + place; a row of it holds hypotheses of one
        sentence only, so what belongs to a sentence is held once.
        """
        ...


class TranslationModel(nn.Module, ABC):
    """The contract: the loss uses encode, decode and scores; search uses encode, start and step."""

    recompute = False
    """Whether to keep only what enters each part of the model, and compute the part again for its gradient."""

    def __init__(self, vocabularies: Vocabularies) -> None:
        super().__init__()
        self.vocabularies = vocabularies

    @abstractmethod
    def encode(self, source: Source) -> Any:
        """Read the source; the result, the model's own, has one row per sentence."""

    @abstractmethod
    def decode(self, memory: Any, target_in: Tensor, attention: bool = False) -> Decoded:
        """Read whole targets [B,T], each beginning with `start`, position t seeing only up to t."""

    @abstractmethod
    def scores(self, decoded: Decoded, positions: Tensor | None = None) -> Tensor:
        """Scores [n,V] of the word after each position; positions [n] count through B·T, None means all.

        Scores are any values whose log-softmax is the distribution.
        """

    @abstractmethod
    def start(self, memory: Any) -> State:
        """Begin to search, with one empty hypothesis for each sentence."""

    @abstractmethod
    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Say tokens [B,k] (at first `start`, k = 1); scores [B,k,V] of what follows are the caller's to change."""

    def _compute(self, part: Callable[..., Any], *inputs: Any) -> Any:
        """What a part of the model makes of its inputs; computed again, with the same dropout, if so asked."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)


def sentences_of(rows: Tensor, hypotheses: int, sentences: int) -> Tensor | None:
    """The sentence [B'] of each row of hypothesis numbers [B',k'], counted sentence·hypotheses + place.

    None if these are all the sentences in their order, so that what is held for each sentence can stay where it is.
    """
    kept = rows[:, 0] // hypotheses
    if len(kept) == sentences and torch.equal(kept, torch.arange(sentences, device=rows.device)):
        return None
    return kept
