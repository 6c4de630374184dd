"""All text that a recipe names, read once: counted, sampled, and training compared with what is held out."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from nmt_cli.console import ProgressBar
from nmt_cli.data.checking.finding import Finding
from nmt_cli.data.checking.languages import named_languages
from nmt_cli.data.checking.leaks import HeldOut
from nmt_cli.data.checking.sampling import Pair, Sample, sample
from nmt_cli.data.checking.sides import alignment, empty_sides, identical_sides
from nmt_cli.data.preparation.cleaning import drop_reasons
from nmt_cli.data.reading import read_examples, read_pairs
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import AnyCorpus, Data, LinesCorpus, TestSet

_CHECKS: tuple[Callable[[Sample], list[Finding]], ...] = (empty_sides, identical_sides, named_languages, alignment)
"""Of each corpus alone."""


@dataclass(frozen=True)
class Texts:
    """What was read."""

    train: list[Sample]
    held_out: list[Sample]
    """Validation and test sets."""
    findings: list[Finding]


def read_texts(data: Data) -> Texts:
    """Read and check all corpora and test sets; what cannot be read is a finding, too."""
    findings: list[Finding] = []
    held_out: dict[str, Sample] = {}
    sets: dict[str, list[Pair]] = {}
    for name, described in _held_out(data).items():
        try:
            skipped = Counter[str]()
            sets[name] = list(_pairs_of(data, described, skipped))
            findings += _skipped(data, name, skipped)
        except DataError as error:
            findings.append(_unreadable(name, error))
        else:
            held_out[name] = sample(name, _languages(data, described), sets[name])
    leaks = HeldOut(sets)
    train = []
    for name, corpus in data.train.items():
        key = f"data.train.{name}"
        try:
            skipped = Counter[str]()
            with ProgressBar(f"reading {name}", "pairs") as progress:
                pairs = leaks.watch(key, _counted(_pairs_of(data, corpus, skipped), progress))
                train.append(sample(key, _languages(data, corpus), pairs))
            findings += _skipped(data, key, skipped)
        except DataError as error:
            findings.append(_unreadable(key, error))
    corpora = [*train, *held_out.values()]
    findings += [finding for corpus in corpora for check in _CHECKS for finding in check(corpus)]
    return Texts(train, list(held_out.values()), findings + leaks.findings(data.filters))


def _held_out(data: Data) -> Mapping[str, AnyCorpus | TestSet]:
    """Validation and test sets by their keys in the recipe."""
    valid = {f"data.valid.{name}": corpus for name, corpus in data.valid.items()}
    return valid | {f"data.test.{name}": test for name, test in data.test.items()}


def _languages(data: Data, corpus: AnyCorpus | TestSet) -> tuple[str, str]:
    return corpus.source_language or data.source_language, corpus.target_language or data.target_language


def _unreadable(name: str, error: DataError) -> Finding:
    return Finding("error", "files", name, str(error))


def _skipped(data: Data, name: str, skipped: Counter[str]) -> list[Finding]:
    words, advice = drop_reasons(data), "they are left out; see whether the file is what the recipe says"
    return [
        Finding("warning", "files", name, f"{count:,} {'record' if count == 1 else 'records'}: {words[reason]}", advice)
        for reason, count in skipped.items()
    ]


def _counted(pairs: Iterator[Pair], progress: ProgressBar) -> Iterator[Pair]:
    for pair in pairs:
        progress.advance()
        yield pair


def _pairs_of(data: Data, corpus: AnyCorpus | TestSet, skipped: Counter[str]) -> Iterator[Pair]:
    """The pairs of a corpus; those of a test set with each of its references. DataError if they cannot be read.

    What is no record is counted in `skipped`, by reason.
    """
    if isinstance(corpus, TestSet):
        for reference in corpus.target:
            pairs = LinesCorpus(source=corpus.source, target=reference)
            yield from read_pairs(pairs, _languages(data, corpus))
    else:
        for examples, drops in read_examples(corpus, _languages(data, corpus), data.on_error):
            skipped.update(drops.counts)
            yield from zip(examples.sources, examples.targets, strict=True)
