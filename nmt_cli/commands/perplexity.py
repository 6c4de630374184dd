"""Evaluation and scoring of text by a language model."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nmt_cli import console
from nmt_cli.commands.language_models import create_document_scorer
from nmt_cli.commands.loading import load_language_model
from nmt_cli.commands.score import ScoreOutputOptions, ScoreResult
from nmt_cli.commands.stdout import open_stdout
from nmt_cli.commands.translating.inputs import InvalidLines, open_input
from nmt_cli.console import Reporter
from nmt_cli.data.reading import read_all
from nmt_cli.data.reading.documents import LINE_BREAK
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.decoding.windows import arriving_windows, windows
from nmt_cli.errors import DataError, RecipeError
from nmt_cli.evaluation.perplexity import TextEvaluation
from nmt_cli.recipe.schema import Recipe


def evaluate_language_model(
    folder: Path, recipe: Recipe, names: Sequence[str], adapter: Path | None = None, reporter: Reporter = console
) -> Iterator[TextEvaluation]:
    """Yield the perplexity of the model in `folder` on validation sets of its recipe.

    Args:
        names: Validation sets; empty for all.

    Raises:
        RecipeError: The recipe has no such set.
        DataError: A set has no text.
    """
    valid = recipe.data.valid
    for name in names:
        if name not in valid:
            raise RecipeError(f"--test {name}: the recipe has no such set in data.valid; it has {', '.join(valid)}")
    loaded = replace(load_language_model(folder, adapter=adapter), decoding=recipe.decoding)
    scorer = create_document_scorer(loaded)
    for name in dict.fromkeys(names or valid):
        examples = read_all(valid[name], recipe.data.languages_of(valid[name]), recipe.data.on_error)
        documents = [text.replace(LINE_BREAK, "\n") for text in examples.targets]
        if not documents:
            raise DataError(f"data.valid.{name}: has no text")
        with reporter.progress_bar("scoring", "rows") as bar:
            scores = scorer.score(documents, recipe.decoding.batch_tokens, bar.advance)
        yield TextEvaluation(
            name,
            len(scores),
            sum(each.tokens for each in scores),
            sum(each.characters for each in scores),
            sum(each.bytes for each in scores),
            math.fsum(each.log_probability for each in scores),
        )


def score_text(
    options: TranslateOptions, path: Path | None, output_options: ScoreOutputOptions, reporter: Reporter = console
) -> ScoreResult:
    """Write the log-probability of each line of a file, or of stdin (None), to stdout; each line is a document.

    Raises:
        RecipeError: An option is for translations.
    """
    if len(options.models) > 1:
        raise RecipeError("MODEL: only one language model can score text")
    if output_options.word_scores:
        raise RecipeError("--word-scores: is not supported with a language model")
    loaded = load_language_model(options.models[0], options.overrides, options.adapter)
    if loaded.decoding.length is not None:
        raise RecipeError("decoding.length: has no effect with a language model; remove the key")
    scorer, settings = create_document_scorer(loaded), loaded.decoding
    started, invalid, result = time.monotonic(), InvalidLines(), ScoreResult()
    with (
        open_input(path, reporter=reporter) as opened,
        open_stdout() as stream,
        reporter.progress_bar("scoring", "lines") as bar,
    ):
        split = arriving_windows if opened.is_interactive else windows
        for window in split(opened.lines(invalid)):
            scores = scorer.score(window, settings.batch_tokens)
            for text, each in zip(window, scores, strict=True):
                value = each.log_probability
                if output_options.normalize:
                    value /= each.tokens**settings.length_penalty
                stream.write(_format(result.pairs, text, value, each.tokens, output_options.format).encode())
                result.pairs += 1
                result.tokens += each.tokens
                result.log_probability += each.log_probability
            stream.flush()
            bar.advance(len(window))
        result.warnings += invalid.warnings(opened.name)
    result.seconds = time.monotonic() - started
    return result


def _format(index: int, text: str, value: float, length: int, format: str) -> str:
    if format == "jsonl":
        record = {"id": index, "text": text, "score": round(value, 4), "length": length}
        return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    return (text.replace("\t", " ") + "\t" if format == "tsv" else "") + f"{value:.4f}\n"
