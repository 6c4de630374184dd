"""Arguments of `nmt score`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import CorpusTag, Factors, Overrides, Quiet, TargetLanguage, examples

EXAMPLES = examples(
    "nmt score runs/en-de --source in.en --target in.de > log-probabilities",
    "paste in.en in.de | nmt score runs/en-de --normalize --format tsv | awk -F'\\t' '$3 > -2'",
    "nmt score runs/en-de --source in.en --target in.de --format jsonl --word-scores",
)


class Format(StrEnum):
    """Forms of scores."""

    text = "text"
    tsv = "tsv"
    jsonl = "jsonl"


class InputFormat(StrEnum):
    """Forms of input."""

    text = "text"
    jsonl = "jsonl"


Models = Annotated[
    list[Path], typer.Argument(metavar="MODEL", help="A run, a recipe (its run), a checkpoint or a model folder.")
]
Source = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Source lines; without files, stdin gives source<TAB>target.")
]
Target = Annotated[Path | None, typer.Option(metavar="FILE", help="Their translations, line by line.")]
WrittenAs = Annotated[
    Format, typer.Option("--format", help="Scores alone, source<TAB>target<TAB>score, or JSON objects.")
]
ReadAs = Annotated[
    InputFormat,
    typer.Option("--input-format", help="jsonl: stdin gives objects with source, target and, as you like, factors."),
]
Normalize = Annotated[
    bool,
    typer.Option(
        "--normalize", help="Divide by length^decoding.length_penalty, as search ranks; in subwords, the end counted."
    ),
]
WordScores = Annotated[
    bool, typer.Option("--word-scores", help="Also the log-probability of each target word, and at last of the end.")
]


def score(
    model: Models,
    source: Source = None,
    target: Target = None,
    normalize: Normalize = False,
    format_: WrittenAs = Format.text,
    word_scores: WordScores = False,
    input_format: ReadAs = InputFormat.text,
    factors: Factors = None,
    target_language: TargetLanguage = None,
    tag: CorpusTag = None,
    set_: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Score given translations: the log-probability of each target line, the natural logarithm.

    One score for each pair, in the same order. A blank line is translated by a blank one for certain: 0 for a pair of
    both; -inf (JSON: null) where only one side is blank, or one is longer than 2,500 subwords.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.score import PairOptions, ScoreOptions
    from nmt_cli.commands.score import score as command
    from nmt_cli.commands.translating.requests import factor_files
    from nmt_cli.commands.translators import TranslatorOptions

    options = TranslatorOptions(tuple(model), tuple(set_ or []), target_language=target_language, tag=tag)
    reading = PairOptions(input_format.value, factor_files(factors or []))
    command(options, source, target, ScoreOptions(format_.value, normalize, word_scores), reading)
