"""Search among the target tokens of a shortlist.

The model of such a search has a smaller target vocabulary: the tokens that the shortlist gives for the sources of a
batch, those that the constraints need, and the special tokens. A `Restriction` maps target ids into this vocabulary
before the search and back after it; the search itself is the same as without a shortlist.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from nmt_cli.data.shortlist import Shortlist
from nmt_cli.decoding.logits_processors.building import BatchConstraints
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Phrase, SentenceInput
from nmt_cli.models.contract import Model


class Restriction:
    """The target tokens of one batch, and the ids that they have in its search."""

    def __init__(
        self, shortlist: Shortlist, model: Model, sentences: Sequence[SentenceInput], device: torch.device
    ) -> None:
        special = model.vocabulary.special_tokens
        sources = [(*each.tags, *each.tokens, special.eos, *each.suffix) for each in sentences]
        required = {token for each in sentences for phrase in _required(each) for token in phrase}
        tokens = shortlist.target_tokens(sources, required | special.ids)
        self._tokens, self._tensor = tokens.tolist(), torch.from_numpy(tokens).to(device)
        self.model = model.with_target_tokens(self._tensor)
        """Predicts these tokens alone."""
        self._known = frozenset(self._tokens)

    def constraints(self, batch: BatchConstraints) -> BatchConstraints:
        """Return the constraints of the batch with the ids of this search."""
        return replace(
            batch,
            sentences=list(map(self._sentence, batch.sentences)),
            suppress_tokens=np.flatnonzero(np.isin(self._tokens, batch.suppress_tokens)).tolist(),
            continuations=batch.continuations.restricted_to(self._tensor),
        )

    def restored(self, found: Iterable[Iterable[Hypothesis]]) -> list[list[Hypothesis]]:
        """Return hypotheses of this search with the ids of the model's vocabulary."""
        tokens = self._tokens
        return [[replace(one, tokens=tuple(tokens[i] for i in one.tokens)) for one in each] for each in found]

    def _sentence(self, sentence: SentenceInput) -> SentenceInput:
        """Return a sentence with its target tokens under their ids here."""
        constraints = sentence.constraints
        restricted = replace(
            constraints,
            prefix=self._ids(constraints.prefix),
            prefix_completions=tuple(map(self._ids, constraints.prefix_completions)),
            forced_phrases=tuple(map(self._ids, constraints.forced_phrases)),
            bad_words=tuple(self._ids(phrase) for phrase in constraints.bad_words if self._known.issuperset(phrase)),
            bonuses=tuple(replace(each, phrase=self._ids(each.phrase)) for each in constraints.bonuses),
        )
        return replace(sentence, constraints=restricted, prompt=self._ids(sentence.prompt))

    def _ids(self, phrase: Phrase) -> Phrase:
        return tuple(bisect_left(self._tokens, token) for token in phrase)


def _required(sentence: SentenceInput) -> Iterable[Phrase]:
    """Return the phrases that a search must be able to produce."""
    constraints = sentence.constraints
    bonuses = (each.phrase for each in constraints.bonuses)
    return (
        sentence.prompt,
        constraints.prefix,
        *constraints.prefix_completions,
        *constraints.forced_phrases,
        *bonuses,
    )
