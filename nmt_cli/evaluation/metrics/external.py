"""Metrics computed by external programs such as COMET, started without a shell; scores are read from stdout."""

import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt_cli.errors import DataError, RecipeError, ResourceError
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MeanMetric
from nmt_cli.files import disk_errors
from nmt_cli.recipe.evaluation import ExternalMetric

_MAX_ERROR_LENGTH = 300
"""Characters of a failed program's last line that are reported."""


def external_metric(name: str, settings: ExternalMetric) -> MeanMetric:
    """The metric `evaluation.external.NAME`: the mean of the numbers that its program prints.

    Raises:
        RecipeError: The program does not exist.
    """
    if shutil.which(settings.command[0]) is None:
        raise RecipeError(
            f"evaluation.external.{name}: the program {settings.command[0]} does not exist; install it or give its path"
        )

    def score_sentences(texts: EvaluationTexts) -> list[float]:
        return run_program(f"evaluation.external.{name}", settings, texts)

    signature = f"external:{name.replace('|', '_').replace(':', '_')}"
    return MeanMetric(name, name, score_sentences, signature, settings.lower_is_better)


def run_program(key: str, settings: ExternalMetric, texts: EvaluationTexts) -> list[float]:
    """Run the program and return one number per sentence.

    Args:
        key: The metric in a recipe, for messages.

    Raises:
        RecipeError: The program cannot be started, or needs sources that are not known.
        DataError: The program failed or did not print one number per line.
        ResourceError: The program exceeded its timeout.
    """
    if texts.sources is None and any("{source}" in argument for argument in settings.command):
        raise RecipeError(f"{key}: its command needs the source lines; give them with --source FILE")
    with disk_errors(Path("temporary folder")), tempfile.TemporaryDirectory(prefix="nmt-metric-") as folder:
        command = _fill_placeholders(settings.command, _write_texts(Path(folder), texts))
        output = _capture_output(key, command, settings.timeout)
    scores = _parse_scores(key, output)
    count = len(texts.hypotheses)
    if len(scores) == count + 1 and math.isclose(scores[-1], math.fsum(scores[:-1]) / count, abs_tol=1e-3):
        scores.pop()  # COMET prints the mean last
    if len(scores) != count:
        raise DataError(f"{key}: {command[0]} printed {len(scores)} numbers for {count} lines; print one per line")
    return scores


def _write_texts(folder: Path, texts: EvaluationTexts) -> dict[str, list[Path]]:
    """Write one file per set of lines; return the files by placeholder."""
    sides = {"source": [texts.sources or []], "hypothesis": [texts.hypotheses], "reference": texts.references}
    paths: dict[str, list[Path]] = {}
    for side, sets in sides.items():
        for index, lines in enumerate(sets):
            path = folder / f"{side}{index or ''}.txt"
            path.write_bytes("".join(f"{line}\n" for line in lines).encode())
            paths.setdefault(side, []).append(path)
    return paths


def _fill_placeholders(command: Sequence[str], paths: dict[str, list[Path]]) -> list[str]:
    """Replace placeholders by file names. An argument with {reference} is repeated for each set of references."""
    arguments = []
    for argument in command:
        for reference in paths["reference"] if "{reference}" in argument else paths["reference"][:1]:
            files = {"source": paths["source"][0], "hypothesis": paths["hypothesis"][0], "reference": reference}
            filled = argument
            for side, path in files.items():
                filled = filled.replace(f"{{{side}}}", str(path))
            arguments.append(filled)
    return arguments


def _capture_output(key: str, command: list[str], timeout: float) -> str:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that its child processes can be killed with it
        )
    except OSError as error:
        raise RecipeError(f"{key}: {command[0]} cannot be started: {error.strerror}") from error
    try:
        output, messages = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise ResourceError(
            f"{key}: {command[0]} did not finish within {timeout:g} seconds; raise {key}.timeout"
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        last_line = messages.decode(errors="replace").strip().split("\n")[-1][-_MAX_ERROR_LENGTH:]
        raise DataError(f"{key}: {command[0]} failed with exit code {process.returncode}: {last_line}")
    return output.decode(errors="replace")


def _parse_scores(key: str, output: str) -> list[float]:
    """Read a JSON list, a JSON object with the key `scores`, or the last word of each non-empty line."""
    try:
        parsed: Any = json.loads(output)
    except ValueError:
        parsed = [_parse_number(line.split()[-1]) for line in output.split("\n") if line.strip()]
    if isinstance(parsed, dict):
        parsed = parsed.get("scores")
    parsed = parsed if isinstance(parsed, list) else [parsed]
    for index, number in enumerate(parsed, 1):
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise DataError(f"{key}: number {index} of its output is not a finite number")
    return [float(number) for number in parsed]


def _parse_number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
