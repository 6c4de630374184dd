"""Test sets as read from their files, and the words that training has seen."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from nmt_cli import __version__, console, files
from nmt_cli.commands.systems import System
from nmt_cli.data.alignments import words_of
from nmt_cli.data.factors import check_count
from nmt_cli.data.reading import SOURCE_COLUMN, read_all, read_pairs
from nmt_cli.decoding.requests import Request, plain_requests
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.evaluation.breakdown.words import count_words, word_tokenizer
from nmt_cli.recipe.data import AnyCorpus, Data, TestSet
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.report import Provenance
from nmt_cli.text.lines import read_lines

_MOST_LINES = 500_000
"""Of each training corpus; enough to tell rare words from frequent ones."""


@dataclass(frozen=True)
class SetTexts:
    """The lines of a test set, and all that its scores will depend on."""

    sources: list[str]
    references: list[list[str]]
    tags: list[str] | None
    provenance: Provenance
    source_language: str | None = None
    """Of this set, where it says so itself."""
    target_language: str | None = None
    """As `source_language`."""
    factors: dict[str, list[str]] = field(default_factory=dict)
    """By name, a factor of the words of each source."""

    @property
    def requests(self) -> list[Request]:
        """What is to be translated."""
        return plain_requests(self.sources, self.factors, self.target_language)

    def disturbed(self, sources: Sequence[str]) -> list[Request]:
        """The same with other sources, whose words are these, but for some at the end."""
        factors = {
            name: [
                " ".join(words_of(values)[: len(words_of(source))])
                for values, source in zip(texts, sources, strict=True)
            ]
            for name, texts in self.factors.items()
        }
        return plain_requests(sources, factors, self.target_language)


def choose(data: Data, wanted: Sequence[str]) -> dict[str, TestSet | AnyCorpus]:
    """The test sets of these names, which may be those of validation sets, too; all test sets if none is named.

    A validation set that has the name of a test set is called valid:NAME.
    """
    if not wanted and not data.test:
        raise RecipeError("data.test: this recipe names no test set; add one, with its source and target")
    valid = {f"valid:{name}" if name in data.test else name: each for name, each in data.valid.items()}
    known: dict[str, TestSet | AnyCorpus] = {**data.test, **valid}
    for name in wanted:
        if name not in known:
            raise RecipeError(f"--test {name}: the recipe has no such test set; it has {', '.join(known)}")
        if f"valid:{name}" in valid:
            console.info(f"{name}: is the test set of this name; --test valid:{name} is the validation set")
    return {name: known[name] for name in dict.fromkeys(wanted or data.test)}


def read_test_set(system: System, test: TestSet | AnyCorpus) -> SetTexts:
    """All lines of a test set; DataError unless they are as many in each of its files, and at least one."""
    if isinstance(test, TestSet):
        tagged, valued = [] if test.tags is None else [test.tags], [*test.factors.values()]
        sources, *others = read_parallel([test.source, *valued, *test.target, *tagged])
        factors = dict(zip(test.factors, others, strict=False))
        _check_factors(test, sources, factors)
        references, tags = others[len(valued) : len(valued) + len(test.target)], others[-1] if tagged else None
        source, *more = [files.sha256(path) for path in (test.source, *test.target, *tagged)]
    else:
        data, tagged, tags = system.recipe.data, [], None
        languages = test.source_language or data.source_language, test.target_language or data.target_language
        examples = read_all(test, languages)
        if not examples.sources:
            raise DataError(f"{next(iter(test.files.values()))}: has no pairs, so there is nothing to score")
        sources, references, factors = examples.sources, [examples.targets], examples.source_columns
        valued = [path for key, path in test.files.items() if key.startswith(SOURCE_COLUMN)]
        source, *more = [files.sha256(path) for path in test.files.values() if path not in valued]
    if valued:
        source = hashlib.sha256(" ".join([source, *map(files.sha256, valued)]).encode()).hexdigest()
    into = {} if test.target_language is None else {"target_language": test.target_language}
    provenance = Provenance(
        model=system.sha256,
        source=source,
        references=more[: len(more) - len(tagged)],
        tags=more[-1] if tagged else None,
        decoding=system.recipe.decoding.model_dump(mode="json") | into,
        evaluation=system.recipe.evaluation.model_dump(mode="json"),
        versions={"nmt": __version__, "sacrebleu": version("sacrebleu")},
    )
    return SetTexts(sources, references, tags, provenance, test.source_language, test.target_language, factors)


def _check_factors(test: TestSet, sources: list[str], factors: Mapping[str, list[str]]) -> None:
    """DataError unless each word has a value of each factor."""
    for name, lines in factors.items():
        for number, (source, values) in enumerate(zip(sources, lines, strict=True), 1):
            try:
                check_count(source, name, values)
            except ValueError as error:
                raise DataError(f"{test.factors[name]}: line {number}: has {error}") from error


def read_parallel(paths: Sequence[Path]) -> list[list[str]]:
    """The lines of each file; DataError unless they are as many in all, and at least one."""
    first, *others = paths
    texts = [list(read_lines(path)) for path in paths]
    for path, lines in zip(others, texts[1:], strict=True):
        if len(lines) != len(texts[0]):
            raise DataError(
                f"{first} has {len(texts[0])} lines but {path} has {len(lines)}; line n of one is line n of the other"
            )
    if not texts[0]:
        raise DataError(f"{first}: has no lines, so there is nothing to score")
    return texts


def words_seen(recipe: Recipe) -> Mapping[str, int] | None:
    """How often each word stands in the target side of the training text; None if none of that is at hand."""
    data, there = recipe.data, list[AnyCorpus]()
    for corpus in data.train.values():
        missing = [path for path in corpus.files.values() if not path.is_file()]
        if missing:
            console.info(f"{missing[0]}: is not here, so its words do not count as seen in training")
        else:
            there.append(corpus)
    if not there:
        return None
    languages = data.source_language, data.target_language
    targets = (
        target for corpus in there for _, target in islice(read_pairs(corpus, languages, data.on_error), _MOST_LINES)
    )
    return count_words(targets, word_tokenizer(recipe.evaluation))
