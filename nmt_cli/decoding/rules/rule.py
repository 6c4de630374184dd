"""What a rule of search is, what it may look at, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from torch import Tensor


@dataclass(frozen=True)
class Said:
    """Hypotheses so far."""

    tokens: Tensor
    """[B,k,t], with start; those that are impossible may hold anything."""
    sentences: Tensor
    """[B], on the CPU: the place of each sentence in the batch as it was when the search began."""
    rows: Tensor | None = None
    """[B], on the CPU, rising: the numbers of what is searched apart, such as groups of a beam; None: `sentences`."""

    @property
    def length(self) -> int:
        """The number of the next word, counted from 1."""
        return self.tokens.size(2)


class Rule(Protocol):
    """Something that decides, beside the model, which words are said. It never changes a log-probability.

    A rule that is soft adds finite values, which count in the ranking only; others only forbid.
    """

    soft: bool

    def __call__(self, scores: Tensor, said: Said) -> None:
        """Change, in place, scores [B,k,V] of the next word: add a bonus in nats, or put -inf to what must not be."""
        ...


@dataclass(frozen=True)
class Words:
    """Log-probabilities [B,k,V] of each word after each hypothesis."""

    own: Tensor
    """The model's own; of words that rules forbid they may be lost."""
    ranked: Tensor
    """As rules have changed them; the same tensor where no rule is soft."""

    @classmethod
    def ruled(cls, scores: Tensor, rules: Sequence[Rule], said: Said) -> Self:
        """What rules make of a model's scores."""
        own = scores.float().log_softmax(-1)
        ranked = own.clone() if any(rule.soft for rule in rules) else own
        for rule in rules:
            rule(ranked, said)
        return cls(own, ranked)
