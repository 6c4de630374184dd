"""Inputs of an evaluation: the model, the test sets of its recipe, and word counts of its training text."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt_cli import __version__, files
from nmt_cli.commands.model_config import hashes_of_decoding
from nmt_cli.commands.programs import refuse_programs
from nmt_cli.console import Reporter
from nmt_cli.data.alignments import words_of
from nmt_cli.data.factors import check_count
from nmt_cli.data.preparation.corpora import check_file
from nmt_cli.data.reading import SOURCE_COLUMN, read_all, read_pairs
from nmt_cli.decoding.requests import Request, TranslateOptions, in_documents, plain_requests
from nmt_cli.decoding.results import TranslatedText
from nmt_cli.errors import DataError, ModelError, RecipeError
from nmt_cli.evaluation.breakdown.words import count_words
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.corpora import AnyCorpus, TestSet
from nmt_cli.recipe.data import Data
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.loading import load_recipe, recipe_or_none
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.evaluation_files import Provenance
from nmt_cli.runs.directory import ModelFiles, find_adapter, find_model
from nmt_cli.text.lines import read_lines

if TYPE_CHECKING:
    from nmt_cli.decoding.translator import Translator

_MAX_LINES = 500_000
"""Lines of each training corpus; enough to tell rare words from frequent ones."""


TranslateRequests = Callable[[Sequence[Request], str | None], Iterable[TranslatedText]]
"""Returns the best translation of each request, in order. Called with a source language if it is not the recipe's."""


