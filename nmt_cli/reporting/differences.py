"""What two sentences have in common, word by word."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts that part no words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_WORDS = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+|[^\w\s]")
_MOST_WORDS = 1000


@dataclass(frozen=True)
class Part:
    """Text in a row that both sentences have, or only this one."""

    text: str
    is_shared: bool


@dataclass(frozen=True)
class Difference:
    """A hypothesis beside its reference; the parts of each, joined, are its text."""

    hypothesis: list[Part]
    reference: list[Part]


def difference(hypothesis: str, reference: str) -> Difference:
    """Which words stand in both, in the same order, and which in one alone; very long lines are not compared."""
    ours, theirs = list(_WORDS.finditer(hypothesis)), list(_WORDS.finditer(reference))
    if max(len(ours), len(theirs)) > _MOST_WORDS:
        return Difference([Part(hypothesis, True)], [Part(reference, True)])
    matcher = SequenceMatcher(None, [word[0] for word in ours], [word[0] for word in theirs], autojunk=False)
    blocks = matcher.get_matching_blocks()
    shared_ours = {block.a + place for block in blocks for place in range(block.size)}
    shared_theirs = {block.b + place for block in blocks for place in range(block.size)}
    return Difference(_parts(hypothesis, ours, shared_ours), _parts(reference, theirs, shared_theirs))


def _parts(text: str, words: Sequence[re.Match[str]], shared: set[int]) -> list[Part]:
    """The text cut where shared and other words meet; what lies between two words goes with both, if they are alike."""
    is_own = bytearray(len(text))
    for place, word in enumerate(words):
        if place not in shared:
            follows_another = place > 0 and place - 1 not in shared
            begin = words[place - 1].end() if follows_another else word.start()
            is_own[begin : word.end()] = b"\1" * (word.end() - begin)
    runs = (list(run) for _, run in groupby(range(len(text)), key=is_own.__getitem__))
    return [Part(text[run[0] : run[-1] + 1], not is_own[run[0]]) for run in runs]
