"""The best of several translations of each training source: the one that is most similar to the reference.

Training on it instead of the reference is sequence-level interpolation (Kim & Rush 2016): the student learns what the
teacher can say, and what is near the truth.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from sacrebleu.metrics.chrf import CHRF

from nmt_cli.commands.synthesis.translation_job import SelectedText
from nmt_cli.commands.synthesis.translations import TranslationParts
from nmt_cli.data.preparation.corpora import corpus_tasks
from nmt_cli.data.reading import read_examples
from nmt_cli.data.reading.examples import Examples
from nmt_cli.errors import DataError
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import read_lines

_NBEST = re.compile(r"([0-9]+) \|\|\| (.*?)(?: \|\|\| .*)?")
_CHRF = CHRF()


def best_by_chrf(candidates: Sequence[str], reference: str) -> tuple[int, float]:
    """Return the index and the sentence chrF2 of the candidate most similar to the reference, the first if equal."""
    scores = [_CHRF.sentence_score(text, [reference]).score for text in candidates]
    best = max(range(len(scores)), key=scores.__getitem__)
    return best, scores[best]


def teacher_pairs(selected: SelectedText, parts: TranslationParts) -> Iterator[Examples]:
    """Yield the sources of training pairs with the best translation of each. A record is a selected pair."""
    references, first = read_lines(selected.references), 1
    for lines in parts.read():
        targets, scores = list[str](), list[str]()
        for line, reference in zip(lines, itertools.islice(references, len(lines)), strict=True):
            index, _ = best_by_chrf([each.text for each in line.candidates], reference)
            targets.append(line.candidates[index].text)
            scores.append(f"{line.candidates[index].score:.4f}")
        records = list(range(first, first + len(lines)))
        yield Examples([line.source for line in lines], targets, records, {"score": scores})
        first += len(lines)


def monolingual_pairs(parts: TranslationParts) -> Iterator[Examples]:
    """Yield lines without references with the first translation of each. A record is a selected line."""
    first = 1
    for lines in parts.read():
        best = [line.candidates[0] for line in lines]
        scores = [f"{each.score:.4f}" for each in best]
        records = list(range(first, first + len(lines)))
        yield Examples([line.source for line in lines], [each.text for each in best], records, {"score": scores})
        first += len(lines)


def given_pairs(recipe: Recipe, path: Path) -> Iterator[Examples]:
    """Yield all training sources of a recipe with the best of the translations in a file; scores are chrF2.

    The file has a line for each record of the training corpora, in the order of the recipe, or lines of an n-best list,
    `index ||| translation ||| …`, with indices from 0.

    Raises:
        DataError: The file has translations of more or fewer records.
    """
    candidates, num_records = _grouped(path), 0
    advice = "it must have translations of each record of data.train, in this order"
    for task in corpus_tasks(recipe):
        for examples, _ in read_examples(task.corpus, task.languages) if task.is_training else ():
            own = list(itertools.islice(candidates, len(examples)))
            num_records += len(own)
            if len(own) < len(examples):
                raise DataError(f"{path}: has translations of only {num_records:,} sources; {advice}")
            chosen = [best_by_chrf(texts, reference) for texts, reference in zip(own, examples.targets, strict=True)]
            targets = [texts[index] for texts, (index, _) in zip(own, chosen, strict=True)]
            scores = [f"{score:.4f}" for _, score in chosen]
            yield Examples(examples.sources, targets, examples.records, {"score": scores})
    if next(candidates, None) is not None:
        raise DataError(f"{path}: has translations of more than {num_records:,} sources; {advice}")


def _grouped(path: Path) -> Iterator[list[str]]:
    """Yield the translations of each source."""
    lines = read_lines(path)
    first = next(lines, "")
    lines = itertools.chain([first], lines)
    if not _NBEST.fullmatch(first):
        yield from ([line] for line in lines)
        return
    parsed = (_parse_nbest(path, number, line) for number, line in enumerate(lines, 1))
    for expected, (index, group) in enumerate(itertools.groupby(parsed, key=itemgetter(0))):
        if index != expected:
            raise DataError(f"{path}: after the translations of source {expected - 1} come those of {index}")
        yield [text for _, text in group]


def _parse_nbest(path: Path, number: int, line: str) -> tuple[int, str]:
    found = _NBEST.fullmatch(line)
    if found is None:
        raise DataError(f"{path}: line {number}: is not `index ||| translation ||| …`, as line 1 is")
    return int(found[1]), found[2]
