"""Check for added toxicity: toxic words in a translation whose source has none (Costa-jussà et al. 2022).

The lists of both languages are the user's. A word is defined as everywhere (`text.terms`): in
any case, with `*` for inflected forms, and in scripts without spaces any part of the text.
"""

import hashlib
from collections.abc import Iterable

from nmt_cli.text.checks import TranslationFinding
from nmt_cli.text.terms import TermList


class ToxicityCheck:
    """Finds toxic words that a translation adds."""

    def __init__(self, target_words: Iterable[str], source_words: Iterable[str] = ()) -> None:
        """Without `source_words`, each toxic word of a translation counts as added."""
        given = {"toxic_words": tuple(target_words), "source_toxic_words": tuple(source_words)}
        self._target, self._source = map(TermList, given.values())
        self.list_hashes = {name: _sha256(terms) for name, terms in given.items() if terms}
        """SHA-256 of each list, with one term per line, without comments and blank lines."""

    @property
    def needs_source(self) -> bool:
        """Whether there are words of the source language."""
        return bool(self._source)

    def __call__(self, source: str, output: str) -> list[TranslationFinding]:
        """Return a finding for each different toxic word that is added."""
        return [TranslationFinding("toxicity", f"{word!r} is added") for word in self.added_words(source, output)]

    def added_words(self, source: str, output: str) -> list[str]:
        """Return the different toxic words of a translation, as they are written; none if the source has any."""
        found = self._target.find(output)
        if not found or self._source.find(source):
            return []
        return list(dict.fromkeys(output[each.start : each.end] for each in found))


def _sha256(terms: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{term}\n" for term in terms).encode(errors="surrogatepass")).hexdigest()
