"""Probable errors are reported; correct human translations are not."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.text.checks.checker import Checker, is_far_longer

MULTI30K = Path(__file__).parents[4] / "shared" / "data" / "multi30k"
ENGLISH_GERMAN = Checker("en", "de")


def problems(source: str, output: str, check: Checker = ENGLISH_GERMAN) -> list[str]:
    return [finding.problem for finding in check(source, output)]


@given(st.text(max_size=80), st.text(max_size=80))
def test_checker_accepts_any_text(source: str, output: str) -> None:
    for finding in ENGLISH_GERMAN(source, output):
        assert finding.description


@given(st.text(max_size=80))
def test_copy_preserves_everything(text: str) -> None:
    assert not problems(text, text, Checker("xx", "xx"))


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("Save the whales.", "Rettet die die die die Wale."),
        ("A man walks.", "Ein Mann geht und geht und geht und geht."),
        ("Hello!", "Hallo! Hallo!"),
        (
            "The man in the hat sees a dog.",
            "Der Mann sieht den Mann mit dem Hut, und den Mann mit dem Hut sieht den Mann mit dem Ball.",
        ),
        ("Oh no.", "Oh neiiiiiiiiin."),
        ("我去了。", "我去了我去了我去了我去了我去了我去了"),
        ("Hello!", "สวัสดีสวัสดี"),
        ("He goes home today.", "เขากลับบ้านเขากลับบ้านเขากลับบ้านวันนี้"),
        ("I see.", "นานานานานานา"),
        ("The law is old.", "ཁྲིམས་ཁྲིམས་ཁྲིམས་ཁྲིམས་རྙིང་པ་རེད།"),
        ("A boat ticket.", "Eine Schifffahrtschifffahrtschifffahrtschifffahrtkarte."),
    ],
)
def test_repetition_is_reported(source: str, output: str) -> None:
    assert "loop" in problems(source, output)


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("No, no, no, no!", "Nein, nein, nein, nein!"),
        ("He came, he saw, he won.", "Er kam, er sah, er siegte."),
        ("Wait...............", "Warte..............."),
        ("The man who sees the man who runs.", "Der Mann, der den Mann sieht, der den Mann sieht, der rennt."),
        ("Wait ----- or not", "Warte — — — — — oder nicht"),
        ("Bye bye bye bye!", "再见再见再见再见！"),
    ],
)
def test_repetition_in_the_source_is_not_reported(source: str, output: str) -> None:
    assert "loop" not in problems(source, output)


@pytest.mark.parametrize(
    ("source", "output"),
    [
        (
            "six hundred sixty-six thousand six hundred sixty-six",
            "sechshundertsechsundsechzigtausendsechshundertsechsundsechzig",
        ),
        ("Thanks!", "谢谢"),
        ("Be careful!", "Hati-hati!"),
        ("He laughs.", "เขาหัวเราะคิกคักๆ"),
        ("They said that they wanted, could and would go.", "เขาบอกว่าเขาอยากไป เขาไปได้ และเขาจะไป"),
        ("10000 and 20000", "၁၀၀၀၀ နှင့် ၂၀၀၀၀"),
    ],
)
def test_words_of_repeated_parts_and_short_syllables_are_no_repetition(source: str, output: str) -> None:
    assert "loop" not in problems(source, output)


@pytest.mark.parametrize(
    ("source", "output", "found"),
    [
        ("Yes.", "Ja, aber nur wenn der Hund heute Abend noch einmal hinausgeht.", True),
        ("A long sentence with many words, of which hardly any is left over in the end.", "Ein Satz.", True),
        ("Right.", "Das ist richtig so.", False),
        (
            "They have bought it for 1,234,567.",
            "Sie kauften es für eine Million zweihundertvierunddreißigtausend.",
            False,
        ),
        ("21 43 65 87", "einundzwanzig dreiundvierzig fünfundsechzig siebenundachtzig", False),
        ("Die Verfassung der Vereinigten Staaten von Amerika ist alt.", "美国宪法很古老。", False),
        ("美国宪法很古老。", "Die Verfassung der Vereinigten Staaten von Amerika ist alt.", False),
        ("美国宪法很古老，人民都知道这一点。", "Ja.", True),
    ],
)
def test_length_is_checked(source: str, output: str, found: bool) -> None:
    assert ("length" in problems(source, output, Checker("xx", "yy"))) is found


@pytest.mark.parametrize(("other", "longest"), [("a" * 10, 50), ("a" * 9 + "1", 80), ("", 20)])
def test_is_far_longer_than_three_times_as_long_and_twenty_letters(other: str, longest: int) -> None:
    assert not is_far_longer("x" * longest, other)
    assert is_far_longer("x" * (longest + 1), other)


@pytest.mark.parametrize(("length", "found"), [(12, True), (13, False)])
def test_phrase_of_up_to_twelve_words_that_fills_the_output_is_a_repetition(length: int, found: bool) -> None:
    phrase = [f"w{number}" for number in range(length)]
    assert ("loop" in problems("Yes.", " ".join(phrase * 2))) is found


@pytest.mark.parametrize(
    ("source", "output", "expected"),
    [
        ("It costs 12.5 francs.", "Es kostet 12,5 Franken.", []),
        ("It costs 12.5 francs.", "Es kostet 13,5 Franken.", ["12.5 is lost", "13,5 is invented"]),
        ("1,234,567 people", "1.234.567 Menschen", []),
        ("1,234,567 people", "1 234 567 Menschen", []),
        ("In 1985 and 1986", "In den Jahren 1985 und 1985", ["1986 is lost"]),
        ("On 12/25/2005", "Am 25.12.2005", []),
        ("At 2:30 p.m. we eat.", "Um 14.30 Uhr essen wir.", []),
        ("2 men and 12 women", "Zwei Männer und zwölf Frauen", []),
        ("24 men", "Viele Männer", []),
        ("25 men", "Viele Männer", ["25 is lost"]),
        ("5,000,000 people", "5 Millionen Menschen", []),
        ("Eighty-five people", "85 Menschen", []),
        ("١٢٥ كتابا", "125 Bücher", []),
        ("١٢٥ كتابا", "126 Bücher", ["١٢٥ is lost", "126 is invented"]),
        ("157,000 people", "15.7万人", []),
        ("Version 1.32.47", "Version 1.32.48", ["1.32.47 is lost", "1.32.48 is invented"]),
        ("x² and ½ of 33", "x² und ½ von 33", []),
    ],
)
def test_numbers_are_compared(source: str, output: str, expected: list[str]) -> None:
    assert [each.description for each in ENGLISH_GERMAN(source, output) if each.problem == "number"] == expected


@pytest.mark.parametrize(
    ("source", "output", "expected"),
    [
        ("See https://a.example/b?c=1.", "Siehe https://a.example/b?c=1!", []),
        ("See https://a.example/b?c=1.", "Siehe https://a.example/b.", ["url", "url"]),
        ("See (www.a.example).", "Siehe unten.", ["url"]),
        ("Write to a.b@c.example.", "Schreib an ab@c.example.", ["email", "email"]),
        ("Hi {name}, %s and %1$d of __X__!", "Hallo {name}, %s und %1$d von __X__!", []),
        ("Hi {name}, %s and %1$d of __X__!", "Hallo Name, und von!", ["placeholder"] * 4),
        ("{0} of {1}", "{0} von {0}", ["placeholder"] * 2),
        ("100% sure, 5% so", "100%ig sicher, 5% so", []),
        ("<b>Bold</b> text", "<b>Fetter</b> Text", []),
        ("<b>Bold</b> text", "<b>Fetter Text", ["tag"]),
        ("if a < b and c > d", "wenn a < b und c > d", []),
    ],
)
def test_preserved_text_is_compared(source: str, output: str, expected: list[str]) -> None:
    assert problems(source, output) == expected


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("the cat sat on the mat", True),
        ("The cat sat on the Mat.", True),
        ("New York", False),
        ("lovely weather", False),
        ("lovely warm weather", True),
        ("Massachusetts Institute of Technology", False),
        ("O.K.", False),
        ("我们去那里吃饭，他们也去那里吃饭", True),
        ("123 456 789", False),
    ],
)
def test_copied_source_is_reported(source: str, found: bool) -> None:
    assert (problems(source, source.upper()) == ["copied"]) is found
    assert not problems(source, source.upper(), Checker("en_US", "en_GB"))


@pytest.mark.parametrize(
    ("target", "source", "output", "found"),
    [
        ("de", "Good morning", "Доброе утро", True),
        ("de", "Good morning", "Guten Морген", True),
        ("ru", "Good morning", "Доброе утро", False),
        ("rus_Cyrl", "Good morning", "Guten Morgen", True),
        ("ru", "I use Linux", "Я использую Linux", False),
        ("ru", "The band ABBA", "Группа Abba и BMW", False),
        ("de", "Moscow is Москва in Russian", "Moskau heißt auf Russisch Москва", False),
        ("de", "The angle α", "Der Winkel α ist µ", False),
        ("de", "The angles", "Die Winkel αβ", False),
        ("de", "The angles", "Die Winkel αβγ", True),
        ("sr_Cyrl", "It's 36 years old.", "To je oд прe 36 гoдинa.", False),  # Latin o and e
        ("khm", "Good morning", "Guten Morgen", True),
        ("bod", "Good morning", "早上好", True),
        ("zh_Hans", "Good morning", "早上好", False),
        ("ja", "Good morning", "おはようございます、東京", False),
        ("ja", "Good morning", "안녕하세요", True),
        ("sr", "Good morning", "Добро јутро", False),
        ("sr_Latn", "Good morning", "Добро јутро", True),
        ("klingon", "Good morning", "Доброе утро", False),
    ],
)
def test_script_is_checked(target: str, source: str, output: str, found: bool) -> None:
    assert ("script" in problems(source, output, Checker("en", target))) is found


@pytest.mark.skipif(not MULTI30K.is_dir(), reason="Multi30k is not there")
@pytest.mark.parametrize("target", ["de", "fr"])
def test_human_translations_are_rarely_reported(target: str) -> None:
    sources, targets = (
        gzip.decompress((MULTI30K / f"train.{language}.gz").read_bytes()).decode().split("\n")[:4000]
        for language in ("en", target)
    )
    check = Checker("en", target)

    blamed = [pair for pair in zip(sources, targets, strict=True) if check(*pair)]

    assert len(blamed) <= 4