@dataclass(frozen=True)
class EvaluatedModel:
    """A trained model and the settings of its recipe for evaluating it."""

    recipe: Recipe
    model: Path
    """Folder of the weights."""
    weights: str
    """Description of the updates that the weights come from."""
    sha256: str
    """Of the manifest."""
    recipe_sha256: str
    """Of the run's recipe with all defaults filled in."""
    folder: Callable[[str], Path]
    """From a test set to the folder of its results."""
    translate: TranslateRequests
    """Loads the weights on the first call."""
    other_models: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the adapter, language model and n-gram model, if there are any, by name."""


def open_model(
    path: Path,
    overrides: Sequence[str],
    reporter: Reporter,
    allow_commands: bool = False,
    adapter: Path | None = None,
) -> EvaluatedModel:
    """Open the model of a recipe, run, checkpoint or model folder. Its weights are loaded when first needed.

    Args:
        allow_commands: Whether programs that only a run names may be run.
        adapter: A run with an adapter, or the folder of one. Its scores have a folder of their own.

    Raises:
        ModelError: There is no model, or it does not belong to a run.
        RecipeError: The settings of a run name programs that are not allowed.
    """
    found, recipe = _find_model(path, overrides)
    if not allow_commands and found.run is not None and recipe_or_none(path) is None:
        refuse_programs(recipe.evaluation, overrides, found.run.resolved)
    manifest = found.folder / files.MANIFEST
    content = files.read_json(manifest, ModelError)
    assert found.run is not None
    found.run.refuse_links()
    run, is_final = found.run, found.folder.resolve() == found.run.model.resolve()
    suffix, other_models = "" if is_final else f"@{found.folder.name}", hashes_of_decoding(recipe.decoding)
    if adapter is not None:
        other_models["adapter"] = files.sha256(find_adapter(adapter) / files.MANIFEST)
        suffix += f"+{other_models['adapter'][:8]}"
    return EvaluatedModel(
        recipe=recipe,
        model=found.folder,
        weights=_describe_weights(content),
        sha256=files.sha256(manifest),
        recipe_sha256=files.sha256(run.resolved) if run.resolved.is_file() else "",
        folder=lambda name: run.evaluation(f"{name}{suffix}"),
        translate=_translate_lazily(found.folder, recipe, reporter, adapter),
        other_models=other_models,
    )


def _find_model(path: Path, overrides: Sequence[str]) -> tuple[ModelFiles, Recipe]:
    if path.suffix in (".yaml", ".yml") and path.is_file():
        recipe = load_recipe(path, overrides)
        return find_model(recipe.run), recipe
    found = find_model(path)
    if found.run is None:
        raise ModelError(
            f"{path}: does not belong to a run, so it has no test sets; translate a file with nmt translate and"
            " score it with nmt evaluate --hypothesis FILE --reference FILE"
        )
    return found, load_recipe(found.run.resolved, overrides)


def _translate_lazily(folder: Path, recipe: Recipe, reporter: Reporter, adapter: Path | None) -> TranslateRequests:
    """Return a function that translates with the model in `folder`, which is loaded on the first call."""

    @cache
    def translator_from(language: str | None) -> "Translator":
        from nmt_cli.commands.loading import load_model  # imports torch, which takes seconds
        from nmt_cli.commands.translators import create_translator

        loaded = load_model(folder, adapter=adapter)
        loaded = replace(loaded, decoding=recipe.decoding, evaluation=recipe.evaluation)
        return create_translator(loaded, TranslateOptions(source_language=language))

    def translate(requests: Sequence[Request], source_language: str | None) -> Iterator[TranslatedText]:
        translator = translator_from(None)
        if translator.tags.source_language is not None:  # the model has a token for each language
            translator = translator_from(source_language)
        with reporter.progress_bar("translating", "lines", total=len(requests)) as progress:
            in_context = in_documents(requests, translator.context.size)
            for translation in translator.translate(in_context, progress.advance):
                yield translation.best

    return translate


def _describe_weights(manifest: Any) -> str:
    updates = manifest.get("averaged_updates") if isinstance(manifest, dict) else None
    if isinstance(updates, list) and updates:
        shown = ", ".join(str(update) for update in sorted(updates))
        return f"average of updates {shown}" if len(updates) > 1 else f"update {shown}"
    return f"update {manifest['update']}" if isinstance(manifest, dict) and "update" in manifest else "updates unknown"


@dataclass(frozen=True)
class LoadedTestSet:
    """The lines of a test set, and everything that its scores depend on."""

    sources: list[str]
    references: list[list[str]]
    tags: list[str] | None
    provenance: Provenance
    evaluation: Evaluation
    """Settings of the recipe, for this target language."""
    source_language: str | None = None
    """If it differs from the recipe's."""
    target_language: str | None = None
    """If it differs from the recipe's."""
    factors: dict[str, list[str]] = field(default_factory=dict)
    """By name, the factors of each source line."""

    @property
    def requests(self) -> list[Request]:
        """The translation requests."""
        return plain_requests(self.sources, self.factors, self.target_language)

    def perturbed_requests(self, sources: Sequence[str]) -> list[Request]:
        """Return requests for perturbed sources, which may lack words at the end but have the same order of words."""
        factors = {
            name: [
                " ".join(words_of(values)[: len(words_of(source))])
                for values, source in zip(texts, sources, strict=True)
            ]
            for name, texts in self.factors.items()
        }
        return plain_requests(sources, factors, self.target_language)


def select_test_sets(data: Data, names: Sequence[str], reporter: Reporter) -> dict[str, TestSet | AnyCorpus]:
    """Return the test or validation sets with these names; all test sets if no name is given.

    A validation set with the name of a test set is called valid+NAME.
    """
    if not names and not data.test:
        raise RecipeError("data.test: the recipe has no test set; add one, with its source and target")
    valid = {f"valid+{name}" if name in data.test else name: each for name, each in data.valid.items()}
    known: dict[str, TestSet | AnyCorpus] = {**data.test, **valid}
    for name in names:
        if name not in known:
            raise RecipeError(f"--test {name}: the recipe has no such test set; it has {', '.join(known)}")
        if f"valid+{name}" in valid:
            reporter.info(f"{name}: using the test set; for the validation set, give --test valid+{name}")
    return {name: known[name] for name in dict.fromkeys(names or data.test)}


