"""Metrics that are programs of their own, such as COMET: started without a shell, their numbers read from stdout."""

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
from nmt_cli.evaluation.metrics.averages import MeanMetric
from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.recipe.evaluation import ExternalMetric

_MOST_TOLD = 300
"""Characters of a failed program's last line."""


def external(name: str, settings: ExternalMetric) -> MeanMetric:
    """The metric `evaluation.external.NAME`; its score is the mean of the numbers that its program prints."""
    if shutil.which(settings.command[0]) is None:
        raise RecipeError(
            f"evaluation.external.{name}: there is no program {settings.command[0]}; install it, or say where"
        )

    def of_sentences(texts: Texts) -> list[float]:
        return run(name, settings, texts)

    return MeanMetric(name, name, of_sentences, f"external:{_plain(name)}", settings.lower_is_better)


def run(name: str, settings: ExternalMetric, texts: Texts) -> list[float]:
    """One number for each sentence; whatever goes wrong is told in one line that names `evaluation.external.NAME`."""
    where = f"evaluation.external.{name}"
    if texts.sources is None and any("{source}" in argument for argument in settings.command):
        raise RecipeError(f"{where}: its command wants the source lines; give them with --source FILE")
    with tempfile.TemporaryDirectory(prefix="nmt-metric-") as folder:
        command = _arguments(settings.command, _write(Path(folder), texts))
        printed = _output(where, command, settings.timeout)
    numbers = _numbers(where, printed)
    count = len(texts.hypotheses)
    if len(numbers) == count + 1 and math.isclose(numbers[-1], math.fsum(numbers[:-1]) / count, abs_tol=1e-3):
        numbers.pop()  # COMET ends with their mean
    if len(numbers) != count:
        raise DataError(
            f"{where}: {command[0]} printed {len(numbers)} numbers for {count} lines; one for each is needed"
        )
    return numbers


def _write(folder: Path, texts: Texts) -> dict[str, list[Path]]:
    """The files that stand for each placeholder."""
    sides = {"source": [texts.sources or []], "hypothesis": [texts.hypotheses], "reference": texts.references}
    paths: dict[str, list[Path]] = {}
    for side, sets in sides.items():
        for number, lines in enumerate(sets):
            path = folder / f"{side}{number or ''}.txt"
            path.write_bytes("".join(f"{line}\n" for line in lines).encode())
            paths.setdefault(side, []).append(path)
    return paths


def _arguments(command: Sequence[str], paths: dict[str, list[Path]]) -> list[str]:
    """The command with files in place of placeholders; an argument with {reference} is repeated for each set."""
    arguments = []
    for argument in command:
        for reference in paths["reference"] if "{reference}" in argument else paths["reference"][:1]:
            files = {"source": paths["source"][0], "hypothesis": paths["hypothesis"][0], "reference": reference}
            told = argument
            for side, path in files.items():
                told = told.replace(f"{{{side}}}", str(path))
            arguments.append(told)
    return arguments


def _output(where: str, command: list[str], timeout: float) -> str:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that what it starts in turn ends with it
        )
    except OSError as error:
        raise RecipeError(f"{where}: {command[0]} cannot be started: {error.strerror}") from error
    try:
        printed, told = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise ResourceError(
            f"{where}: {command[0]} did not end within {timeout:g} seconds; raise {where}.timeout"
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode:
        lines = told.decode(errors="replace").strip().split("\n")
        raise DataError(f"{where}: {command[0]} failed with exit code {process.returncode}: {lines[-1][-_MOST_TOLD:]}")
    return printed.decode(errors="replace")


def _numbers(where: str, printed: str) -> list[float]:
    """From a JSON list, or one with the key `scores`, else from the last word of each line that is not empty."""
    try:
        found: Any = json.loads(printed)
    except ValueError:
        lines = [line for line in printed.split("\n") if line.strip()]
        found = [_number(line.split()[-1]) for line in lines]
    if isinstance(found, dict):
        found = found.get("scores")
    found = found if isinstance(found, list) else [found]
    for place, number in enumerate(found, 1):
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise DataError(f"{where}: what it printed holds no finite number in place {place}")
    return [float(number) for number in found]


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _plain(name: str) -> str:
    return name.replace("|", "_").replace(":", "_")
