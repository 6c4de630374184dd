"""N-gram models by definition: a probability, or the backoff weight times that after a shorter context."""

import itertools
import random

from nmt_cli.decoding.scoring.arpa import ArpaModel

TOKENS = ("<s>", "a", "b", "</s>")
IDS = {"a": 1, "b": 2, "c": 3}
"""Token c is not in the models."""


def random_arpa(seed: int, order: int = 3, has_unknown: bool = True) -> ArpaModel:
    """Draw a model of some n-grams over a and b; it need not be normalised."""
    rng, log_probs, backoffs = random.Random(seed), dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
    tokens = [*TOKENS, "<unk>"] if has_unknown else TOKENS
    for size in range(1, order + 1):
        for ngram in itertools.product(tokens, repeat=size):
            if "</s>" in ngram[:-1] or "<s>" in ngram[1:] or (size > 1 and rng.random() < 0.5):
                continue
            log_probs[ngram] = -3 * rng.random()
            if size < order and rng.random() < 0.7:
                backoffs[ngram] = 1 - 2 * rng.random()
    return ArpaModel(order, log_probs, backoffs)


def log_probability(arpa: ArpaModel, translation: tuple[int, ...], ends: bool = True) -> float:
    """Return the natural log-probability of ids 1 to 3, with eos if the translation ends."""
    names = {1: "a", 2: "b", 3: "<unk>"}
    text, total = ("<s>", *(names[token] for token in translation), *["</s>"] * ends), 0.0
    for end in range(1, len(text)):
        total += conditional(arpa, text[max(0, end - arpa.order + 1) : end], text[end])
    return total


def conditional(arpa: ArpaModel, context: tuple[str, ...], token: str) -> float:
    if (*context, token) in arpa.log_probs:
        return arpa.log_probs[*context, token]
    return arpa.backoffs.get(context, 0.0) + conditional(arpa, context[1:], token)
