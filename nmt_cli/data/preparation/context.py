"""Sentences joined to those before them in their document."""

from nmt_cli.data.cutting import SEPARATOR
from nmt_cli.data.preparation.sieve import Sieved
from nmt_cli.recipe.data import Context
from nmt_cli.text.lines import is_blank


def with_context(sieved: Sieved, context: Context | None, before: Sieved | None) -> tuple[list[str], list[str]]:
    """The sources and targets that are left, each behind its neighbours of the same document.

    A pair with an empty source and target ends a document. A neighbour that was dropped still is a neighbour, unless it
    stands in a set that training must not see: that is as an end, too. `before` are the records before these.
    """
    if context is None:
        return sieved.rows.sources, sieved.rows.targets
    sources, targets, held_out = sieved.normalized.sources, sieved.normalized.targets, set(sieved.held_out.tolist())
    earlier = 0
    if before is not None:
        earlier = len(before.normalized.sources)
        sources, targets = before.normalized.sources + sources, before.normalized.targets + targets
        held_out = {*before.held_out.tolist(), *(place + earlier for place in held_out)}
    first, joined = 0, ([], [])  # type: int, tuple[list[str], list[str]]
    begins = list[int]()
    for place, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if place in held_out or (is_blank(source) and is_blank(target)):
            first = place + 1
        begins.append(max(first, place - context.sentences))
    for place in map(int, sieved.places + earlier):
        joined[0].append(SEPARATOR.join(sources[begins[place] : place + 1]))
        joined[1].append(SEPARATOR.join(targets[(begins[place] if context.target else place) : place + 1]))
    return joined
