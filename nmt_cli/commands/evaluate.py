"""nmt evaluate: test sets, or files of translations → scores and a report."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nmt_cli import __version__, console, files
from nmt_cli.commands.results import stdout
from nmt_cli.decoding.requests import Request
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.evaluation.metrics import Score, exact_match, length_ratio, score
from nmt_cli.evaluation.suspicions import suspicions
from nmt_cli.recipe.data import TestSet
from nmt_cli.recipe.decoding import AfterTraining
from nmt_cli.recipe.loading import load_recipe, override
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.report import EvaluatedSet, Provenance, Sentence, read_evaluation, write_evaluation
from nmt_cli.runs.directory import REPORT, ModelFiles, find_model
from nmt_cli.text.lines import read_lines

if TYPE_CHECKING:
    from nmt_cli.decoding.translator import Translator


class Translated(Protocol):
    """What evaluation keeps of a translation."""

    @property
    def text(self) -> str: ...

    @property
    def log_probability(self) -> float: ...

    @property
    def score(self) -> float: ...


Translate = Callable[[Sequence[str]], Iterable[Translated]]
"""Lines in, the best translation of each out, in order."""


@dataclass(frozen=True)
class System:
    """A trained model and what its recipe says of evaluating it."""

    recipe: Recipe
    model: Path
    """Its folder."""
    weights: str
    """Which updates it comes from."""
    sha256: str
    """Of its manifest."""
    folder: Callable[[str], Path]
    """Where the results of a test set go."""
    translate: Translate
    """Loads the model when first asked."""


@dataclass(frozen=True)
class _Texts:
    """A test set as read from its files."""

    sources: list[str]
    references: list[list[str]]
    provenance: Provenance


def evaluate(
    model: Path | None,
    tests: Sequence[str] = (),
    hypothesis: Path | None = None,
    references: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    as_json: bool = False,
) -> None:
    """Score MODEL on the test sets of its recipe (all, or those named), or score a file of translations.

    Scores go to stdout, as lines or as one JSON document. A model's translations, scores and report go into its run.
    """
    if model is not None and (hypothesis or references):
        raise RecipeError(
            "give either a MODEL, whose test sets are those of its recipe, or --hypothesis with --reference"
        )
    if model is not None:
        evaluate_system(open_system(model, overrides), tests, as_json)
    elif hypothesis is not None and references and not tests:
        evaluate_files(hypothesis, references, overrides, as_json)
    else:
        raise RecipeError("give a MODEL, with or without --test NAME, or --hypothesis FILE and --reference FILE")


def evaluate_system(system: System, tests: Sequence[str], as_json: bool) -> None:
    """Translate and score test sets, unless the scores of the same model, files and settings are there already."""
    chosen = _choose(system.recipe.data.test, tests)
    texts = {name: _read_test_set(system, test) for name, test in chosen.items()}  # all mistakes before any work
    results = {}
    for name, text in texts.items():
        folder = system.folder(name)
        results[name] = read_evaluation(folder, text.provenance) or _evaluate_alone(system, name, text)
        for warning in results[name]["warnings"]:
            console.warn(f"{name}: {warning}")
        if not as_json:
            _print_scores(name, results[name]["scores"], results[name]["exact_match"])
        console.say(f"report: {folder / REPORT}")
    if as_json:
        _print_json(results)


def evaluate_files(hypothesis: Path, references: Sequence[Path], overrides: Sequence[str], as_json: bool) -> None:
    """Score a file of translations, of any system; nothing is written."""
    settings = override(AfterTraining(), overrides).evaluation
    hypotheses, *expected = _read_parallel([hypothesis, *references])
    scores = score(hypotheses, expected, settings)
    for warning in suspicions(hypotheses, expected):
        console.warn(f"{hypothesis}: {warning}")
    fields = [found.as_sacrebleu() for found in scores]
    if as_json:
        _print_json(fields)
    else:
        _print_scores(hypothesis.name, fields, exact_match(hypotheses, expected))


def open_system(path: Path, overrides: Sequence[str]) -> System:
    """The model that `path` names, by its recipe, run, checkpoint or folder; its weights are not loaded yet."""
    found, recipe = _find(path, overrides)
    manifest = found.folder / files.MANIFEST
    content = files.read_json(manifest, ModelError)
    assert found.run is not None
    run, is_final = found.run, found.folder.resolve() == found.run.model.resolve()
    return System(
        recipe=recipe,
        model=found.folder,
        weights=_describe_weights(content),
        sha256=files.sha256(manifest),
        folder=lambda name: run.evaluation(name if is_final else f"{name}@{found.folder.name}"),
        translate=_translating(found.folder, recipe),
    )


def _find(path: Path, overrides: Sequence[str]) -> tuple[ModelFiles, Recipe]:
    if path.suffix in (".yaml", ".yml") and path.is_file():
        recipe = load_recipe(path, overrides)
        return find_model(recipe.run), recipe
    found = find_model(path)
    if found.run is None:
        raise ModelError(
            f"{path}: stands apart from its run, so nothing says what to test it on; translate a file with"
            " nmt translate and score it with nmt evaluate --hypothesis FILE --reference FILE"
        )
    return found, load_recipe(found.run.resolved, overrides)


def _translating(folder: Path, recipe: Recipe) -> Translate:
    """Translates with the model in `folder`, which is loaded once, when it is first needed."""

    @cache
    def translator() -> "Translator":
        from nmt_cli.commands.loading import load_model  # torch takes seconds; files and stored scores do without
        from nmt_cli.commands.translators import translator_of

        # Search alone is measured, as in validation: what looks wrong stays as it is.
        return translator_of(replace(load_model(folder), decoding=recipe.decoding.model_copy(update={"check": False})))

    def translate(lines: Sequence[str]) -> Iterator[Translated]:
        with console.Progress("translating", "lines", total=len(lines)) as progress:
            for translation in translator().translate(map(Request, lines), progress.advance):
                yield translation.hypotheses[0]

    return translate


def _describe_weights(manifest: Any) -> str:
    updates = manifest.get("averaged_updates") if isinstance(manifest, dict) else None
    if isinstance(updates, list) and updates:
        shown = ", ".join(str(update) for update in sorted(updates))
        return f"average of updates {shown}" if len(updates) > 1 else f"update {shown}"
    return f"update {manifest['step']}" if isinstance(manifest, dict) and "step" in manifest else "updates unknown"


def _choose(known: Mapping[str, TestSet], wanted: Sequence[str]) -> dict[str, TestSet]:
    if not known:
        raise RecipeError("data.test: this recipe names no test set; add one, with its source and target")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise RecipeError(f"--test {unknown[0]}: the recipe has no such test set; it has {', '.join(known)}")
    return {name: known[name] for name in dict.fromkeys(wanted or known)}


def _read_test_set(system: System, test: TestSet) -> _Texts:
    sources, *references = _read_parallel([test.source, *test.target])
    provenance = Provenance(
        model=system.sha256,
        source=files.sha256(test.source),
        references=[files.sha256(path) for path in test.target],
        decoding=system.recipe.decoding.model_dump(mode="json"),
        evaluation=system.recipe.evaluation.model_dump(mode="json"),
        versions={"nmt": __version__, "sacrebleu": version("sacrebleu")},
    )
    return _Texts(sources, references, provenance)


def _read_parallel(paths: Sequence[Path]) -> list[list[str]]:
    """The lines of each file; DataError unless they are as many in all, and at least one."""
    first, *others = paths
    texts = [list(read_lines(path)) for path in paths]
    for path, lines in zip(others, texts[1:], strict=True):
        if len(lines) != len(texts[0]):
            raise DataError(
                f"{first} has {len(texts[0])} lines but {path} has {len(lines)}; line n of one is line n of the other"
            )
    if not texts[0]:
        raise DataError(f"{first}: has no lines, so there is nothing to score")
    return texts


def _evaluate_alone(system: System, name: str, text: _Texts) -> dict[str, Any]:
    """Evaluate a set while no other process does; RunInUseError if one is at it."""
    with files.lock(system.folder(name) / ".lock"):
        return _evaluate_set(system, name, text)


def _evaluate_set(system: System, name: str, text: _Texts) -> dict[str, Any]:
    recipe, references = system.recipe, text.references
    best = list(system.translate(text.sources))
    hypotheses = [found.text for found in best]
    scores: list[Score] = score(hypotheses, references, recipe.evaluation)
    sentences = [
        Sentence(source, found.text, expected, found.log_probability, found.score)
        for source, found, *expected in zip(text.sources, best, *references, strict=True)
    ]
    evaluated = EvaluatedSet(
        name=name,
        languages=f"{recipe.data.source_language} → {recipe.data.target_language}",
        model=str(system.model),
        weights=system.weights,
        sentences=sentences,
        scores=scores,
        exact_match=exact_match(hypotheses, references),
        length_ratio=length_ratio(hypotheses, references),
        warnings=suspicions(hypotheses, references),
        samples=recipe.evaluation.samples,
        provenance=text.provenance,
    )
    return write_evaluation(system.folder(name), evaluated)


def _print_scores(name: str, scores: Sequence[Mapping[str, Any]], matched: float) -> None:
    lines = [f"{name}  {found['name']} {found['score']:.2f}  ({found['signature']})" for found in scores]
    _print("".join(f"{line}\n" for line in [*lines, f"{name}  exact match {matched:.1f} %"]).encode())


def _print_json(content: Any) -> None:
    _print(files.json_bytes(content))


def _print(result: bytes) -> None:
    with stdout() as stream:
        stream.write(result)
