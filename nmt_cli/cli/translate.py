"""Arguments of `nmt translate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.options import CorpusTag, Factors, Overrides, Processes, Quiet, TargetLanguage, examples
from nmt_cli.errors import RecipeError

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


class Format(StrEnum):
    """Forms of translations."""

    text = "text"
    nbest = "nbest"
    jsonl = "jsonl"
    tsv = "tsv"


class InputFormat(StrEnum):
    """Forms of input."""

    text = "text"
    jsonl = "jsonl"


class Markup(StrEnum):
    """What lines are written in."""

    xml = "xml"


class GlossaryMode(StrEnum):
    """What a glossary does."""

    soft = "soft"
    hard = "hard"


Models = Annotated[
    list[Path], typer.Argument(metavar="MODEL", help="A run, a recipe (its run), a checkpoint or a model folder.")
]
Input = Annotated[
    Path | None, typer.Option("--input", "-i", metavar="FILE", help="Lines to translate; stdin if not given.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write; stdout if not given.")
]
WrittenAs = Annotated[Format, typer.Option("--format", help="How to write translations.")]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Translate only part I of N, as one of many jobs."),
]
Weights = Annotated[
    str | None,
    typer.Option(metavar="W,W,…", help="How much each of several models counts, as 2,1,1; all alike if not given."),
]
NoCheck = Annotated[
    bool, typer.Option("--no-check", help="Take translations as they are; the same as --set decoding.check=false.")
]

ReadAs = Annotated[
    InputFormat,
    typer.Option(
        "--input-format",
        help="jsonl: objects with source and, as you like, prefix, required, forbidden, factors; other keys stay.",
    ),
]
Glossary = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Lines `source term<TAB>target term`; several for a term are alternatives."),
]
HowGlossary = Annotated[GlossaryMode, typer.Option("--glossary-mode", help="soft: favour terms; hard: require them.")]
Forbidden = Annotated[
    Path | None, typer.Option("--forbid", metavar="FILE", help="Words or phrases, one a line, that are never said.")
]
Prefixes = Annotated[
    Path | None, typer.Option("--prefix", metavar="FILE", help="Line n is how the translation of line n begins.")
]
Aligned = Annotated[bool, typer.Option("--alignment", help="Also word alignments, as 0-0 1-2: source-target.")]
WordScores = Annotated[
    bool, typer.Option("--word-scores", help="Also the log-probability of each word, and at last of the end.")
]
Protected = Annotated[
    list[str] | None,
    typer.Option("--protect", metavar="REGEX", help="What this matches comes out as it is, once; repeatable."),
]
MarkedUp = Annotated[
    Markup | None, typer.Option(help="Lines hold tags and entities; each tag comes out once, around its words.")
]


def translate(
    model: Models,
    input_: Input = None,
    output: Output = None,
    format_: WrittenAs = Format.text,
    shard: ShardOption = None,
    weights: Weights = None,
    no_check: NoCheck = False,
    input_format: ReadAs = InputFormat.text,
    glossary: Glossary = None,
    glossary_mode: HowGlossary = GlossaryMode.soft,
    forbid: Forbidden = None,
    prefix: Prefixes = None,
    factors: Factors = None,
    alignment: Aligned = False,
    word_scores: WordScores = False,
    protect: Protected = None,
    markup: MarkedUp = None,
    target_language: TargetLanguage = None,
    tag: CorpusTag = None,
    set_: Overrides = None,
    nproc: Processes = None,
    quiet: Quiet = False,
) -> None:
    """Translate lines: one out for each one in, in the same order.

    Several models translate together, if they have one vocabulary: each word's probability is their mean.
    """
    console.set_quiet(quiet)
    from nmt_cli.commands.translate import translate as command
    from nmt_cli.commands.translating.requests import RequestOptions, factor_files
    from nmt_cli.commands.translators import TranslatorOptions
    from nmt_cli.processes.sharding import ALL_SHARDS, ShardSpec

    overrides = (*(set_ or []), *(["decoding.check=false"] if no_check else []))
    options = TranslatorOptions(
        tuple(model),
        overrides,
        _numbers(weights),
        glossary,
        glossary_mode.value,
        forbid,
        alignment,
        word_scores,
        markup=markup is not None,
        protect=tuple(protect or []),
        target_language=target_language,
        tag=tag,
    )
    reading = RequestOptions(input_format.value, prefix, factor_files(factors or []))
    command(options, input_, output, format_.value, nproc, ShardSpec.parse(shard) if shard else ALL_SHARDS, reading)


def _numbers(weights: str | None) -> tuple[float, ...]:
    try:
        return tuple(map(float, weights.split(","))) if weights else ()
    except ValueError as error:
        raise RecipeError(f"--weights: {weights}: must be numbers with commas between, as 2,1,1") from error
