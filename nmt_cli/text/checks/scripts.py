"""Check that a translation is written in a script of its language."""

import re
import unicodedata
from collections import Counter
from collections.abc import Set
from functools import lru_cache

from nmt_cli.text.checks import TranslationFinding

_HAN, _JAPANESE = frozenset({"CJK"}), frozenset({"CJK", "HIRAGANA", "KATAKANA"})
_UNICODE_NAMES_BY_SCRIPT_CODE = {
    "latn": {"LATIN"}, "cyrl": {"CYRILLIC"}, "grek": {"GREEK"}, "arab": {"ARABIC"}, "hebr": {"HEBREW"},
    "deva": {"DEVANAGARI"}, "beng": {"BENGALI"}, "guru": {"GURMUKHI"}, "gujr": {"GUJARATI"}, "orya": {"ORIYA"},
    "taml": {"TAMIL"}, "telu": {"TELUGU"}, "knda": {"KANNADA"}, "mlym": {"MALAYALAM"}, "sinh": {"SINHALA"},
    "thai": {"THAI"}, "laoo": {"LAO"}, "khmr": {"KHMER"}, "mymr": {"MYANMAR"}, "tibt": {"TIBETAN"},
    "geor": {"GEORGIAN"}, "armn": {"ARMENIAN"}, "ethi": {"ETHIOPIC"}, "hang": {"HANGUL", "CJK"},
    "kore": {"HANGUL", "CJK"}, "hans": _HAN, "hant": _HAN, "hani": _HAN, "jpan": _JAPANESE, "mong": {"MONGOLIAN"},
    "cher": {"CHEROKEE"}, "cans": {"CANADIAN"}, "thaa": {"THAANA"}, "syrc": {"SYRIAC"}, "tfng": {"TIFINAGH"},
    "nkoo": {"NKO"}, "olck": {"OL"}, "mtei": {"MEETEI"}, "adlm": {"ADLAM"}, "copt": {"COPTIC"}, "goth": {"GOTHIC"},
    "bopo": {"BOPOMOFO"}, "yiii": {"YI"}, "vaii": {"VAI"}, "lisu": {"LISU"}, "java": {"JAVANESE"},
}  # fmt: skip
"""First words of the Unicode names of letters, by ISO 15924 code of the script."""
_LANGUAGES_BY_SCRIPT_CODE = {
    "latn": "en de fr es it pt nl sv da no nb nn is fi et lv lt pl cs sk sl hr hu ro sq tr mt ga cy eu ca gl la af sw"
    " id ms tl vi eo lb fy oc br bs ht so zu xh yo ig ha rw mg mi sm haw jv su ceb",
    "cyrl": "ru uk be bg mk mn ky tg tt ba",
    "grek": "el",
    "arab": "ar fa ur ps sd ug ckb",
    "hebr": "he yi iw",
    "deva": "hi mr ne sa",
    "beng": "bn as",
    "guru": "pa", "gujr": "gu", "orya": "or", "taml": "ta", "telu": "te", "knda": "kn", "mlym": "ml", "sinh": "si",
    "thai": "th", "laoo": "lo", "khmr": "km", "mymr": "my", "tibt": "bo dz", "geor": "ka", "armn": "hy",
    "ethi": "am ti", "thaa": "dv", "kore": "ko", "hani": "zh yue", "jpan": "ja",
}  # fmt: skip
"""Languages with only one script, by ISO 639-1 code or, if there is none, ISO 639-3 code."""
_LONG_CODES = {
    "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it", "por": "pt", "nld": "nl",
    "rus": "ru", "ukr": "uk", "pol": "pl", "ces": "cs", "ell": "el", "tur": "tr", "ara": "ar", "heb": "he", "hin": "hi",
    "zho": "zh", "chi": "zh", "cmn": "zh", "jpn": "ja", "kor": "ko", "vie": "vi", "tha": "th",
}  # fmt: skip
_SCRIPT_CODE_BY_LANGUAGE = {
    language: script for script, languages in _LANGUAGES_BY_SCRIPT_CODE.items() for language in languages.split()
}
_ALL_UNICODE_NAMES = frozenset(name for names in _UNICODE_NAMES_BY_SCRIPT_CODE.values() for name in names)
_MIN_LATIN_LETTERS = 7
"""Fewer Latin letters may be a name or a unit."""
_WORD = re.compile(r"\w+")
_MAX_FOREIGN_LETTERS = 2
"""Up to this many letters of another script may be symbols, as in a formula."""


def base_language(code: str) -> str:
    """Return the language of a code such as `pt_BR` or `por_Latn`."""
    first = re.split("[-_]", code.lower())[0]
    return _LONG_CODES.get(first, first)


def scripts_of(code: str) -> Set[str]:
    """Return the scripts of a language, as first words of their letters' Unicode names (`LATIN`); empty if unknown."""
    for part in re.split("[-_]", code.lower())[1:]:
        if part in _UNICODE_NAMES_BY_SCRIPT_CODE:
            return _UNICODE_NAMES_BY_SCRIPT_CODE[part]
    return _UNICODE_NAMES_BY_SCRIPT_CODE.get(_SCRIPT_CODE_BY_LANGUAGE.get(base_language(code), ""), set())


@lru_cache(4096)
def script_of(letter: str) -> str:
    """Return the script of a letter; empty for other characters and for letters common to all scripts."""
    name = unicodedata.name(letter, "").split(" ", 1)[0] if letter.isalpha() else ""
    return name if name in _ALL_UNICODE_NAMES else ""


def check_script(source: str, output: str, scripts: Set[str]) -> list[TranslationFinding]:
    """Find letters that the language does not use.

    Words copied from the source are ignored. Latin letters, which occur in names and units everywhere, are reported
    only if they are the majority.
    """
    if output.isascii() and "LATIN" in scripts:
        return []
    source_words = set(_WORD.findall(source))
    counts = Counter(script_of(letter) for word in _WORD.findall(output) if word not in source_words for letter in word)
    counts.pop("", None)
    foreign = {name: count for name, count in counts.items() if name not in scripts}
    latin = foreign.pop("LATIN", 0)
    if latin >= _MIN_LATIN_LETTERS and 2 * latin > counts.total():
        foreign["LATIN"] = latin
    return [
        TranslationFinding("script", f"{count} {name.capitalize()} letters")
        for name, count in foreign.items()
        if count > _MAX_FOREIGN_LETTERS
    ]
