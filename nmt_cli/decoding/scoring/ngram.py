"""N-gram language models over target tokens, with backoff (Katz 1987)."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nmt_cli.decoding.scoring.arpa import ArpaModel
from nmt_cli.errors import ModelError

NgramContext = tuple[int, ...]

_BOS, _UNKNOWN = -1, -2
"""Ids of <s>, and of tokens that the model does not have, in contexts."""
_IMPOSSIBLE = -99.0 * float(np.log(10))
"""Log-probability of a token that is not in a model without <unk>."""
_MAX_CACHED_VALUES = 2**24


def known_ids(ids: Mapping[str, int], size: int) -> dict[str, int]:
    """Return the ids of target tokens, of which there are `size`, and those of the special tokens of ARPA files."""
    return {**ids, "<unk>": _UNKNOWN, "<UNK>": _UNKNOWN, "<s>": _BOS, "</s>": size}


class NgramModel:
    """The distribution of the next target token after the last ones.

    Its states are contexts: as many of the last tokens as the model has an n-gram for.
    """

    def __init__(self, arpa: ArpaModel, size: int) -> None:
        """Use n-grams of the tokens of `known_ids` as a model over `size` ids.

        Raises:
            ModelError: There is no n-gram of a token alone.
        """
        self._order, self._size, self._backoffs = arpa.order, size, arpa.backoffs
        self._successors = dict[NgramContext, dict[int, float]]()
        for (*context, token), value in arpa.log_probs.items():
            self._successors.setdefault(tuple(context), {})[token] = value
        unigrams = self._successors.get((), {})
        self._has_token = np.array([token in unigrams for token in range(size)])
        if not self._has_token.any():
            raise ModelError("it has none of the target tokens of the translation model")
        self._has_eos = size in unigrams
        self._rows = dict[NgramContext, npt.NDArray[np.float32]]()
        self.start: NgramContext = self._known((_BOS,))
        """The state at the beginning of a translation."""

    def log_probs(self, state: NgramContext) -> npt.NDArray[np.float32]:
        """Return the natural log-probability [V+1] of each token after a state; eos last, 0 without </s>."""
        if (row := self._rows.get(state)) is None:
            if len(self._rows) * (self._size + 1) > _MAX_CACHED_VALUES:
                self._rows.clear()
            row = self._rows[state] = self._row(state)
        return row

    def next_state(self, state: NgramContext, token: int) -> NgramContext:
        """Return the state after another token."""
        token = token if self._has_token[token] else _UNKNOWN
        return self._known((*state, token))

    def score(self, tokens: Sequence[int]) -> float:
        """Return the natural log-probability of a translation, eos included."""
        state, total = self.start, 0.0
        for token in tokens:
            total += float(self.log_probs(state)[token])
            state = self.next_state(state, token)
        return total + float(self.log_probs(state)[-1])

    def _row(self, state: NgramContext) -> npt.NDArray[np.float32]:
        successors = self._successors.get(state, {})
        if state:
            row = self.log_probs(state[1:]) + np.float32(self._backoffs.get(state, 0.0))
        else:
            row = np.full(self._size + 1, _IMPOSSIBLE, np.float32)
        if _UNKNOWN in successors:
            row[:-1][~self._has_token] = successors[_UNKNOWN]
        for token, value in successors.items():
            if token >= 0:
                row[token] = value
        if not self._has_eos:
            row[-1] = 0.0
        return row

    def _known(self, tokens: NgramContext) -> NgramContext:
        """Return as many of the last tokens as can change the distribution."""
        first = max(0, len(tokens) - self._order + 1)
        while first < len(tokens) and not (tokens[first:] in self._successors or tokens[first:] in self._backoffs):
            first += 1
        return tokens[first:]
