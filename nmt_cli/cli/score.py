"""Arguments of `nmt score`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.options import (
    Adapter,
    CorpusTag,
    Factors,
    ModelPaths,
    Overrides,
    Quiet,
    SourceLanguage,
    TargetLanguage,
    TranslationLength,
    WordScoresOption,
    examples,
    overrides_of,
    refuse_ignored,
)

if TYPE_CHECKING:
    from nmt_cli.commands.score import ScoreResult

EXAMPLES = examples(
    "nmt score runs/en-de --source in.en --target in.de > log-probabilities",
    "paste in.en in.de | nmt score runs/en-de --normalize --format tsv | awk -F'\\t' '$3 > -2'",
    "nmt score runs/en-de --source in.en --target in.de --format jsonl --word-scores",
    "nmt score runs/plays --target lines.txt",
)


ScoreFormatOption = Annotated[
    Literal["text", "tsv", "jsonl"],
    typer.Option("--format", help="Scores only, source<TAB>target<TAB>score, or JSON objects."),
]
PairFormatOption = Annotated[
    Literal["text", "jsonl"],
    typer.Option("--input-format", help="jsonl: stdin has objects with source, target and, optionally, factors."),
]


def score(
    model: ModelPaths,
    source: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Source lines; without files, stdin has lines source<TAB>target."),
    ] = None,
    target: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Their translations, line by line; or text.")
    ] = None,
    normalize: Annotated[
        bool,
        typer.Option(
            "--normalize",
            help="Divide by length^decoding.length_penalty, as search does; length in subwords, </s> included.",
        ),
    ] = False,
    format_: ScoreFormatOption = "text",
    word_scores: WordScoresOption = False,
    input_format: PairFormatOption = "text",
    factors: Factors = None,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    corpus_tag: CorpusTag = None,
    length: TranslationLength = None,
    adapter: Adapter = None,
    set_: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Print the log-probability of given translations, or of lines of text under a language model.

    Prints one natural logarithm per pair, in order. It is 0 if both sides are blank, and -inf (JSON: null) if only one
    side is blank or one is longer than 2,500 subwords.
    """
    from nmt_cli.commands.model_config import named_model
    from nmt_cli.commands.perplexity import score_text
    from nmt_cli.commands.score import PairInputOptions, ScoreOutputOptions
    from nmt_cli.commands.score import score as command
    from nmt_cli.commands.translating.request_reader import parse_factor_files
    from nmt_cli.decoding.requests import TranslateOptions

    options = TranslateOptions(
        models=tuple(model),
        overrides=overrides_of(set_, length),
        source_language=source_language,
        target_language=target_language,
        corpus_tag=corpus_tag,
        adapter=adapter,
    )
    output_options = ScoreOutputOptions(format_, normalize, word_scores)
    input_options = PairInputOptions(input_format, parse_factor_files(factors or []))
    if named_model(model[0]).is_language_model:
        of_pairs = {"--source": source, "--input-format": input_format != "text", "--factors": factors}
        languages = {"--source-language": source_language, "--target-language": target_language}
        tags = {"--corpus-tag": corpus_tag, "--length": length}
        refuse_ignored({**of_pairs, **languages, **tags}, "with a language model")
        _print(score_text(options, target, output_options, console), "lines")
    else:
        _print(command(options, source, target, output_options, input_options, console), "pairs")


def _print(result: "ScoreResult", unit: str) -> None:
    for warning in result.warnings:
        console.warn(warning)
    if result.unscored:
        console.warn(
            f"{result.unscored:,} pairs have the score -inf: only one side has text, or one is longer than"
            " 2,500 subwords"
        )
    console.info(
        f"scored {result.pairs:,} {unit} in {console.duration(result.seconds)}:"
        f" {result.pairs / max(result.seconds, 1e-3):,.1f} {unit}/s;"
        f" {result.nats_per_token:.4f} nats per subword, perplexity {result.perplexity:.2f}"
    )
