"""Shallow fusion: a language model of the target adds its log-probabilities to those of the translation model."""

from typing import Any

from torch import Tensor

from nmt_cli.models.contract import Model, ModelInputs


class LanguageModelFusion:
    """Adds weighted log-probabilities of a language model (Gulcehre et al. 2015). Its state is the model's cache."""

    is_soft = True

    def __init__(self, model: Model, weight: float) -> None:
        """The model has the target vocabulary of the translation model."""
        self._model, self._weight = model, weight

    def begin(self, batch_size: int) -> Any:
        """Return the language model's cache of `batch_size` sentences without tokens."""
        return self._model.init_cache(self._model.encode(ModelInputs(batch_size)), batch_size)

    def __call__(self, scores: Tensor, prefixes: Tensor, state: Any) -> tuple[Tensor, Any]:
        vocabulary, ids = self._model.vocabulary, prefixes[:, :, -1]
        special, size = vocabulary.special_tokens, vocabulary.target_size
        if prefixes.size(2) == 1:  # a prompt may end with another token
            ids = ids.new_full(ids.shape, special.decoder_start)
        logits, state = self._model.step(ids.masked_fill(ids >= size, special.unk), state)
        log_probs = logits.float().log_softmax(-1) * self._weight
        scores[..., :size] += log_probs
        scores[..., size:] += log_probs[..., special.unk, None]  # copied words are unknown
        return scores, state

    def select(self, state: Any, rows: Tensor) -> Any:
        """Return the cache of the given hypotheses."""
        return state.select(rows)
