"""`nmt score`: log-probabilities of given translations."""

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nmt_cli import console
from nmt_cli.commands.stdout import open_stdout
from nmt_cli.commands.translating.inputs import Input, InvalidLines, open_input
from nmt_cli.commands.translating.request_reader import add_factors, parse_factors, parse_object, parse_string
from nmt_cli.commands.translators import open_translator
from nmt_cli.console import Reporter
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.decoding.scoring.scorer import ScoredPair, Scorer, ScoringPair, with_context
from nmt_cli.decoding.windows import arriving_windows, windows
from nmt_cli.errors import DataError, RecipeError

if TYPE_CHECKING:
    from nmt_cli.decoding.translator import Translator


@dataclass(frozen=True)
class ScoreOutputOptions:
    """What is written for each pair."""

    format: Literal["text", "tsv", "jsonl"] = "text"
    normalize: bool = False
    """Write the score that ranks in search, log-probability / length^length_penalty, instead of the log-probability."""
    word_scores: bool = False


@dataclass(frozen=True)
class PairInputOptions:
    """How pairs are read."""

    format: Literal["text", "jsonl"] = "text"
    """Format of stdin, if there are no files."""
    factors: Mapping[str, Path] = field(default_factory=dict)
    """By name, a file whose line n has the values of a factor for the words of source n."""


@dataclass
class ScoreResult:
    """Totals of all scored pairs."""

    pairs: int = 0
    unscored: int = 0
    """Pairs with the score -inf."""
    tokens: int = 0
    """Target subwords of the others, eos included."""
    log_probability: float = 0.0
    """Sum over the others."""
    seconds: float = 0.0
    """Time without loading of the model."""
    warnings: list[str] = field(default_factory=list)

    @property
    def nats_per_token(self) -> float:
        return -self.log_probability / max(1, self.tokens)

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.nats_per_token, 700))

    def add(self, scored: ScoredPair) -> None:
        """Count a pair."""
        self.pairs += 1
        if math.isinf(scored.log_probability):
            self.unscored += 1
        else:
            self.tokens += scored.length
            self.log_probability += scored.log_probability


def score(
    options: TranslateOptions,
    source: Path | None = None,
    target: Path | None = None,
    output_options: ScoreOutputOptions = ScoreOutputOptions(),
    input_options: PairInputOptions = PairInputOptions(),
    reporter: Reporter = console,
) -> ScoreResult:
    """Write the log-probability of each target, given its source, to stdout.

    Without files, pairs are lines `source<TAB>target` of stdin, or JSON objects.
    """
    with _open_pairs(source, target, input_options, reporter) as pairs:
        translator = open_translator(options)
        scorer, context = create_scorer(translator), translator.context
        started, result = time.monotonic(), ScoreResult(warnings=pairs.warnings)
        with open_stdout() as stream, reporter.progress_bar("scoring", "pairs") as bar:
            for window in pairs.split(with_context(pairs.pairs, context.size)):
                scored = scorer.score_window(window, result.pairs + 1, bar.advance)
                lines = [_format(index, each, output_options) for index, each in enumerate(scored, result.pairs)]
                stream.write("".join(lines).encode())
                stream.flush()
                for each in scored:
                    result.add(each)
    result.seconds = time.monotonic() - started
    return result


def create_scorer(translator: "Translator") -> Scorer:
    """Create a scorer with the model of a translator."""
    context, tags = translator.context, translator.tags
    return Scorer(translator.generator, translator.tokenizer, translator.settings, tags, context)


def _format(index: int, scored: ScoredPair, options: ScoreOutputOptions) -> str:
    if options.format == "jsonl":
        return _format_json(index, scored, options)
    value = scored.score if options.normalize else scored.log_probability
    columns = [f"{value:.4f}"]
    if options.format == "tsv":
        columns = [scored.pair.source.replace("\t", " "), scored.pair.target.replace("\t", " "), *columns]
    if options.word_scores:
        columns.append(" ".join(f"{word:.4f}" for word in scored.word_scores))
    return "\t".join(columns) + "\n"


