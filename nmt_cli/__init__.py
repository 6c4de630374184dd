"""nmt: neural machine translation from raw parallel text to a trustworthy score.

The names of the Python interface (docs/python.md) are imported when they are first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_NAMES = {
    "nmt_cli.api": "attention evaluate evaluate_texts load_recipe load_translator preprocess read_metrics train",
    "nmt_cli.api.settings": "TranslateSettings",
    "nmt_cli.api.translator": "LoadedTranslator",
    "nmt_cli.commands.evaluate": "EvaluationResult",
    "nmt_cli.decoding.requests": "Request",
    "nmt_cli.decoding.results": "TranslatedText Translation",
    "nmt_cli.decoding.scoring.scorer": "ScoredPair",
    "nmt_cli.errors": "DataError DivergedError ModelError NmtError RecipeError ResourceError RunInUseError StoppedError"
    " VocabularySizeError WorkerFailedError",
    "nmt_cli.recipe.schema": "Recipe",
    "nmt_cli.reporting.plots.attention": "AttentionHeads",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split(" ")}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
