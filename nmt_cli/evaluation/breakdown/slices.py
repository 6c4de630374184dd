"""Scores by kind of sentence (length, rare words, numbers, names, tag) and of single lines."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.breakdown.words import FREQUENCY_BANDS, frequency_band, min_word_count
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MetricStatistics
from nmt_cli.text.word_boundaries import has_spaces_between_words, words

_LENGTH_GROUPS = 4
"""Number of slices by source length, of about equal size."""
MAX_EXAMPLES = 20
"""Maximum length of each list of example lines or n-grams."""
_SORT_METRICS = ("chrf", "chrf++", "bleu")
"""Metrics that discriminate between single sentences, best first."""


@dataclass(frozen=True)
class Slice:
    """Sentences of one kind."""

    kind: str
    """Criterion: source length, rarest target word, numbers, names or tag."""
    name: str
    """Range or value of the criterion: `11-20 words`; `with` or `without` numbers or names."""
    lines: tuple[int, ...]
    """0-based; at least one."""


@dataclass(frozen=True)
class SliceScores:
    """Scores of the sentences of one kind."""

    kind: str
    name: str
    sentences: int
    scores: dict[str, float]
    """Score of these sentences as a corpus, by the metric's key."""


@dataclass(frozen=True)
class LineScore:
    """Score of one line of a test set."""

    line: int
    """1-based."""
    score: float
    source: str | None
    hypothesis: str
    references: list[str]


@dataclass(frozen=True)
class LineChange:
    """Translations of one line by two systems."""

    line: int
    """1-based."""
    first_score: float
    second_score: float
    source: str | None
    first: str
    second: str
    references: list[str]


def find_slices(
    texts: EvaluationTexts,
    word_counts: Mapping[str, int] | None = None,
    tags: Sequence[str] | None = None,
) -> list[Slice]:
    """Group the sentences by every criterion that the given information allows.

    Args:
        word_counts: Count of each word in the training text.
        tags: Tag of each line.
    """
    found: list[Slice] = []
    if texts.sources is not None:
        found += _slice_by_length(texts.sources)
    if word_counts:
        counts = [min_word_count(line, word_counts) for line in texts.references[0]]
        bands = ["" if count is None else frequency_band(count) for count in counts]
        found += _slice_by_name("rarest target word", bands, [name for _, name in FREQUENCY_BANDS])
    if texts.sources is not None:
        found += _slice_by_condition("numbers", map(_has_digit, texts.sources))
        found += _slice_by_condition("names", map(_has_shared_name, texts.sources, texts.references[0]))
    if tags is not None:
        found += _slice_by_name("tag", tags, sorted(set(tags)))
    return found


def score_slices(slices: Sequence[Slice], statistics: Sequence[MetricStatistics]) -> list[SliceScores]:
    """Score every slice with every metric."""
    return [
        SliceScores(
            part.kind, part.name, len(part.lines), {each.metric.key: each.value_of(part.lines) for each in statistics}
        )
        for part in slices
    ]


def sort_metric(statistics: Sequence[MetricStatistics]) -> MetricStatistics:
    """Return the metric to sort lines by: chrF if available, else chrF++, BLEU or the first."""
    by_key = {each.metric.key: each for each in statistics}
    return next((by_key[key] for key in _SORT_METRICS if key in by_key), statistics[0])


def worst_lines(texts: EvaluationTexts, statistics: MetricStatistics, max_lines: int) -> list[LineScore]:
    """Return the lines with the worst scores, worst first."""
    scores = statistics.sentence_scores()
    order = sorted(range(len(scores)), key=lambda line: scores[line], reverse=statistics.metric.lower_is_better)
    return [
        LineScore(line + 1, scores[line], texts.source(line), texts.hypotheses[line], texts.references_of(line))
        for line in order[:max_lines]
    ]


def most_changed_lines(
    first: EvaluationTexts,
    first_statistics: MetricStatistics,
    second: EvaluationTexts,
    second_statistics: MetricStatistics,
    max_lines: int,
) -> tuple[list[LineChange], list[LineChange]]:
    """Return the lines that improve most from the first to the second system, and those that worsen most."""
    before, after = first_statistics.sentence_scores(), second_statistics.sentence_scores()
    sign = -1 if first_statistics.metric.lower_is_better else 1
    gains = [sign * (new - old) for old, new in zip(before, after, strict=True)]
    order = sorted(range(len(gains)), key=lambda line: -gains[line])

    def change(line: int) -> LineChange:
        return LineChange(
            line + 1,
            before[line],
            after[line],
            first.source(line),
            first.hypotheses[line],
            second.hypotheses[line],
            first.references_of(line),
        )

    improved = [change(line) for line in order if gains[line] > 0][:max_lines]
    worsened = [change(line) for line in reversed(order) if gains[line] < 0][:max_lines]
    return improved, worsened


def _slice_by_length(sources: Sequence[str]) -> Iterator[Slice]:
    """Yield slices by source length in words; in scripts without spaces, these are characters."""
    unit = "words" if has_spaces_between_words(sources) else "characters"
    lengths = [len(words(line)) for line in sources]
    ordered = sorted(lengths)
    ends = sorted(
        {ordered[max(group * len(ordered) // _LENGTH_GROUPS, 1) - 1] for group in range(1, _LENGTH_GROUPS + 1)}
    )
    start = ordered[0]
    for end in ends:
        lines = tuple(index for index, length in enumerate(lengths) if start <= length <= end)
        span = f"{start}-{end}" if start < end else f"{end}"
        yield Slice("source length", f"{span} {unit}", lines)
        start = end + 1


def _slice_by_condition(kind: str, conditions: Iterable[bool]) -> list[Slice]:
    found = _slice_by_name(kind, ["with" if each else "without" for each in conditions], ["with", "without"])
    return found if len(found) == 2 else []  # one group alone is the whole set


def _slice_by_name(kind: str, names: Sequence[str], order: Sequence[str]) -> list[Slice]:
    """Return a slice for each name in `order` that occurs."""
    lines = defaultdict(list)
    for index, name in enumerate(names):
        lines[name].append(index)
    return [Slice(kind, name, tuple(lines[name])) for name in order if name in lines]


def _has_digit(line: str) -> bool:
    return any(character.isdigit() for character in line)


def _has_shared_name(source: str, reference: str) -> bool:
    """Return whether any capitalised word of the source, except the first word, also occurs in the reference."""
    names = {word for word in words(source)[1:] if word[:1].isupper()}
    return bool(names & set(words(reference)))
