"""Languages that differ from the recipe are reported if the evidence suffices."""

import re
from collections.abc import Callable

import pytest

from nmt_cli.data.checking.languages import check_languages, check_line_languages, identify_language
from nmt_cli.data.checking.sampling import CorpusSample, Pair

Make = Callable[..., list[Pair]]
Sampled = Callable[..., CorpusSample]

TEXTS = {
    "fr": "il est dans la maison avec une femme qui ne parle pas et vous êtes pour nous sur le pont des amis",
    "es": "el hombre no está en la casa de los amigos porque se fue con una mujer que es muy buena para él",
    "it": "non è la casa di mio padre ma il ponte della città che ho visto anche con gli amici per una sera",
    "pt": "o homem não está na casa dos amigos porque foi com uma mulher que é muito boa para ele e mais nada",
    "nl": "het is niet de man van het huis maar een vriend die ik op de brug met zijn vrouw heb gezien",
    "sv": "det är inte mannen som har ett hus och jag vet att han inte var på bron med den där kvinnan",
    "pl": "to nie jest dom mojego ojca ale nie wiem czy on był tak daleko jak się mówi i że to jego przyjaciel",
    "ru": "это не дом моего отца и он не был на мосту с ней как я вы все что у нас за город так же для вас",
}
"""Sentences with many function words."""


@pytest.mark.parametrize("code", TEXTS)
def test_language_is_identified(code: str) -> None:
    assert identify_language([TEXTS[code]] * 30) == code


def test_language_is_not_identified_from_few_or_foreign_words() -> None:
    assert identify_language([TEXTS["fr"]]) == ""
    assert identify_language(["lorem ipsum dolor sit amet consectetur adipiscing elit"] * 100) == ""
    assert identify_language(["b ɔ̃ ʒ u ʁ a o e i"] * 500) == ""


def test_correct_languages_have_no_findings(pairs: Make, sampled: Sampled) -> None:
    assert not check_languages(sampled(pairs(500)))
    assert not check_languages(sampled(pairs(500), ("eng", "de-AT")))


def test_swapped_sides_are_an_error(pairs: Make, sampled: Sampled) -> None:
    (found,) = check_languages(sampled([(german, english) for english, german in pairs(500)]))
    assert found.level == "error"
    assert "swapped" in found.message


def test_swapped_half_is_located(pairs: Make, sampled: Sampled) -> None:
    mixed = [
        (german, english) if index >= 600 else (english, german) for index, (english, german) in enumerate(pairs(1200))
    ]
    (found,) = check_languages(sampled(mixed))
    assert found.level == "error"
    first, last = (int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", found.message)[1:])
    assert 601 <= first <= 610
    assert 1190 <= last <= 1200


def test_swapped_half_in_another_script_is_found(pairs: Make, sampled: Sampled) -> None:
    mixed = [
        (TEXTS["ru"], english) if index % 2 else (english, TEXTS["ru"]) for index, (english, _) in enumerate(pairs(400))
    ]
    (found,) = check_languages(sampled(mixed, ("en", "ru")))
    assert found.level == "error"
    assert "50 %" in found.message


def test_few_pairs_in_the_wrong_order_have_no_findings(pairs: Make, sampled: Sampled) -> None:
    mixed = [
        (german, english) if index % 50 == 0 else (english, german)
        for index, (english, german) in enumerate(pairs(1000))
    ]
    assert not check_languages(sampled(mixed))


def test_wrong_language_of_one_side_is_a_warning(pairs: Make, sampled: Sampled) -> None:
    (found,) = check_languages(sampled([(english, TEXTS["fr"]) for english, _ in pairs(500)]))
    assert found.level == "warning"
    assert re.search("target .*fr.*de", found.message)


def test_wrong_script_is_a_warning_for_unlisted_language(pairs: Make, sampled: Sampled) -> None:
    (found,) = check_languages(sampled(pairs(500), ("en", "ja")))
    assert "Latin" in found.message


@pytest.mark.parametrize("code", ["et", "tlh", "ipa"])
def test_unlisted_language_has_no_findings(code: str, pairs: Make, sampled: Sampled) -> None:
    assert not check_languages(sampled(pairs(500), ("en", code)))


@pytest.mark.parametrize(("code", "text"), [("nb", "sv"), ("ca", "es"), ("gl", "pt")])
def test_related_languages_are_not_distinguished(code: str, text: str, sampled: Sampled) -> None:
    assert not check_languages(sampled([(TEXTS[text], "x")] * 60, (code, "zz")))


def test_lines_in_another_language_are_counted_with_the_identifier(pairs: Make, sampled: Sampled) -> None:
    pytest.importorskip("py3langid", reason="the extra nmt-cli[language] is not installed")
    good = pairs(200)
    assert check_line_languages(sampled(good)) == []

    mixed = [(source, source if line % 10 == 0 else target) for line, (source, target) in enumerate(good)]
    [finding] = check_line_languages(sampled(mixed))
    assert (finding.level, finding.where) == ("warning", "data.train.news")
    assert re.search(r"target .*not de.* en$", finding.message)

    [finding] = check_line_languages(sampled(mixed, ("en", "tlh")))
    assert finding.level == "fact"
    assert "tlh" in finding.message
