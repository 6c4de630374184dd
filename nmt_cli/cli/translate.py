"""Arguments of `nmt translate`."""

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
    Processes,
    Quiet,
    SourceLanguage,
    SourceToxicWords,
    TargetLanguage,
    ToxicWords,
    TranslationLength,
    WordScoresOption,
    examples,
    overrides_of,
    terms_in,
)
from nmt_cli.errors import RecipeError

if TYPE_CHECKING:
    from nmt_cli.commands.translate import TranslateResult

EXAMPLES = examples(
    "nmt translate runs/en-de -i in.en -o out.de",
    "nmt translate runs/en-de < in.en > out.de",
    "nmt translate runs/en-de -i in.en -o out.de --nproc 4",
    "nmt translate runs/en-de -i in.en -o out.de.3 --shard 3/8",
    "nmt translate runs/en-de -i in.en --set decoding.beam_size=1",
    "nmt translate runs/one runs/two runs/three -i in.en --weights 2,1,1",
    "nmt translate runs/en-de -i in.en --glossary terms.tsv --format jsonl",
    "nmt translate runs/en-de -i in.en --alignment --word-scores",
    "nmt translate runs/en-many -i in.en --target-language fr",
    "nmt translate runs/en-de -i in.en --format nbest --set decoding.n_best=5",
    "nmt translate runs/en-de -i in.en --set decoding.strategy=sampling --set decoding.top_k=10",
)


InputOption = Annotated[
    Path | None, typer.Option("--input", "-i", metavar="FILE", help="Lines to translate; default: stdin.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; default: stdout.")
]
TranslationFormatOption = Annotated[
    Literal["text", "nbest", "jsonl", "tsv"], typer.Option("--format", help="Output format.")
]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Translate only shard I of N of the file, for parallel jobs."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(metavar="W,W,…", help="Weight of each model of an ensemble, such as 2,1,1; default: all equal."),
]
NoCheckOption = Annotated[
    bool, typer.Option("--no-check", help="Do not check and retry translations; same as --set decoding.check=false.")
]
InputFormatOption = Annotated[
    Literal["text", "jsonl"],
    typer.Option(
        "--input-format",
        help="jsonl: objects with source and, optionally, prefix, required, forbidden, factors; other keys are copied.",
    ),
]
GlossaryOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Lines `source term<TAB>target term`; several, or targets separated by |, are alternatives.",
    ),
]
GlossaryModeOption = Annotated[
    Literal["soft", "hard"], typer.Option("--glossary-mode", help="soft: prefer terms; hard: require them.")
]
BadWordsOption = Annotated[
    Path | None,
    typer.Option(
        "--bad-words",
        metavar="FILE",
        help="Words or phrases (one per line) that must not appear in the output; word* matches inflected forms.",
    ),
]
PrefixesOption = Annotated[
    Path | None, typer.Option("--prefix", metavar="FILE", help="Line n is the beginning of translation n.")
]
AlignmentOption = Annotated[
    bool, typer.Option("--alignment", help="Also output word alignments, as 0-0 1-2 (source-target).")
]
ProtectOption = Annotated[
    list[str] | None,
    typer.Option("--protect", metavar="REGEX", help="Copy matches to the output unchanged, once each; repeatable."),
]
MarkupOption = Annotated[
    Literal["xml"] | None,
    typer.Option(help="Lines contain tags and entities; transfer each tag to the translation once."),
]


def translate(
    model: ModelPaths,
    input_: InputOption = None,
    output: OutputOption = None,
    format_: TranslationFormatOption = "text",
    shard: ShardOption = None,
    weights: WeightsOption = None,
    no_check: NoCheckOption = False,
    input_format: InputFormatOption = "text",
    glossary: GlossaryOption = None,
    glossary_mode: GlossaryModeOption = "soft",
    bad_words: BadWordsOption = None,
    toxic_words: ToxicWords = None,
    source_toxic_words: SourceToxicWords = None,
    prefix: PrefixesOption = None,
    factors: Factors = None,
    alignment: AlignmentOption = False,
    word_scores: WordScoresOption = False,
    protect: ProtectOption = None,
    markup: MarkupOption = None,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    corpus_tag: CorpusTag = None,
    length: TranslationLength = None,
    adapter: Adapter = None,
    set_: Overrides = None,
    nproc: Processes = None,
    quiet: Quiet = False,
) -> None:
    """Translate line by line, preserving order.

    Several models form an ensemble, which averages their token probabilities; they must share a vocabulary.
    """
    from nmt_cli.commands.translate import translate as command
    from nmt_cli.commands.translating.request_reader import InputOptions, parse_factor_files
    from nmt_cli.decoding.constraints.glossary import read_glossary
    from nmt_cli.decoding.requests import TranslateOptions
    from nmt_cli.processes import ShardSpec

    options = TranslateOptions(
        models=tuple(model),
        overrides=overrides_of(set_, length, no_check),
        weights=_parse_weights(weights),
        glossary=read_glossary(glossary) if glossary else (),
        glossary_mode=glossary_mode,
        bad_words=terms_in(bad_words),
        toxic_words=terms_in(toxic_words),
        source_toxic_words=terms_in(source_toxic_words),
        alignment=alignment,
        word_scores=word_scores,
        markup=markup is not None,
        protect=_patterns(protect),
        source_language=source_language,
        target_language=target_language,
        corpus_tag=corpus_tag,
        adapter=adapter,
    )
    given, part = InputOptions(input_format, prefix, parse_factor_files(factors or [])), ShardSpec.parse_or_all(shard)
    _print(command(options, input_, output, format_, nproc, part, given, console), output)


def _print(result: "TranslateResult", output: Path | None) -> None:
    if result.is_up_to_date:
        console.info(f"{output}: is up to date, translated from the same input by the same model; nothing to do")
        return
    for warning in result.warnings:
        console.warn(warning)
    for line in result.stats.glossary_report():
        console.info(line)
    lines = "1 line" if result.stats.lines == 1 else f"{result.stats.lines:,} lines"
    rate = result.stats.lines / max(result.seconds, 1e-3)
    console.info(f"translated {lines} in {console.duration(result.seconds)}: {rate:,.1f} lines/s")


def _patterns(protect: list[str] | None) -> tuple[str, ...]:
    from nmt_cli.text.lines import argument_text

    return tuple(argument_text(each, "--protect") for each in protect or [])


def _parse_weights(weights: str | None) -> tuple[float, ...]:
    try:
        return tuple(map(float, weights.split(","))) if weights else ()
    except ValueError as error:
        raise RecipeError(f"--weights: {weights}: must be numbers separated by commas, such as 2,1,1") from error
