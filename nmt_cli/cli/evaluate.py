"""Command line of `nmt evaluate`."""

from collections.abc import Iterator
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt_cli import console
from nmt_cli.cli.completion import complete_run
from nmt_cli.cli.formatting import stdout_width
from nmt_cli.cli.options import (
    Adapter,
    AllowCommands,
    Json,
    Overrides,
    Quiet,
    ScoredLanguage,
    SourceToxicWords,
    ToxicWords,
    examples,
    refuse_ignored,
    terms_in,
)
from nmt_cli.errors import RecipeError

if TYPE_CHECKING:
    from nmt_cli.commands.evaluate import EvaluationResult
    from nmt_cli.commands.evaluation_inputs import EvaluatedModel
    from nmt_cli.evaluation.perplexity import TextEvaluation
    from nmt_cli.text.checks.toxicity import ToxicityCheck

EXAMPLES = examples(
    "nmt evaluate recipe.yaml",
    "nmt evaluate runs/en-de --test test2016 --json",
    "nmt evaluate runs/en-de --robustness",
    "nmt evaluate runs/en-de --toxic-words toxic.de --source-toxic-words toxic.en",
    "nmt evaluate --hypothesis out.zh --reference test.zh --target-language zh",
)

OptionalModelPath = Annotated[
    Path | None,
    typer.Argument(
        metavar="MODEL", autocompletion=complete_run, help="A run, a recipe, a checkpoint or a model folder."
    ),
]
RobustnessOption = Annotated[
    bool,
    typer.Option(
        "--robustness", help="Also translate the test sets with capitals, typos and without final punctuation."
    ),
]


def evaluate(
    model: OptionalModelPath = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Evaluate only this test or validation set of the recipe; repeatable."),
    ] = None,
    robustness: RobustnessOption = False,
    hypothesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Score this file of translations, from any system.")
    ] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Reference translations of the file; repeatable.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Source lines of the file, if a metric needs them.")
    ] = None,
    target_language: ScoredLanguage = None,
    toxic_words: ToxicWords = None,
    source_toxic_words: SourceToxicWords = None,
    adapter: Adapter = None,
    allow_commands: AllowCommands = False,
    set_: Overrides = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a model, or translations of any system.

    A model's translations, scores and report are written to evaluation/ in its run. If MODEL is the folder of
    nmt train --seeds, the run of each seed is evaluated.
    """
    tests, references = test or [], reference or []
    if model is not None and (hypothesis or references or source or target_language):
        raise RecipeError("give either a MODEL, which is evaluated on the test sets of its recipe, or --hypothesis")
    if model is None:
        if hypothesis is None or not references or tests:
            raise RecipeError("give a MODEL, with or without --test NAME, or --hypothesis FILE and --reference FILE")
        without_effect = {"--robustness": robustness, "--adapter": adapter}
        refuse_ignored(without_effect, "without a MODEL, which translates the test sets")
    from nmt_cli.commands.evaluate import TranslationFiles, evaluate_files
    from nmt_cli.commands.evaluation_inputs import open_model
    from nmt_cli.commands.model_config import seed_runs
    from nmt_cli.commands.stdout import write_result

    toxicity = _toxicity_check(toxic_words, source_toxic_words)
    if hypothesis is not None:
        given = TranslationFiles(hypothesis, references, source, target_language)
        scored = evaluate_files(given, set_ or [], console, toxicity)
        write_result(_scores_as_json(scored) if json else _as_text(scored.name, scored))
    elif model is not None:
        runs, document = seed_runs(model), dict[str, object]()
        for run in runs:
            path, of_run = _model_of_run(model, run)
            opened = open_model(path, [*(set_ or []), *of_run], console, allow_commands, adapter)
            for result in _evaluated(opened, tests, robustness, adapter, toxicity):
                name = f"{run.name}/{result.name}" if len(runs) > 1 else result.name
                document[name] = result.as_json()
                if not json:
                    write_result(_as_text(name, result))
        if json:
            write_result(document)


def _model_of_run(model: Path, run: Path) -> tuple[Path, list[str]]:
    """Return what is evaluated for one of the runs of a model, and its overrides."""
    from nmt_cli.recipe.loading import recipe_or_none

    if run == model or recipe_or_none(model) is None:
        return run, []
    return model, [f"run={dumps(str(run))}"]


def _evaluated(
    model: "EvaluatedModel",
    names: list[str],
    robustness: bool,
    adapter: Path | None,
    toxicity: "ToxicityCheck | None",
) -> "Iterator[EvaluationResult] | Iterator[TextEvaluation]":
    from nmt_cli.commands.evaluate import evaluate_model

    if not model.recipe.data.is_monolingual:
        return evaluate_model(model, names, robustness, console, toxicity)
    from nmt_cli.commands.perplexity import evaluate_language_model  # imports torch, which takes seconds

    refuse_ignored({"--robustness": robustness, "--toxic-words": toxicity}, "with a language model")
    return evaluate_language_model(model.model, model.recipe, names, adapter, console)


def _toxicity_check(target_words: Path | None, source_words: Path | None) -> "ToxicityCheck | None":
    from nmt_cli.text.checks.toxicity import ToxicityCheck

    if target_words is None:
        refuse_ignored({"--source-toxic-words": source_words}, "without --toxic-words")
        return None
    return ToxicityCheck(terms_in(target_words), terms_in(source_words))


def _scores_as_json(result: "EvaluationResult") -> object:
    scores = result.content["scores"]
    return scores if result.toxicity is None else {"scores": scores, "toxicity": asdict(result.toxicity)}


def _as_text(name: str, result: "EvaluationResult | TextEvaluation") -> str:
    from nmt_cli.commands.evaluate import EvaluationResult
    from nmt_cli.reporting.terminal import format_scores

    if isinstance(result, EvaluationResult):  # torch is not imported to score files
        return format_scores(name, result.content, result.robustness or (), stdout_width(), result.toxicity)
    return result.as_text(name)
