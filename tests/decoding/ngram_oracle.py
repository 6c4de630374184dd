"""N-gram models by definition: a probability, or the backoff weight times that after a shorter context."""

import itertools
import random

from nmt_cli.decoding.scoring.arpa import ArpaModel, Ngram
from nmt_cli.decoding.scoring.ngram import known_ids

SIZE = 4
IDS = known_ids({"a": 1, "b": 2, "c": 3}, SIZE)
"""Token c is not in the models."""
BOS, A, B, EOS, UNK = (IDS[name] for name in ("<s>", "a", "b", "</s>", "<unk>"))


def random_arpa(seed: int, order: int = 3, has_unknown: bool = True) -> ArpaModel:
    """Draw a model of some n-grams over a and b; it need not be normalised."""
    rng, log_probs, backoffs = random.Random(seed), dict[Ngram, float](), dict[Ngram, float]()
    tokens = [BOS, A, B, EOS, *[UNK] * has_unknown]
    for size in range(1, order + 1):
        for ngram in itertools.product(tokens, repeat=size):
            if EOS in ngram[:-1] or BOS in ngram[1:] or (size > 1 and rng.random() < 0.5):
                continue
            log_probs[ngram] = -3 * rng.random()
            if size < order and rng.random() < 0.7:
                backoffs[ngram] = 1 - 2 * rng.random()
    return ArpaModel(order, log_probs, backoffs)


def log_probability(arpa: ArpaModel, translation: tuple[int, ...], ends: bool = True) -> float:
    """Return the natural log-probability of ids 1 to 3, with eos if the translation ends."""
    known = (token if token in (A, B) else UNK for token in translation)
    text, total = (BOS, *known, *[EOS] * ends), 0.0
    for end in range(1, len(text)):
        total += conditional(arpa, text[max(0, end - arpa.order + 1) : end], text[end])
    return total


def conditional(arpa: ArpaModel, context: Ngram, token: int) -> float:
    if (*context, token) in arpa.log_probs:
        return arpa.log_probs[*context, token]
    return arpa.backoffs.get(context, 0.0) + conditional(arpa, context[1:], token)
