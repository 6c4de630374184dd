"""`nmt score`: pairs of lines in, how likely the model thinks each target out."""

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nmt_cli import console
from nmt_cli.commands.results import stdout
from nmt_cli.commands.translating.inputs import Input, InvalidLines, opened_input
from nmt_cli.commands.translating.requests import lines_of_factors, read_factors, read_object
from nmt_cli.commands.translators import TranslatorOptions, open_translator
from nmt_cli.decoding.forced.scoring import LONGEST_SIDE, Pair, ScoredPair, Scorer, pairs_in_documents
from nmt_cli.decoding.windows import arriving, windows
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.text.lines import decode_lines

Format = Literal["text", "tsv", "jsonl"]


@dataclass(frozen=True)
class ScoreOptions:
    """What is written of each pair."""

    format: Format = "text"
    normalize: bool = False
    """The score that ranks in search, log-probability / length^length_penalty, in place of the log-probability."""
    word_scores: bool = False


@dataclass(frozen=True)
class PairOptions:
    """How pairs are read."""

    format: Literal["text", "jsonl"] = "text"
    """Of stdin, if there are no files."""
    factors: Mapping[str, Path] = field(default_factory=dict)
    """By name, a file whose line n says a factor of each word of source n."""


@dataclass
class _Tally:
    """All pairs so far."""

    pairs: int = 0
    unscored: int = 0
    tokens: int = 0
    log_probability: float = 0.0

    def add(self, scored: ScoredPair) -> None:
        self.pairs += 1
        if math.isinf(scored.log_probability):
            self.unscored += 1
        else:
            self.tokens += scored.length
            self.log_probability += scored.log_probability


def score(
    options: TranslatorOptions,
    source: Path | None = None,
    target: Path | None = None,
    written: ScoreOptions = ScoreOptions(),
    reading: PairOptions = PairOptions(),
) -> None:
    """Write to stdout, for each pair of lines of two files, how likely the model thinks the target.

    Without files, the pairs are lines `source<TAB>target` of stdin, or JSON objects.
    """
    with _reading(source, target, reading) as (pairs, cut):
        translator = open_translator(options)
        searcher, joining, tags = translator.searcher, translator.joining, translator.tags.ids()
        scorer = Scorer(searcher, translator.tokenizer, translator.settings, tags, joining)
        started, tally = time.monotonic(), _Tally()
        with stdout() as stream, console.ProgressBar("scoring", "pairs") as progress:
            for window in cut(pairs_in_documents(pairs, joining.size)):
                scored = scorer.score_window(window, tally.pairs + 1, progress.advance)
                lines = [_line(number, each, written) for number, each in enumerate(scored, tally.pairs)]
                stream.write("".join(lines).encode())
                stream.flush()
                for each in scored:
                    tally.add(each)
    _conclude(tally, time.monotonic() - started)


def _conclude(tally: _Tally, seconds: float) -> None:
    if tally.unscored:
        console.warn(
            f"{tally.unscored:,} pairs have the score -inf: only one side has text, or one is longer than"
            f" {LONGEST_SIDE:,} subwords"
        )
    each = -tally.log_probability / max(1, tally.tokens)
    console.info(
        f"scored {tally.pairs:,} pairs in {console.duration(seconds)}: {tally.pairs / max(seconds, 1e-3):,.1f} pairs/s;"
        f" {each:.4f} nats per subword, perplexity {math.exp(min(each, 700)):.2f}"
    )


def _line(number: int, scored: ScoredPair, written: ScoreOptions) -> str:
    value = scored.score if written.normalize else scored.log_probability
    if written.format == "jsonl":
        return _json(number, scored, written)
    columns = [f"{value:.4f}"]
    if written.format == "tsv":
        columns = [scored.pair.source.replace("\t", " "), scored.pair.target.replace("\t", " "), *columns]
    if written.word_scores:
        columns.append(" ".join(f"{word:.4f}" for word in scored.words))
    return "\t".join(columns) + "\n"


def _json(number: int, scored: ScoredPair, written: ScoreOptions) -> str:
    record: dict[str, Any] = {
        "id": number,
        "source": scored.pair.source,
        "target": scored.pair.target,
        "log_probability": _number(scored.log_probability),
        "score": _number(scored.score),
        "length": scored.length,
    }
    if written.word_scores:
        record["word_scores"] = [_number(word) for word in scored.words]
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return None if math.isinf(value) else round(value, 4)


Cut = Callable[[Iterator[Pair]], Iterator[list[Pair]]]


@contextmanager
def _reading(source: Path | None, target: Path | None, options: PairOptions) -> Iterator[tuple[Iterator[Pair], Cut]]:
    """Pairs, and how to cut them into windows."""
    if source is not None and target is not None:
        if options.format == "jsonl":
            raise RecipeError("--input-format jsonl: is for stdin, whose objects have both sides; leave out the files")
        with opened_input(source) as sources, opened_input(target) as targets:
            pairs = _of_files(_lines(sources), _lines(targets), f"{source} and {target}")
            yield _with_factors(pairs, str(source), options.factors), windows
    elif source is None and target is None:
        with opened_input(None) as given:
            read = _of_objects if options.format == "jsonl" else _of_columns
            pairs = _with_factors(read(_lines(given)), given.name, options.factors)
            yield pairs, arriving if given.arrives else windows
    else:
        raise RecipeError("--source and --target go together; without both, stdin gives source<TAB>target")


def _with_factors(pairs: Iterator[Pair], name: str, files: Mapping[str, Path]) -> Iterator[Pair]:
    """The pairs with the factors that the files give their sources."""
    if not files:
        yield from pairs
        return
    lines = lines_of_factors(files, name, 1)
    for number, pair in enumerate(pairs, 1):
        if pair.factors:
            raise DataError(f"{name}: line {number}: has factors of its own, beside those of --factors; leave one out")
        yield replace(pair, factors=next(lines))


def _of_objects(lines: Iterator[str]) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        place = f"stdin: line {number}"
        record = read_object(line, place)
        if not isinstance(record.get("target"), str):
            raise DataError(f'{place}: is no object with a text "target"')
        yield Pair(record["source"], record["target"], read_factors(record.get("factors", {}), place))


def _of_columns(lines: Iterator[str]) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        columns = line.split("\t")
        if len(columns) < 2:
            raise DataError(f"stdin: line {number}: has no tab; each line is source<TAB>target")
        yield Pair(columns[0], columns[1])


def _of_files(sources: Iterator[str], targets: Iterator[str], names: str) -> Iterator[Pair]:
    """DataError at the end, with both counts, if one has more lines than the other."""
    for pairs, (source, target) in enumerate(itertools.zip_longest(sources, targets)):
        if source is None or target is None:
            more = 1 + sum(1 for _ in (targets if source is None else sources))
            counts = (pairs, pairs + more) if source is None else (pairs + more, pairs)
            raise DataError(
                f"{names}: have {counts[0]:,} and {counts[1]:,} lines; line n of one is line n of the other"
            )
        yield Pair(source, target)


def _lines(source: Input) -> Iterator[str]:
    """What is not UTF-8 becomes U+FFFD, and is told at the end."""
    invalid = InvalidLines()
    yield from decode_lines(source.stream, source.name, invalid.note)
    if invalid.count:
        console.warn(f"{source.name}: {invalid}: not UTF-8; what is not was read as U+FFFD")
