"""All checks on one pair."""

from nmt_cli.text.checks.finding import Finding
from nmt_cli.text.checks.kept import lost_and_invented, without_kept
from nmt_cli.text.checks.lengths import length
from nmt_cli.text.checks.loops import loop
from nmt_cli.text.checks.numbers import numbers
from nmt_cli.text.checks.scripts import base_language, scripts_of, wrong_script


class Checker:
    """Checks translations between two languages, given as codes (`de`, `pt_BR`, `zho_Hans`).

    Of a code that is not known the script is not judged, and a source that comes out again only if the codes differ.
    It speaks up only where a good translation is hardly ever like this: a false alarm costs more than a missed fault.
    """

    def __init__(self, source_language: str, target_language: str) -> None:
        self._scripts = scripts_of(target_language)
        self._differ = base_language(source_language) != base_language(target_language)

    def __call__(self, source: str, output: str) -> tuple[Finding, ...]:
        """What is wrong with the output, usually nothing."""
        findings = [
            *loop(source, output),
            *length(source, output),
            *numbers(without_kept(source), without_kept(output)),
            *lost_and_invented(source, output),
        ]
        if self._differ:
            findings += copied(source, output)
        if self._scripts:
            findings += wrong_script(source, output, self._scripts)
        return tuple(findings)


def copied(source: str, output: str) -> list[Finding]:
    """Whether the source came out as it is, though it is more than names, numbers and the like."""
    if source.strip().casefold() != output.strip().casefold():
        return []
    common = [word for word in source.split() if word[0].isalpha() and not word[0].isupper()]
    letters = sum(map(str.isalpha, "".join(common)))
    if letters < _LETTERS or (len(common) < _WORDS and source.isascii()):
        return []
    return [Finding("copied", "the source is not translated")]


_WORDS, _LETTERS = 3, 10
"""As many words that begin with no capital letter, and letters in them, are no name."""
