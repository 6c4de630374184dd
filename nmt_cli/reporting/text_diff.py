"""Word-level differences between two sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from nmt_cli.text.word_boundaries import Word, split_words

_MAX_WORDS = 1000


@dataclass(frozen=True)
class DiffSpan:
    """A span of text that occurs in both sentences, or only in this one."""

    text: str
    is_common: bool


@dataclass(frozen=True)
class TextDiff:
    """Spans of a hypothesis and its reference; the spans of each, joined, are its text."""

    hypothesis: list[DiffSpan]
    reference: list[DiffSpan]


def diff_words(hypothesis: str, reference: str) -> TextDiff:
    """Find the words that occur in both sentences in the same order. Very long lines are not compared."""
    ours, theirs = split_words(hypothesis), split_words(reference)
    if max(len(ours), len(theirs)) > _MAX_WORDS:
        return TextDiff([DiffSpan(hypothesis, True)], [DiffSpan(reference, True)])
    matcher = SequenceMatcher(None, [word.text for word in ours], [word.text for word in theirs], autojunk=False)
    blocks = matcher.get_matching_blocks()
    common_ours = {block.a + offset for block in blocks for offset in range(block.size)}
    common_theirs = {block.b + offset for block in blocks for offset in range(block.size)}
    return TextDiff(_spans(hypothesis, ours, common_ours), _spans(reference, theirs, common_theirs))


def _spans(text: str, words: Sequence[Word], common: set[int]) -> list[DiffSpan]:
    """Split the text into spans of common and other words. The space between two other words belongs to their span."""
    is_other = bytearray(len(text))
    for index, word in enumerate(words):
        if index not in common:
            follows_other = index > 0 and index - 1 not in common
            begin = words[index - 1].end if follows_other else word.start
            is_other[begin : word.end] = b"\1" * (word.end - begin)
    runs = (list(run) for _, run in groupby(range(len(text)), key=is_other.__getitem__))
    return [DiffSpan(text[run[0] : run[-1] + 1], not is_other[run[0]]) for run in runs]
