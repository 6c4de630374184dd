"""Translations that search did not find, as if it had."""

from collections.abc import Sequence

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.batching import Searcher
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.recipe.decoding import SearchSettings


def as_hypotheses(
    searcher: Searcher,
    tokenizer: Tokenizer,
    settings: SearchSettings,
    sentences: Sequence[Sentence],
    texts: Sequence[str],
) -> list[Hypothesis]:
    """A text for each sentence; it scores what the model thinks of it, by forced decoding."""
    rows = tokenizer.encode_target(list(texts))
    forced = searcher.forced(sentences, rows, settings.batch_tokens)
    return [
        Hypothesis(tuple(row), each.log_probability, each.log_probability / (len(row) + 1) ** settings.length_penalty)
        for row, each in zip(rows, forced, strict=True)
    ]
