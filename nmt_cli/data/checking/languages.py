"""Language identification by function words. Uncertain cases are not reported."""

import re
import unicodedata
from collections import Counter

from nmt_cli.data.arrays import evenly_spaced
from nmt_cli.data.checking import DataFinding, percentage
from nmt_cli.data.checking.sampling import CorpusSample
from nmt_cli.text.checks.scripts import base_language, script_of, scripts_of
from nmt_cli.text.language_id import line_identifier

_MAX_LINES = 4000
"""Lines of each side that are read."""
_MIN_WORDS = 300
"""Fewer words are not enough evidence."""
_FUNCTION_WORDS = {
    "en": "the of and to in is that for it was with as on be you are this have not but they from at his her which",
    "de": "der die das und ist nicht ein eine einen ich sie er mit auf für zu den dem es auch sich wir von im",
    "fr": "le la un de en les des et est une dans que qui il elle pas je vous nous pour sur avec ce sont au du plus",
    "es": "el los las de una es que por con para se su lo no pero más está este esta como muy yo del",
    "it": "il di che è la per un una non sono con si da del della gli le nel ma ho anche come questo alla",
    "pt": "não uma um os as que para com ele ela você eu isso mais foi do da em por está no na são mas",
    "nl": "de het een van en is niet dat ik je op te voor met zijn er maar hij ze ook aan wat naar",
    "sv": "och att det är som en på inte jag har med för av han den ett vi om till var hon du kan",
    "da": "og at det er som en på ikke jeg har med for af han den et vi om til var hun du kan",
    "no": "og at det er som en på ikke jeg har med for av han den et vi om til var hun du kan",
    "fi": "ja on ei se että hän oli mutta minä ovat tämä kun olen niin mitä joka sen sinä minun kuin hänen tom",
    "pl": "nie się jest na to że do jak co jego ale po tak czy za jestem ma od przez był dla może są",
    "cs": "je na že se to jsem ve jsou ale by jak pro tak jeho byl co do při už nebo aby který když není",
    "sk": "je na že sa to som vo sú ale by ako pre tak jeho bol čo do pri už alebo aby ktorý keď nie",
    "hu": "az és hogy nem egy is van de ez volt meg csak ha már mint itt nagyon azt vagy ezt lesz mi tom",
    "ro": "și nu în este că la un pe cu din mai pentru sunt ce am să ai are lui dar fost acest",
    "tr": "bir ve bu için çok ne var ben da de o değil onun mi ama olarak sen her daha kadar gibi yok",
    "hr": "je da se na nije što za sam su ne koji ili kao od bi ali to iz sve njegov već bio",
    "ca": "els les que és una amb per no del al ha però aquest aquesta va més com són dels han també",
    "id": "yang dan di itu tidak ini dengan untuk saya dia dari akan pada ada orang bisa adalah kami mereka anda",
    "ru": "и в не на что он она это как с я но по из мы вы был его за то все так у для",
    "uk": "і в не на що він вона це як з я але по ми ви був його за та всі так для від до",
    "bg": "и в не на че той тя това как с аз но по от ние вие беше за да се са съм ще",
}  # fmt: skip
"""Frequent words of each language, separated by spaces."""
_RELATED = ({"da", "no", "nb", "nn", "sv"}, {"cs", "sk"}, {"hr", "sr", "bs", "sl"}, {"es", "ca", "gl", "pt"})
"""Languages that share too many function words to be distinguished by them."""
_WORD = re.compile(r"[^\W\d_]{2,}")  # no single letters, which also occur in phonetic transcription and formulas
_WORDS_BY_LANGUAGE = {code: frozenset(_WORD.findall(words)) for code, words in _FUNCTION_WORDS.items()}
_MIN_FRACTION = 0.12
"""Minimum fraction of function words of the identified language; running text has 0.2 to 0.4."""
_MIN_DISTINCT = 6
"""Minimum number of distinct function words of the identified language."""
_MAX_RIVAL = 0.5
"""Maximum fraction of function words of any other language, relative to the identified one."""
_MIN_SWAPPED, _MAX_SWAPPED = 20, 0.03
"""Number of swapped pairs, and their fraction of those that show their languages, from which on they are reported."""
_MAX_FOREIGN, _MIN_FOREIGN_LINES = 0.01, 3
"""Fraction and number of lines in another language from which they are reported."""
_MIN_SCRIPT = 0.5
"""Minimum fraction of letters of the script of the language."""


def check_languages(corpus: CorpusSample) -> list[DataFinding]:
    """Report sides that are swapped, or in another language or script than the recipe says."""
    findings = _check_swapped(corpus)
    if findings:
        return findings
    sides = corpus.sides
    identified = {side: identify_language(sides[side]) for side in sides}
    for side, code in zip(sides, corpus.languages, strict=True):
        found = identified[side]
        if found and _table_code(code) in _FUNCTION_WORDS and not _are_related(found, _table_code(code)):
            message = f"the {side} looks like {found}, but should be {code}"
            findings.append(DataFinding("warning", "languages", corpus.name, message, _ADVICE))
        else:
            findings += _check_script(corpus.name, side, code, sides[side])
    return findings


