"""Kinds of sentences: short and long, with rare words, numbers or names, of each tag; and the scores of each kind."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.metrics.contract import Measured, Texts
from nmt_cli.evaluation.where.words import BANDS, Split, band, has_words_between_spaces, rarest

_PARTS = 4
"""Sentences are parted by length so that about as many are in each part."""


@dataclass(frozen=True)
class Slice:
    """Sentences of one kind."""

    kind: str
    """What parts them: source length, rarest target word, numbers, names or tag."""
    name: str
    """Such as 11-20 words, or without."""
    lines: tuple[int, ...]
    """Counted from 0; at least one."""


@dataclass(frozen=True)
class SliceScores:
    """How well sentences of one kind are translated."""

    kind: str
    name: str
    sentences: int
    scores: dict[str, float]
    """The score of these sentences as a corpus, by the metric's key."""


def slices(
    texts: Texts, split: Split, seen: Mapping[str, int] | None = None, tags: Sequence[str] | None = None
) -> list[Slice]:
    """All kinds that can be told: `seen` counts words of the training text, `tags` says what kind each line is."""
    found: list[Slice] = []
    if texts.sources is not None:
        found += _by_length(texts.sources)
    if seen:
        rarity = [rarest(line, seen, split) for line in texts.references[0]]
        bands = ["" if times is None else band(times) for times in rarity]
        found += _grouped("rarest target word", bands, [name for _, name in BANDS])
    if texts.sources is not None:
        found += _with_and_without("numbers", map(_has_number, texts.sources))
        found += _with_and_without("names", map(_share_a_name, texts.sources, texts.references[0]))
    if tags is not None:
        found += _grouped("tag", tags, sorted(set(tags)))
    return found


def slice_scores(found: Sequence[Slice], measured: Sequence[Measured]) -> list[SliceScores]:
    """The scores of every slice by every metric."""
    return [
        SliceScores(
            part.kind, part.name, len(part.lines), {each.metric.key: each.value_of(part.lines) for each in measured}
        )
        for part in found
    ]


def _by_length(sources: Sequence[str]) -> Iterator[Slice]:
    """Parts of about equal size by the length of the source, in words where spaces part them, else in characters."""
    in_words = has_words_between_spaces(sources)
    lengths = [len(line.split()) if in_words else len(line) for line in sources]
    ordered = sorted(lengths)
    ends = sorted({ordered[max(part * len(ordered) // _PARTS, 1) - 1] for part in range(1, _PARTS + 1)})
    start = ordered[0]
    for end in ends:
        lines = tuple(number for number, length in enumerate(lengths) if start <= length <= end)
        span = f"{start}-{end}" if start < end else f"{end}"
        yield Slice("source length", f"{span} {'words' if in_words else 'characters'}", lines)
        start = end + 1


def _with_and_without(kind: str, holds: Iterable[bool]) -> list[Slice]:
    found = _grouped(kind, ["with" if each else "without" for each in holds], ["with", "without"])
    return found if len(found) == 2 else []  # one alone says nothing


def _grouped(kind: str, names: Sequence[str], order: Sequence[str]) -> list[Slice]:
    """A slice for each name in `order` that some line has."""
    lines = defaultdict(list)
    for number, name in enumerate(names):
        lines[name].append(number)
    return [Slice(kind, name, tuple(lines[name])) for name in order if name in lines]


def _has_number(line: str) -> bool:
    return any(character.isdigit() for character in line)


def _share_a_name(source: str, reference: str) -> bool:
    """Whether a word with a capital that does not open the source stands in the translation, too, as names do."""
    return bool({word for word in _bare_words(source)[1:] if word[:1].isupper()} & set(_bare_words(reference)))


def _bare_words(line: str) -> list[str]:
    bare = (word.strip("\"'.,;:!?()[]“”„«»…") for word in line.split())
    return [word for word in bare if word]
