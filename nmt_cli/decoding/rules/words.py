"""What may come next after each hypothesis, as the model and the rules see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from nmt_cli.decoding.rules.rule import Rule, Said


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