def _format_json(index: int, scored: ScoredPair, options: ScoreOutputOptions) -> str:
    record: dict[str, Any] = {
        "id": index,
        "source": scored.pair.source,
        "target": scored.pair.target,
        "log_probability": _finite(scored.log_probability),
        "score": _finite(scored.score),
        "length": scored.length,
    }
    if options.word_scores:
        record["word_scores"] = [_finite(word) for word in scored.word_scores]
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: float) -> float | None:
    """Round a value; None for infinity, which JSON does not have."""
    return None if math.isinf(value) else round(value, 4)


@dataclass(frozen=True)
class _Pairs:
    """Pairs that are read, and how they are split into windows."""

    pairs: Iterator[ScoringPair]
    split: Callable[[Iterator[ScoringPair]], Iterator[list[ScoringPair]]]
    warnings: list[str]
    """Complete when all pairs have been read."""


@contextmanager
def _open_pairs(
    source: Path | None, target: Path | None, options: PairInputOptions, reporter: Reporter
) -> Iterator[_Pairs]:
    warnings = list[str]()
    if source is not None and target is not None:
        if options.format == "jsonl":
            raise RecipeError("--input-format jsonl: is for stdin, whose objects have both sides; remove the files")
        with open_input(source) as sources, open_input(target) as targets:
            pairs = _read_files(_lines(sources, warnings), _lines(targets, warnings), f"{source} and {target}")
            pairs = add_factors(pairs, str(source), 1, options.factors) if options.factors else pairs
            yield _Pairs(pairs, windows, warnings)
    elif source is None and target is None:
        with open_input(None, reporter=reporter) as stdin:
            read = _parse_objects if options.format == "jsonl" else _parse_columns
            pairs = read(_lines(stdin, warnings))
            pairs = add_factors(pairs, stdin.name, 1, options.factors) if options.factors else pairs
            yield _Pairs(pairs, arriving_windows if stdin.is_interactive else windows, warnings)
    else:
        raise RecipeError("--source and --target go together; without both, stdin has lines source<TAB>target")


def _parse_objects(lines: Iterator[str]) -> Iterator[ScoringPair]:
    for number, line in enumerate(lines, 1):
        location = f"stdin: line {number}"
        record = parse_object(line, location)
        target = parse_string(record, "target", location)
        factors = parse_factors(record["factors"].value, location) if "factors" in record else {}
        yield ScoringPair(parse_string(record, "source", location), target, factors)


def _parse_columns(lines: Iterator[str]) -> Iterator[ScoringPair]:
    for number, line in enumerate(lines, 1):
        columns = line.split("\t") if line else ["", ""]
        if len(columns) != 2:
            count = "no tab" if len(columns) == 1 else f"{len(columns)} columns"
            raise DataError(f"stdin: line {number}: has {count}; each line must be source<TAB>target")
        yield ScoringPair(columns[0], columns[1])


def _read_files(sources: Iterator[str], targets: Iterator[str], names: str) -> Iterator[ScoringPair]:
    """Yield pairs. DataError at the end, with both counts, if one file has more lines than the other."""
    for pairs, (source, target) in enumerate(itertools.zip_longest(sources, targets)):
        if source is None or target is None:
            more = 1 + sum(1 for _ in (targets if source is None else sources))
            counts = (pairs, pairs + more) if source is None else (pairs + more, pairs)
            raise DataError(
                f"{names}: have {counts[0]:,} and {counts[1]:,} lines; line n of one must belong to line n of the other"
            )
        yield ScoringPair(source, target)


def _lines(source: Input, warnings: list[str]) -> Iterator[str]:
    """Decode the lines of an input; at its end, add a warning if some were not UTF-8."""
    invalid = InvalidLines()
    yield from source.lines(invalid)
    warnings += invalid.warnings(source.name)
