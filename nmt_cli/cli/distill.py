"""Arguments of `nmt distill`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt_cli import console
from nmt_cli.cli.completion import complete_run
from nmt_cli.cli.options import (
    DecodingSettings,
    DryRun,
    Json,
    MinScore,
    NewFolder,
    NumBest,
    Overrides,
    Processes,
    Quiet,
    RecipePath,
    TextShard,
    examples,
    refuse_ignored,
)

if TYPE_CHECKING:
    from nmt_cli.commands.distill import DistillResult

EXAMPLES = examples(
    "nmt distill en-de.yaml --teacher runs/en-de -o data/student",
    "nmt distill en-de.yaml --teacher runs/one --teacher runs/two --text news.en -o data/student",
    "nmt distill en-de.yaml --teacher runs/en-de -o data/student --decoder softmax --student student-base",
    "nmt distill en-de.yaml --translations nbest.de -o data/student",
)

_N_BEST = 8
"""Translations of each source by default."""
Teachers = Annotated[
    list[Path] | None,
    typer.Option(
        "--teacher",
        metavar="MODEL",
        autocompletion=complete_run,
        help="Run, recipe, checkpoint or model folder to learn from; several form an ensemble.",
    ),
]
TranslationsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Translations of the training sources by any program, one per line or as an n-best list.",
    ),
]
MoreText = Annotated[
    list[Path] | None,
    typer.Option("--text", metavar="FILE", help="Sentences in the source language to learn from, too; repeatable."),
]
StudentOption = Annotated[Literal["student-tiny", "student-base"], typer.Option(help="Preset of the student's model.")]
DecoderOption = Annotated[
    Literal["ssru", "softmax"],
    typer.Option(
        help="The student's decoder: for Marian and Bergamot, or with self-attention for CTranslate2 and ONNX."
    ),
]


def distill(
    recipe: RecipePath,
    output: NewFolder,
    teacher: Teachers = None,
    translations: TranslationsFile = None,
    text: MoreText = None,
    n_best: NumBest = _N_BEST,
    decoding: DecodingSettings = None,
    min_score: MinScore = None,
    student: StudentOption = "student-tiny",
    decoder: DecoderOption = "ssru",
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Only write the student's corpus and recipe, without training it.")
    ] = False,
    shard: TextShard = None,
    set_: Overrides = None,
    nproc: Processes = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a small and fast student on a teacher's translations of the training sources.

    Of the translations of each source, the one that is most similar to the reference is used. FOLDER gets the
    student's corpus and recipe.yaml. Then the student is trained, measured beside the teacher on the first validation
    set, and exported into FOLDER.FORMAT. Rerun the same command to resume after an interruption.
    """
    if translations is not None:
        refuse_ignored({"--shard": shard, "--decoding": decoding, "--n-best": n_best != _N_BEST}, "with --translations")
    from nmt_cli.commands.distill import DistillOptions
    from nmt_cli.commands.distill import distill as command
    from nmt_cli.commands.stdout import write_result
    from nmt_cli.processes import ShardSpec

    options = DistillOptions(
        output,
        tuple(teacher or []),
        translations,
        tuple(text or []),
        n_best,
        tuple(decoding or []),
        min_score,
        student,
        decoder,
        trains=not no_train,
    )
    shard_spec = ShardSpec.parse_or_all(shard)
    result = command(recipe, tuple(set_ or []), options, shard_spec, nproc, dry_run, console)
    if result is None:
        return
    if json:
        paths = {"recipe": result.recipe and str(result.recipe), "exports": [str(path) for path in result.exports]}
        write_result(asdict(result) | paths)
    _print(result)


def _print(result: "DistillResult") -> None:
    if result.recipe is None:
        console.info("next, when all shards are ready: the same command without --shard")
        return
    console.info(f"{result.pairs:,} pairs for the student in {result.recipe.parent}")
    if result.comparison is not None:
        console.table(*result.comparison.table())
        for verdict in result.comparison.verdicts:
            console.info(verdict)
