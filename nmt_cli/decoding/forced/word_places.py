"""From subwords to words: which words of a text, as people see it, its tokens belong to."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from nmt_cli.data.alignments import normal_words, overlaps, words_of
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import Vocabulary


def source_words(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """For each token of a raw source text, the numbers of the words that it is part of, from 0: most often one.

    Words are what stands between spaces and tabs. Several share a token where the normalised text has no space.
    """
    return _given_words(tokenizer, tokenizer.source, text, tokens)


def given_target_words(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """As `source_words`, of a raw target text."""
    return _given_words(tokenizer, tokenizer.target, text, tokens)


def target_words(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """As `source_words`, of a translation in tokens and the text that they were decoded to."""
    places = _places(tokenizer.target, tokens)
    starts = [place for place, word in enumerate(places) if place == 0 or word != places[place - 1]]
    rows = [list(tokens[begin:end]) for begin, end in pairwise([*starts, len(tokens)])]
    words = words_of(text)
    spelled = overlaps(tokenizer.decode_target(rows), words)
    return [[word for word in spelled[place] if word < len(words)] for place in places]


def _given_words(tokenizer: Tokenizer, vocabulary: Vocabulary, text: str, tokens: Sequence[int]) -> list[list[int]]:
    normal = tokenizer.normalize(text)
    raw: list[list[int]] = [[] for _ in normal.split(" ")]
    for number, places in enumerate(normal_words(text, normal, tokenizer.normalize)):
        for place in places:
            raw[place].append(number)
    return [raw[min(place, len(raw) - 1)] for place in _places(vocabulary, tokens)]


def _places(vocabulary: Vocabulary, tokens: Sequence[int]) -> list[int]:
    """The number of each token's word as the segmenter counts them; even a strange first token begins one."""
    begins = vocabulary.begins_word
    return [max(0, count - 1) for count in accumulate(int(begins[token]) for token in tokens)]
