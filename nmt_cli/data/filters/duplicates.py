"""Filters that keep the first of equal pairs, and the keys by which pairs are equal."""

import unicodedata

from nmt_cli.data.filters.contract import Keys, Rows, pair_keys
from nmt_cli.data.filters.held_out import HeldOut
from nmt_cli.recipe.data.filters import DuplicatesFilter, NearDuplicatesFilter


class Duplicates:
    """Equal is equal letter by letter."""

    def __init__(self, settings: DuplicatesFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = _named("duplicates", settings.by)
        self.words = f"the same {settings.by} came before"
        self._by = settings.by

    def keys(self, rows: Rows) -> Keys:
        return rows.keys(self._by)


class NearDuplicates:
    """Equal is equal in letters, whatever their case and accents are."""

    def __init__(self, settings: NearDuplicatesFilter, languages: tuple[str, str], held_out: HeldOut) -> None:
        self.name = _named("near_duplicates", settings.by)
        self.words = f"nearly the same {settings.by} came before"
        self._by = settings.by

    def keys(self, rows: Rows) -> Keys:
        sources = [] if self._by == "target" else [canonical(text) for text in rows.sources]
        targets = [] if self._by == "source" else [canonical(text) for text in rows.targets]
        return pair_keys(sources, targets, self._by)


def canonical(text: str) -> str:
    """The letters of a text, without case and accents; a text without letters as it is.

    Signs that a letter of an Indic or Semitic script carries are part of the word, and remain.
    """
    if text.isascii():
        return text.encode().translate(_LOWER, _NO_LETTERS).decode() or text
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKD", decomposed).translate(_LETTERS) or text


class _Letters(dict[int, int | None]):
    """For `str.translate`: deletes what is no letter, and remembers what is one."""

    def __missing__(self, code: int) -> int | None:
        sign = chr(code)
        is_accent = 0x300 <= code <= 0x36F
        is_letter = sign.isalpha() or (unicodedata.category(sign)[0] == "M" and not is_accent)
        self[code] = code if is_letter else None
        return self[code]


_LETTERS = _Letters()
_LOWER = bytes(range(256)).lower()
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


def _named(kind: str, by: str) -> str:
    return kind if by == "pair" else f"{kind}_{by}"
