"""Another language than the one named is found, where that is certain."""

from collections.abc import Callable

import pytest

from nmt_cli.data.checking.languages import guess, named_languages
from nmt_cli.data.checking.sampling import Pair, Sample

Make = Callable[..., list[Pair]]
Look = Callable[..., Sample]

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
"""Sentences full of the words that every text has."""


@pytest.mark.parametrize("code", TEXTS)
def test_common_languages_are_told_apart(code: str) -> None:
    assert guess([TEXTS[code]] * 30) == code


def test_few_words_and_other_languages_are_not_guessed() -> None:
    assert guess([TEXTS["fr"]]) == ""
    assert guess(["lorem ipsum dolor sit amet consectetur adipiscing elit"] * 100) == ""
    assert guess(["b ɔ̃ ʒ u ʁ a o e i"] * 500) == ""


def test_the_right_languages_are_left_alone(pairs: Make, look: Look) -> None:
    assert not named_languages(look(pairs(500)))
    assert not named_languages(look(pairs(500), ("eng", "de-AT")))


def test_swapped_sides_are_an_error(pairs: Make, look: Look) -> None:
    (found,) = named_languages(look([(german, english) for english, german in pairs(500)]))
    assert found.level == "error"
    assert "swapped" in found.what


def test_another_language_on_one_side_is_a_warning(pairs: Make, look: Look) -> None:
    (found,) = named_languages(look([(english, TEXTS["fr"]) for english, _ in pairs(500)]))
    assert found.level == "warning"
    assert "the target looks like fr, but should be de" in found.what


def test_another_script_is_a_warning_even_if_the_language_is_not_known(pairs: Make, look: Look) -> None:
    (found,) = named_languages(look(pairs(500), ("en", "ja")))
    assert "most are Latin" in found.what


@pytest.mark.parametrize("code", ["et", "tlh", "ipa"])
def test_of_a_language_that_is_not_known_nothing_is_said(code: str, pairs: Make, look: Look) -> None:
    assert not named_languages(look(pairs(500), ("en", code)))


@pytest.mark.parametrize(("code", "text"), [("nb", "sv"), ("ca", "es"), ("gl", "pt")])
def test_near_relatives_are_not_told_apart(code: str, text: str, look: Look) -> None:
    assert not named_languages(look([(TEXTS[text], "x")] * 60, (code, "zz")))
