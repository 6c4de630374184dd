"""Reading all text of a recipe once: counted, sampled, and compared with the validation and test sets."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nmt_cli.console import OnProgress, ProgressBar
from nmt_cli.data.checking import DataFinding, percentage
from nmt_cli.data.checking.artefacts import check_artefacts
from nmt_cli.data.checking.languages import check_languages, check_line_languages
from nmt_cli.data.checking.pairs import check_alignment, check_documents, check_empty_sides, check_identical_sides
from nmt_cli.data.checking.sampling import CorpusSample, Pair, sample_corpus
from nmt_cli.data.preparation.encoding import drop_reasons
from nmt_cli.data.reading import read_examples, read_pairs
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import AnyCorpus, LinesCorpus, TestSet
from nmt_cli.recipe.data import Data
from nmt_cli.recipe.filters import Filter, OverlapFilter

_CHECKS: tuple[Callable[[CorpusSample], list[DataFinding]], ...] = (
    check_empty_sides,
    check_identical_sides,
    check_languages,
    check_alignment,
    check_artefacts,
)
"""Checks of each corpus on its own."""
_MAX_KNOWN_SOURCES = 0.1
"""Fraction of a set's sources that may be in the training text with other translations, as short sentences are."""
_DETECTED = {"pair": {"pair"}, "source": {"pair", "source"}, "target": {"pair"}, "either": {"pair", "source"}}
"""The kinds of leaks that an overlap filter removes, by its `compare`."""


@dataclass(frozen=True)
class TextSamples:
    """Samples of all text of a recipe."""

    train: list[CorpusSample]
    held_out: list[CorpusSample]
    """Validation and test sets."""
    findings: list[DataFinding]


def read_texts(data: Data, *, identify_languages: bool = False) -> TextSamples:
    """Read and check all corpora and test sets. Unreadable files are findings, too.

    Args:
        identify_languages: Also identify the language of each line.

    Raises:
        RecipeError: The identifier is not installed.
    """
    findings: list[DataFinding] = []
    held_out: dict[str, CorpusSample] = {}
    sets: dict[str, list[Pair]] = {}
    for name, section in _held_out_sections(data).items():
        try:
            dropped = Counter[str]()
            sets[name] = list(_pairs_of(data, section, dropped))
            findings += _report_dropped(data, name, dropped)
        except DataError as error:
            findings.append(DataFinding("error", "files", name, str(error)))
        else:
            held_out[name] = sample_corpus(name, data.languages_of(section), sets[name])
    leaks = LeakDetector(sets, data.unit)
    train = []
    for name, corpus in data.train.items():
        key = f"data.train.{name}"
        try:
            dropped = Counter[str]()
            with ProgressBar(f"reading {name}", data.unit) as progress:
                pairs = leaks.watch(_counted(_pairs_of(data, corpus, dropped), progress.advance))
                train.append(sample_corpus(key, data.languages_of(corpus), pairs))
            findings += _report_dropped(data, key, dropped)
        except DataError as error:
            findings.append(DataFinding("error", "files", key, str(error)))
    corpora = [*train, *held_out.values()]
    checks = (*_CHECKS, check_line_languages) if identify_languages else _CHECKS
    checks = (check_documents,) if data.is_monolingual else checks  # others compare both sides
    findings += [finding for corpus in corpora for check in checks for finding in check(corpus)]
    return TextSamples(train, list(held_out.values()), findings + leaks.findings(data.filters))


def _held_out_sections(data: Data) -> Mapping[str, AnyCorpus | TestSet]:
    """Return the validation and test sets by recipe key."""
    valid = {f"data.valid.{name}": corpus for name, corpus in data.valid.items()}
    return valid | {f"data.test.{name}": test for name, test in data.test.items()}


def _report_dropped(data: Data, name: str, dropped: Counter[str]) -> list[DataFinding]:
    reasons, advice = drop_reasons(data), "they are dropped; check that the file matches the recipe"
    return [
        DataFinding("warning", "files", name, f"{_count(count, 'record')}: {reasons[reason]}", advice)
        for reason, count in dropped.items()
    ]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _counted(pairs: Iterator[Pair], on_progress: OnProgress) -> Iterator[Pair]:
    for pair in pairs:
        on_progress(1)
        yield pair


