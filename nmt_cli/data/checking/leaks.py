"""Whether validation and test sets are in the training text, so that their scores would promise too much."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from nmt_cli.data.checking.finding import Finding, share
from nmt_cli.data.checking.sampling import Pair
from nmt_cli.recipe.data.filters import Filter, OverlapFilter

_MANY = 0.1
"""Share of a set's sources that may well be in the training text with other translations: short sentences are."""
_KEPT_APART = {"pair": {"pair"}, "source": {"pair", "source"}, "target": {"pair"}, "either": {"pair", "source"}}
"""Which leaks an overlap filter finds, by what it looks at."""


class HeldOut:
    """Sets to be kept apart from training, and what of them was seen there."""

    def __init__(self, sets: dict[str, list[Pair]]) -> None:
        """Sets by name; a source that has several references stands there once with each."""
        self._sets = {name: [(_plain(source), _plain(target)) for source, target in sets[name]] for name in sets}
        self._targets: dict[str, set[str]] = {}
        for source, target in (pair for pairs in self._sets.values() for pair in pairs if pair[0]):
            self._targets.setdefault(source, set()).add(target)
        self._sources_seen: set[str] = set()
        self._pairs_seen: set[Pair] = set()
        self._leaking = Counter[str]()

    def watch(self, corpus: str, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """The same pairs of a training corpus, each one compared with the sets as it passes."""
        for pair in pairs:
            source = _plain(pair[0])
            targets = self._targets.get(source)
            if targets is not None:
                self._sources_seen.add(source)
                if (target := _plain(pair[1])) in targets:
                    self._pairs_seen.add((source, target))
                    self._leaking[corpus] += 1
            yield pair

    def findings(self, filters: Sequence[Filter]) -> list[Finding]:
        """What of each set was seen, given what the recipe does against it."""
        overlaps = [chosen for chosen in filters if isinstance(chosen, OverlapFilter)]
        refused = any(chosen.action == "refuse" for chosen in overlaps)
        handled = {kind for chosen in overlaps for kind in _KEPT_APART[chosen.compare]}
        found = [leak for name in self._sets for leak in self._leak(name, handled, refused)]
        pairs = sum(self._leaking.values())
        if pairs and "pair" in handled and not refused:
            what = f"{pairs:,} training {'pair is' if pairs == 1 else 'pairs are'} in a validation or test set"
            found.append(Finding("fact", "leaks", "data.filters", what, "the filter `overlap` drops them"))
        return found

    def _leak(self, name: str, handled: set[str], refused: bool) -> Iterator[Finding]:
        pairs = self._sets[name]
        whole = sum(pair in self._pairs_seen for pair in pairs)
        sources = sum(source in self._sources_seen for source, _ in pairs)
        if whole and (refused or "pair" not in handled):
            what = f"{share(whole, len(pairs))} of the pairs ({whole:,}) are in the training text, too"
            advice = "take them out of either; the filter `overlap` does it"
            yield Finding("error" if refused else "warning", "leaks", name, what, advice)
        elif sources > _MANY * len(pairs) and "source" not in handled:
            what = f"{share(sources, len(pairs))} of the sources ({sources:,}) are in the training text, too"
            what += f", {whole:,} of them with the same translation" if whole else ", with other translations"
            advice = "if scores are to tell of sentences never seen, use the filter `overlap` with by: source"
            yield Finding("warning", "leaks", name, what, advice)


def _plain(line: str) -> str:
    """A line but for its spaces."""
    return " ".join(line.split())
