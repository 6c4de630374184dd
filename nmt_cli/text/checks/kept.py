"""What a translation must take over letter by letter: URLs, e-mail addresses, placeholders, tags."""

import re
from collections import Counter

from nmt_cli.text.checks.finding import Finding, Problem

_SIGNS = re.compile(r"[@{%<]|__|://|www\.")
"""Without one of these there is nothing to keep."""
_KEPT = re.compile(
    r"""
    (?P<url> (?: [a-z][a-z0-9+.-]*:// | www\. ) [^\s<>"'“”«»。，、]+ )
  | (?P<email> [\w.+-]+ @ [\w-]+ (?: \. [\w-]+ )+ )
  | (?P<tag> </? [a-z] [^<>]* > )
  | (?P<placeholder>
        \$? \{\{? [\w.:-]* \}?\}
      | (?<![\w%]) % (?: \(\w+\) | \d+\$ )? [-+#0]* \d* (?: \.\d+ )? (?: hh? | ll? )? [sdiufxgc@] (?!\w)
      | (?<!\w) __ \w+? __ (?!\w)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_TRAILING = ".,;:!?…)]}'’»"
_NAMES: dict[str, Problem] = {"url": "url", "email": "email", "placeholder": "placeholder", "tag": "tag"}


def without_kept(text: str) -> str:
    """The rest of a text, in which other things can be looked for."""
    return _KEPT.sub(" ", text) if _SIGNS.search(text) else text


def lost_and_invented(source: str, output: str) -> list[Finding]:
    """Finds each of these that the output has less often, or more often, than the source."""
    if not (_SIGNS.search(source) or _SIGNS.search(output)):
        return []
    asked, said = _kept(source), _kept(output)
    return [
        Finding(problem, f"{text} is {fate}", text if fate == "lost" else "")
        for fate, missing in (("lost", asked - said), ("invented", said - asked))
        for (problem, text), count in missing.items()
        for _ in range(count)
    ]


def _kept(text: str) -> Counter[tuple[Problem, str]]:
    counts: Counter[tuple[Problem, str]] = Counter()
    for found in _KEPT.finditer(text):
        problem = _NAMES[str(found.lastgroup)]
        counts[problem, found[0].rstrip(_TRAILING) if problem == "url" else found[0]] += 1
    return counts
