"""Check that a translation is written in a script of its language."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Set
from functools import lru_cache
from itertools import chain

from nmt_cli.text.checks import TranslationFinding
from nmt_cli.text.word_boundaries import words

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
    " id ms fil vi eo lb fy oc br bs ht so zu xh yo ig ha rw mg mi sm haw jv su ceb fo fj ty to ny sn st ss ts tn ve nd"
    " nr nso wo ee ln lg rn sg gd gn qu ay sc om bem hmn gsw bm",
    "cyrl": "ru uk be bg mk mn ky tg tt ba cv os",
    "grek": "el",
    "arab": "ar fa ur ps sd ug ckb",
    "hebr": "he yi",
    "deva": "hi mr ne sa",
    "beng": "bn as",
    "guru": "pa", "gujr": "gu", "orya": "or", "taml": "ta", "telu": "te", "knda": "kn", "mlym": "ml", "sinh": "si",
    "thai": "th", "laoo": "lo", "khmr": "km", "mymr": "my", "tibt": "bo dz", "geor": "ka", "armn": "hy",
    "ethi": "am ti", "thaa": "dv", "kore": "ko", "hani": "zh yue", "jpan": "ja",
}  # fmt: skip
"""Languages with only one script, by ISO 639-1 code or, if there is none, ISO 639-3 code."""
_CODES = """
    af afr, am amh, ar ara arb, as asm, ay aym ayr, az aze azj, ba bak, be bel, bg bul, bm bam, bn ben, bo bod tib,
    br bre, bs bos, ca cat, cs ces cze, cv chv, cy cym wel, da dan, de deu ger, dv div, dz dzo, ee ewe, el ell gre,
    en eng, eo epo, es spa, et est ekk, eu eus baq, fa fas per pes prs, fi fin, fil tl tgl, fj fij, fo fao,
    fr fra fre, fy fry, ga gle, gd gla, gl glg, gn grn, gu guj, ha hau, he heb iw, hi hin, hr hrv, ht hat, hu hun,
    hy hye arm, id ind in, ig ibo, is isl ice, it ita, ja jpn, jv jav, ka kat geo, kk kaz, km khm, kn kan, ko kor,
    ky kir, la lat, lb ltz, lg lug, ln lin, lo lao, lt lit, lv lav lvs, mg mlg plt, mi mri mao, mk mkd mac, ml mal,
    mn mon khk, mr mar, ms msa may zsm, mt mlt, my mya bur, nb nob, nd nde, ne nep npi, nl nld dut, nn nno, no nor,
    ny nya, oc oci, om orm gaz, or ori ory, os oss, pa pan, pl pol, ps pus pbt, pt por, qu que quy, rn run,
    ro ron rum, ru rus, rw kin, sa san, sc srd, sd snd, sg sag, si sin, sk slk slo, sl slv, sm smo, sn sna, so som,
    sq sqi alb als, sr srp, ss ssw, st sot, su sun, sv swe, sw swa swh, ta tam, te tel, tg tgk, th tha, ti tir,
    tk tuk, tn tsn, to ton, tr tur, ts tso, tt tat, ty tah, ug uig, uk ukr, ur urd, uz uzb uzn, ve ven, vi vie,
    wo wol, xh xho, yi yid ydd, yo yor, zh zho chi cmn, zu zul
"""
"""All codes of a language, of ISO 639-1, 639-2 and 639-3, and of varieties in its script. The first is used here."""
_LANGUAGE_BY_CODE = {code: codes.split()[0] for codes in _CODES.split(",") for code in codes.split()}
_SCRIPT_CODE_BY_LANGUAGE = {
    language: script for script, languages in _LANGUAGES_BY_SCRIPT_CODE.items() for language in languages.split()
}
_ALL_UNICODE_NAMES = frozenset(name for names in _UNICODE_NAMES_BY_SCRIPT_CODE.values() for name in names)
_MIN_LATIN_LETTERS = 7
"""Fewer Latin letters may be a name or a unit."""
_MAX_FOREIGN_LETTERS = 2
"""Up to this many letters of another script may be symbols, as in a formula."""


def base_language(code: str) -> str:
    """Return the language of a code such as `pt_BR` or `por_Latn`."""
    first = re.split("[-_]", code.lower())[0]
    return _LANGUAGE_BY_CODE.get(first, first)


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
    if not set(map(script_of, set(output))) - {"", *scripts}:
        return []
    source_words = set(words(source))
    own_words = [word for word in words(output) if word not in source_words]
    counts = _count_scripts(own_words)
    foreign = Counter[str]()
    for word in own_words:  # a single letter within a word of the language only looks like the right one
        counts_in_word = _count_scripts([word])
        name, count = counts_in_word.most_common(1)[0] if counts_in_word else ("", 0)
        if name not in scripts and 2 * count > counts_in_word.total():
            foreign[name] += count
    latin = foreign.pop("LATIN", 0)
    if latin >= _MIN_LATIN_LETTERS and 2 * latin > counts.total():
        foreign["LATIN"] = latin
    return [
        TranslationFinding("script", f"{count} {name.capitalize()} letters")
        for name, count in foreign.items()
        if count > _MAX_FOREIGN_LETTERS
    ]


def _count_scripts(words: Iterable[str]) -> Counter[str]:
    counts = Counter(map(script_of, chain.from_iterable(words)))
    counts.pop("", None)
    return counts