def check_line_languages(corpus: CorpusSample) -> list[DataFinding]:
    """Report sides of which many lines are clearly in another language, and languages that are not identified.

    Raises:
        RecipeError: The identifier is not installed.
    """
    identifier, findings = line_identifier(), list[DataFinding]()
    for (side, lines), code in zip(corpus.sides.items(), corpus.languages, strict=True):
        if not identifier.knows(code):
            message = f"py3langid does not know {code}, so that the lines of the {side} are not identified"
            findings.append(DataFinding("fact", "languages", corpus.name, message, "compare some lines by eye"))
            continue
        sample = evenly_spaced(lines, _MAX_LINES)
        others = Counter(filter(None, (identifier.other_language(line, code) for line in sample)))
        if others.total() >= max(_MIN_FOREIGN_LINES, _MAX_FOREIGN * len(sample)):
            message = (
                f"{percentage(others.total(), len(sample))} of the lines of the {side} are clearly not {code};"
                f" most of them are {others.most_common(1)[0][0]}"
            )
            advice = "the filter `language` drops such pairs"
            findings.append(DataFinding("warning", "languages", corpus.name, message, advice))
    return findings


def _check_swapped(corpus: CorpusSample) -> list[DataFinding]:
    """Report pairs in which each side looks like the language of the other one."""
    source, target = map(_table_code, corpus.languages)
    if source in _FUNCTION_WORDS and target in _FUNCTION_WORDS and not _are_related(source, target):
        evidence = _count_function_words
    elif scripts_of(source) and scripts_of(target) and not set(scripts_of(source)) & set(scripts_of(target)):
        evidence = _count_letters
    else:
        return []
    swapped, num_right = list[int](), 0
    for excerpt in corpus.excerpts:
        for line, pair in enumerate(excerpt.pairs, excerpt.first):
            # Above 0 if a side looks more like the source language than like the target language.
            of_source, of_target = (evidence(text, source) - evidence(text, target) for text in pair)
            num_right += of_target < 0 < of_source
            swapped += [line] if of_source < 0 < of_target else []
    num_known = num_right + len(swapped)
    if len(swapped) < max(_MIN_SWAPPED, _MAX_SWAPPED * num_known):
        return []
    if len(swapped) > (1 - _MAX_SWAPPED) * num_known:
        message = f"the sides are swapped: the source looks like {target}, the target like {source}"
        return [DataFinding("error", "languages", corpus.name, message, "exchange source and target of this corpus")]
    message = (
        f"the sides of {percentage(len(swapped), num_known)} of the pairs are swapped,"
        f" between lines {swapped[0]:,} and {swapped[-1]:,}"
    )
    return [DataFinding("error", "languages", corpus.name, message, "exchange source and target of these pairs")]


def _count_function_words(text: str, code: str) -> int:
    return sum(word in _WORDS_BY_LANGUAGE[code] for word in _WORD.findall(text.casefold()))


def _count_letters(text: str, code: str) -> int:
    return sum(script_of(letter) in scripts_of(code) for letter in text)


_ADVICE = "correct the path of the file, or the language code"


def identify_language(lines: list[str]) -> str:
    """Return the code of the European language of these lines; empty if uncertain."""
    counts = Counter(word for line in evenly_spaced(lines, _MAX_LINES) for word in _WORD.findall(line.casefold()))
    if counts.total() < _MIN_WORDS:
        return ""
    total, words_of = counts.total(), _WORDS_BY_LANGUAGE
    fractions = {code: sum(counts[word] for word in words) / total for code, words in words_of.items()}
    best = max(fractions, key=lambda code: fractions[code])
    rival = max(fraction for code, fraction in fractions.items() if not _are_related(code, best))
    num_distinct = sum(word in counts for word in words_of[best])
    is_certain = (
        fractions[best] >= _MIN_FRACTION and rival < _MAX_RIVAL * fractions[best] and num_distinct >= _MIN_DISTINCT
    )
    return best if is_certain else ""


def _check_script(name: str, side: str, code: str, lines: list[str]) -> list[DataFinding]:
    scripts = scripts_of(code)
    letters = Counter(letter for line in evenly_spaced(lines, _MAX_LINES) for letter in line if letter.isalpha())
    if not scripts or letters.total() < _MIN_WORDS:
        return []
    num_expected, by_script = 0, Counter[str]()
    for letter, count in letters.items():
        script = unicodedata.name(letter, "").split(" ", 1)[0]
        num_expected += count if script in scripts else 0
        by_script[script] += count
    if num_expected >= _MIN_SCRIPT * letters.total():
        return []
    message = (
        f"only {percentage(num_expected, letters.total())} of the {side}'s letters are of a script of {code};"
        f" most are {by_script.most_common(1)[0][0].capitalize()}"
    )
    return [DataFinding("warning", "languages", name, message, _ADVICE)]


def _table_code(code: str) -> str:
    """Return the code under which a language is in the table of function words."""
    language = base_language(code)
    return {"nb": "no", "nn": "no", "sr": "hr", "bs": "hr", "ms": "id"}.get(language, language)


def _are_related(one: str, other: str) -> bool:
    return one == other or any({one, other} <= group for group in _RELATED)
