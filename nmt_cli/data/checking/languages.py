"""Whether text looks like the language that the recipe names; silent when unsure."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import cache

from nmt_cli.data.checking.finding import Finding, share
from nmt_cli.data.checking.sampling import Sample, some
from nmt_cli.text.checks.scripts import base_language, scripts_of

_LINES = 4000
"""Looked at of each side."""
_WORDS = 300
"""Fewer say nothing."""
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
"""What a text of the language is full of."""
_KIN = ({"da", "no", "nb", "nn", "sv"}, {"cs", "sk"}, {"hr", "sr", "bs", "sl"}, {"es", "ca", "gl", "pt"})
"""Languages that share too many of these words to be told apart by them."""
_WORD = re.compile(r"[^\W\d_]{2,}")  # single letters are in phonetic writing and formulas, too
_OFTEN = 0.12
"""Share of a text's words that are function words of its language, at the least; in running text it is 0.2 to 0.4."""
_VARIED = 6
"""Of a language's function words must be there before it is believed."""
_MOSTLY = 0.5


def named_languages(corpus: Sample) -> list[Finding]:
    """Finds sides that are swapped, or in another language or script than the recipe says."""
    sides = corpus.sides
    guesses = {side: guess(sides[side]) for side in sides}
    source, target = map(_listed, corpus.languages)
    if not _akin(source, target) and (guesses["source"], guesses["target"]) == (target, source):
        what = f"the sides are swapped: the source looks like {target}, the target like {source}"
        return [Finding("error", "languages", corpus.name, what, "exchange source and target of this corpus")]
    findings = []
    for side, code in zip(sides, corpus.languages, strict=True):
        found = guesses[side]
        if found and _listed(code) in _FUNCTION_WORDS and not _akin(found, _listed(code)):
            what = f"the {side} looks like {found}, but should be {code}"
            advice = "name the right file, or the right language"
            findings.append(Finding("warning", "languages", corpus.name, what, advice))
        else:
            findings += _script(corpus.name, side, code, sides[side])
    return findings


def guess(lines: list[str]) -> str:
    """The code of the European language that these lines are in; empty if unsure."""
    counts = Counter(word for line in some(lines, _LINES) for word in _WORD.findall(line.casefold()))
    if counts.total() < _WORDS:
        return ""
    shares = {code: sum(counts[word] for word in words) / counts.total() for code, words in _words().items()}
    best = max(shares, key=lambda code: shares[code])
    rival = max(found for code, found in shares.items() if not _akin(code, best))
    varied = sum(word in counts for word in _words()[best])
    return best if shares[best] >= _OFTEN and rival < _MOSTLY * shares[best] and varied >= _VARIED else ""


def _script(name: str, side: str, code: str, lines: list[str]) -> list[Finding]:
    scripts = scripts_of(code)
    letters = Counter(letter for line in some(lines, _LINES) for letter in line if letter.isalpha())
    if not scripts or letters.total() < _WORDS:
        return []
    own, most = 0, Counter[str]()
    for letter, count in letters.items():
        script = unicodedata.name(letter, "").split(" ", 1)[0]
        own += count if script in scripts else 0
        most[script] += count
    if own >= _MOSTLY * letters.total():
        return []
    what = (
        f"only {share(own, letters.total())} of the {side}'s letters are of a script of {code};"
        f" most are {most.most_common(1)[0][0].capitalize()}"
    )
    return [Finding("warning", "languages", name, what, "name the right file, or the right language")]


@cache
def _words() -> Mapping[str, frozenset[str]]:
    return {code: frozenset(_WORD.findall(words)) for code, words in _FUNCTION_WORDS.items()}


def _listed(code: str) -> str:
    """The code under which a language stands here."""
    language = base_language(code)
    return {"nb": "no", "nn": "no", "sr": "hr", "bs": "hr", "ms": "id"}.get(language, language)


def _akin(one: str, other: str) -> bool:
    return one == other or any({one, other} <= kin for kin in _KIN)
