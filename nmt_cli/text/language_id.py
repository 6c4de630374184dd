"""Identify the language of a line with py3langid, an optional dependency that needs no network."""

from functools import cache
from typing import Any

from nmt_cli.errors import RecipeError
from nmt_cli.text.checks.scripts import base_language

_MIN_MARGIN = 10.0
"""Nats by which another language must be more likely (benchmarks/results/language_id.md)."""
_MIN_LETTERS = 10
"""A line with fewer letters may be in any language."""
_ALIASES = {"nb": "no", "fil": "tl", "kmr": "ku"}
"""The identifier's codes of languages with several."""
_NO_LANGUAGE = "zxx"
_RELATED = (
    {"hr", "bs", "sr"},
    {"id", "ms", "jv"},
    {"no", "nn", "da"},
    {"zh", "yue", "wuu"},
    {"ar", "ary", "arz"},
    {"zu", "xh"},
    {"nso", "st"},
    {"he", "hbo"},
    {"en", "pcm"},
)
"""Languages that single lines often do not tell apart."""


class LineIdentifier:
    """Tells lines that are clearly in another language than they should be."""

    def __init__(self) -> None:
        """Load the model. RecipeError if the package is not installed."""
        try:
            from py3langid import langid
        except ImportError as error:
            raise RecipeError("language identification needs py3langid; pip install 'nmt-cli[language]'") from error
        self._identifier: Any = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
        self._known = frozenset(self._identifier.labels)

    def knows(self, language: str) -> bool:
        """Return whether the identifier knows a language. Others can never be told."""
        return _code(language) in self._known

    def other_language(self, line: str, language: str) -> str:
        """Return the code of the language of a line, if it is clearly not the expected one; else an empty string."""
        expected = _code(language)
        if expected not in self._known or sum(map(str.isalpha, line)) < _MIN_LETTERS:
            return ""
        found, score = self._identifier.classify(line)
        if found in (expected, _NO_LANGUAGE) or any({found, expected} <= group for group in _RELATED):
            return ""
        margin = score - dict(self._identifier.rank(line))[expected]
        return str(found) if margin >= _MIN_MARGIN else ""


@cache
def line_identifier() -> LineIdentifier:
    """Return the identifier, which is loaded once. RecipeError if the package is not installed."""
    return LineIdentifier()


def _code(language: str) -> str:
    code = base_language(language)
    return _ALIASES.get(code, code)
