"""What may come next after each hypothesis, as the model and the rules see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from nmt_cli.decoding.rules.rule import Rule, Said


@dataclass(frozen=True)
class Words:
    """Values of each word after each hypothesis."""

    scores: Tensor
    """[B,k,V], the model's own; of words that rules forbid they may be lost."""
    ranked: Tensor
    """[B,k,V], as rules have changed them; the same tensor where no rule is soft."""
    total: Tensor
    """[B,k,1], the logarithm of the sum of the exponentials of the model's own scores."""

    @classmethod
    def ruled(cls, scores: Tensor, rules: Sequence[Rule], said: Said) -> Self:
        """What rules make of a model's scores, which are changed in place."""
        scores = scores.float()
        total = _log_of_sum(scores)
        ranked = scores.clone() if any(rule.soft for rule in rules) else scores
        for rule in rules:
            rule(ranked, said)
        return cls(scores, ranked, total)

    def log_probability(self, words: Tensor) -> Tensor:
        """Of words [B,k,c], under the model's own distribution."""
        return self.scores.gather(-1, words) - self.total


def _log_of_sum(scores: Tensor) -> Tensor:
    """The logarithm of the sum of exponentials, [..., V] → [..., 1]: torch's own takes twice as long on a CPU."""
    return scores.amax(-1, keepdim=True) - scores.log_softmax(-1).amax(-1, keepdim=True)