def _pairs_of(data: Data, section: AnyCorpus | TestSet, dropped: Counter[str]) -> Iterator[Pair]:
    """Yield the pairs of a corpus, or those of a test set with each of its references.

    Args:
        dropped: Counts records that are dropped, by reason.
    """
    if isinstance(section, TestSet):
        for reference in section.target:
            pairs = LinesCorpus(source=section.source, target=reference)
            yield from read_pairs(pairs, data.languages_of(section))
    else:
        for examples, drops in read_examples(section, data.languages_of(section), data.on_error):
            dropped.update(drops.counts)
            yield from zip(examples.sources, examples.targets, strict=True)


class LeakDetector:
    """Finds pairs and sources, or documents, of the validation and test sets in the training text.

    Args:
        sets: Pairs of each set, by recipe key; a source with several references is there once with each. Documents are
            targets without a source.
        unit: What the sets consist of.
    """

    def __init__(self, sets: dict[str, list[Pair]], unit: str = "sentence pairs") -> None:
        self._unit = unit
        self._has_sources = any(source for pairs in sets.values() for source, _ in pairs)
        self._sets = {name: [_key(pair) for pair in sets[name]] for name in sets}
        self._targets: dict[str, set[str]] = {}
        for source, target in (pair for pairs in self._sets.values() for pair in pairs if pair[0]):
            self._targets.setdefault(source, set()).add(target)
        self._found_sources: set[str] = set()
        self._found_pairs: set[Pair] = set()
        self._num_leaking = 0

    def watch(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Yield the pairs of a training corpus unchanged, and compare each with the sets."""
        for pair in pairs:
            source, target = _key(pair)
            targets = self._targets.get(source)
            if targets is not None:
                self._found_sources.add(source)
                if target in targets:
                    self._found_pairs.add((source, target))
                    self._num_leaking += 1
            yield pair

    def findings(self, filters: Sequence[Filter]) -> list[DataFinding]:
        """Report the leaks that the filters of the recipe do not remove."""
        overlaps = [each for each in filters if isinstance(each, OverlapFilter)]
        is_refused = any(each.action == "refuse" for each in overlaps)
        removed = {kind for each in overlaps for kind in _DETECTED[each.compare]}
        found = [leak for name in self._sets for leak in self._leaks(name, removed, is_refused)]
        if self._num_leaking and "pair" in removed and not is_refused:
            verb = "is" if self._num_leaking == 1 else "are"
            noun = self._unit.removeprefix("sentence ").removesuffix("s")
            message = f"{_count(self._num_leaking, f'training {noun}')} {verb} in a validation or test set"
            found.append(DataFinding("fact", "leaks", "data.filters", message, "the filter `overlap` drops them"))
        return found

    def _leaks(self, name: str, removed: set[str], is_refused: bool) -> Iterator[DataFinding]:
        pairs = self._sets[name]
        num_pairs = sum(pair in self._found_pairs for pair in pairs)
        num_sources = sum(source in self._found_sources for source, _ in pairs)
        if num_pairs and (is_refused or "pair" not in removed):
            fraction = percentage(num_pairs, len(pairs))
            message = f"{fraction} of the {self._unit} ({num_pairs:,}) are also in the training text"
            advice = "the filter `overlap` removes them from the training text"
            yield DataFinding("error" if is_refused else "warning", "leaks", name, message, advice)
        elif self._has_sources and num_sources > _MAX_KNOWN_SOURCES * len(pairs) and "source" not in removed:
            fraction = percentage(num_sources, len(pairs))
            message = f"{fraction} of the sources ({num_sources:,}) are also in the training text"
            message += f", {num_pairs:,} with the same translation" if num_pairs else ", with other translations"
            advice = "for scores of unseen sentences, use the filter `overlap` with compare: source"
            yield DataFinding("warning", "leaks", name, message, advice)


def _key(pair: Pair) -> Pair:
    """Return both sides with white space collapsed; a document twice."""
    source, target = (" ".join(side.split()) for side in pair)
    return source or target, target
