"""Lines that are clearly in another language are told, and no others."""

import pytest

pytest.importorskip("py3langid", reason="the extra nmt-cli[language] is not installed")

from nmt_cli.text.language_id import line_identifier

SENTENCES = {
    "en": "The children were playing in the garden when it began to rain.",
    "de": "Die Kinder spielten gerade im Garten, als es zu regnen begann.",
    "fr": "Les enfants jouaient dans le jardin quand il a commencé à pleuvoir.",
    "fi": "Lapset leikkivät puutarhassa, kun alkoi sataa.",
    "hr": "Djeca su se igrala u vrtu kad je počela padati kiša.",
    "id": "Anak-anak sedang bermain di taman ketika hujan mulai turun.",
    "nb": "Barna lekte i hagen da det begynte å regne.",
    "el": "Τα παιδιά έπαιζαν στον κήπο όταν άρχισε να βρέχει.",
    "ru": "Дети играли в саду, когда начался дождь.",
    "ar": "كان الأطفال يلعبون في الحديقة عندما بدأ المطر يهطل.",
    "hi": "बच्चे बगीचे में खेल रहे थे जब बारिश शुरू हो गई।",
    "zh_Hant": "孩子們正在花園裡玩耍的時候,天開始下雨了。",
    "ja": "子供たちが庭で遊んでいると、雨が降り始めた。",
    "th": "เด็กๆ กำลังเล่นอยู่ในสวนตอนที่ฝนเริ่มตก",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_only_lines_in_another_language_are_told(code: str) -> None:
    identifier = line_identifier()
    assert identifier.knows(code)
    told = {other for other, line in SENTENCES.items() if identifier.other_language(line, code)}
    assert told == SENTENCES.keys() - {code}


def test_code_of_the_other_language_is_returned() -> None:
    assert line_identifier().other_language(SENTENCES["de"], "en") == "de"
    assert line_identifier().other_language(SENTENCES["de"], "deu") == ""


@pytest.mark.parametrize("line", ["", "OK", "Berlin", "1,234.56", "C-3PO", "http://", "🙂" * 50, "\0\ud7ff"])
def test_lines_with_few_letters_are_never_told(line: str) -> None:
    assert line_identifier().other_language(line, "el") == ""


@pytest.mark.parametrize("code", ["ee", "tlh", "bem", "xx"])
def test_unknown_language_is_never_told(code: str) -> None:
    assert not line_identifier().knows(code)
    assert not any(line_identifier().other_language(line, code) for line in SENTENCES.values())


@pytest.mark.parametrize(("one", "other"), [("hr", "bs"), ("id", "ms"), ("nb", "da"), ("zh", "yue"), ("nn", "no")])
def test_languages_that_lines_do_not_tell_apart_are_one(one: str, other: str) -> None:
    line = SENTENCES.get(one) or SENTENCES["nb"]
    assert line_identifier().other_language(line if one != "zh" else SENTENCES["zh_Hant"], other) == ""
