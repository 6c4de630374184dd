"""How far a phrase has been said, token by token."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from nmt_cli.decoding.sentences import Phrase


@dataclass(frozen=True)
class Automaton:
    """Follows one phrase of n tokens, which is meant to be said `times` times (Knuth, Morris & Pratt 1977).

    A phrase means whole words: it is said once a token follows that does not continue its last word, such as the end.
    Of occurrences that overlap, only the first counts. A state is c·(n+1) + j: said c times before, and just now its
    first j tokens; times·(n+1), where all is said, is never left.
    """

    phrase: Phrase
    times: int

    @property
    def states(self) -> range:
        return range(self.times * (len(self.phrase) + 1) + 1)

    def parts(self, state: int) -> tuple[int, int]:
        """How often the phrase was said, and how many of its tokens are said just now."""
        return divmod(state, len(self.phrase) + 1)

    def is_whole(self, state: int) -> bool:
        """Whether all tokens of the phrase are said just now."""
        return bool(self.phrase) and self.parts(state)[1] == len(self.phrase)

    def after(self, state: int, token: int | None, continues: bool) -> int:
        """The state after a token, which continues a word or not; None stands for any that is not in the phrase."""
        count, matched = self.parts(state)
        if matched == len(self.phrase) and not continues:
            count, matched = count + 1, 0
        if count < self.times:
            matched = self._matched(matched, token)
        return count * (len(self.phrase) + 1) + matched

    def next_token(self, state: int) -> int | None:
        """What brings the phrase forward; None if it is, with the next token, said as often as is meant."""
        count, matched = self.parts(state)
        if matched == len(self.phrase):
            count, matched = count + 1, 0
        return self.phrase[matched] if count < self.times else None

    def accepts(self, tokens: Iterable[int], continues: Callable[[int], bool]) -> bool:
        """Whether a translation, tokens without end, says the phrase as often as is meant."""
        state = 0
        for token in tokens:
            state = self.after(state, token, continues(token))
        return self.after(state, None, continues=False) == self.states[-1]

    def _matched(self, matched: int, token: int | None) -> int:
        """How many tokens of the phrase are said just now, after one more token."""
        while matched == len(self.phrase) or self.phrase[matched] != token:
            if matched == 0:
                return 0
            matched = self._borders[matched]
        return matched + 1

    @cached_property
    def _borders(self) -> list[int]:
        """By j > 0: how many of the phrase's first tokens, but fewer than j, are the last of its first j tokens."""
        borders = [0, 0]
        for token in self.phrase[1:]:
            border = borders[-1]
            while border and self.phrase[border] != token:
                border = borders[border]
            borders.append(border + (self.phrase[border] == token))
        return borders