def read_test_set(model: EvaluatedModel, test: TestSet | AnyCorpus) -> LoadedTestSet:
    """Read a test set; raises DataError if it is empty or its files differ in their number of lines."""
    tags_file, tags = None, None
    if isinstance(test, TestSet):
        source_file, reference_files, tags_file = test.source, test.target, test.tags
        factor_files = [*test.factors.values()]
        tag_files = [] if tags_file is None else [tags_file]
        for path in (source_file, *reference_files, *factor_files, *tag_files):
            check_file(path)  # it is read again for its hash
        sources, *others = read_parallel([source_file, *factor_files, *reference_files, *tag_files])
        factors = dict(zip(test.factors, others, strict=False))
        _check_factors(test, sources, factors)
        references = others[len(factor_files) : len(factor_files) + len(reference_files)]
        tags = others[-1] if tag_files else None
    else:
        examples = read_all(test, model.recipe.data.languages_of(test))
        if not examples.sources:
            raise DataError(f"{next(iter(test.files.values()))}: has no pairs, so there is nothing to score")
        sources, references, factors = examples.sources, [examples.targets], examples.source_columns
        factor_files = [path for key, path in test.files.items() if key.startswith(SOURCE_COLUMN)]
        source_file, *reference_files = [path for path in test.files.values() if path not in factor_files]
    source_hash = files.sha256(source_file)
    if factor_files:
        combined = " ".join([source_hash, *map(files.sha256, factor_files)])
        source_hash = hashlib.sha256(combined.encode()).hexdigest()
    language = {} if test.target_language is None else {"target_language": test.target_language}
    evaluation = for_language(model.recipe.evaluation, model.recipe.data.languages_of(test)[1])
    provenance = Provenance(
        model=model.sha256,
        source=source_hash,
        references=[files.sha256(path) for path in reference_files],
        tags=None if tags_file is None else files.sha256(tags_file),
        decoding=model.recipe.decoding.model_dump(mode="json") | language,
        evaluation=evaluation.model_dump(mode="json"),
        versions={"nmt": __version__, "sacrebleu": version("sacrebleu")},
        other_models=dict(model.other_models),
    )
    languages = test.source_language, test.target_language
    return LoadedTestSet(sources, references, tags, provenance, evaluation, *languages, factors)


def read_parallel(paths: Sequence[Path]) -> list[list[str]]:
    """Read the lines of each file; raises DataError if the files are empty or differ in their number of lines."""
    first, *others = paths
    texts = [list(read_lines(path)) for path in paths]
    for path, lines in zip(others, texts[1:], strict=True):
        if len(lines) != len(texts[0]):
            raise DataError(
                f"{first} has {len(texts[0])} lines but {path} has {len(lines)}; line n of one must correspond to"
                " line n of the other"
            )
    if not texts[0]:
        raise DataError(f"{first}: has no lines")
    return texts


def count_training_words(recipe: Recipe, reporter: Reporter) -> Mapping[str, int] | None:
    """Count the words of the target side of the training text; None if none of its files exists."""
    data, available = recipe.data, list[AnyCorpus]()
    for corpus in data.train.values():
        missing = [path for path in corpus.files.values() if not path.is_file()]
        if missing:
            reporter.info(f"{missing[0]}: not found; its words are not counted as training words")
        else:
            available.append(corpus)
    if not available:
        return None
    languages = data.source_language, data.target_language
    targets = (
        target for corpus in available for _, target in islice(read_pairs(corpus, languages, data.on_error), _MAX_LINES)
    )
    return count_words(targets)


def _check_factors(test: TestSet, sources: list[str], factors: Mapping[str, list[str]]) -> None:
    """Raise DataError unless each word has a value of each factor."""
    for name, lines in factors.items():
        for line, (source, values) in enumerate(zip(sources, lines, strict=True), 1):
            try:
                check_count(source, name, values)
            except ValueError as error:
                raise DataError(f"{test.factors[name]}: line {line}: has {error}") from error
