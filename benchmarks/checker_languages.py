"""Count false alarms and missed errors of the translation checks in many languages.

    python benchmarks/checker_languages.py NTREX-128

The folder holds `newstest2019-src.eng.txt` and the human translations `newstest2019-ref.LANGUAGE.txt` of NTREX-128. The
first table has the percentage of human translations in which each check finds an error, for the languages above a
bound, and the percentage that filters of training data drop. The second table has the percentage of artificial errors
that are found, of one error in each of the first 1,000 lines.
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.filters.pipeline import FilterPipeline
from nmt_cli.data.reading.examples import Examples
from nmt_cli.recipe.filters import DEFAULT_FILTERS, RepeatsFilter, ScriptFilter
from nmt_cli.text.checks.checker import Checker
from nmt_cli.text.lines import read_lines

BOUNDS = {
    "loop": 0.5,
    "copied": 0.5,
    "script": 0.5,
    "number": 2.0,
    "filters": 0.5,
    "repeats": 0.5,
    "script filter": 0.5,
}
"""Maximum percentage of good translations in which a check finds an error, or that the default filters or one drops."""
LANGUAGES = {"tha": "Thai", "khm": "Khmer", "mya": "Burmese", "bod": "Tibetan", "zho-CN": "Chinese", "arb": "Arabic"}
"""Languages with artificial errors."""
_UNSPACED = ("tha", "khm", "mya", "bod", "zho-CN")
_FILTERS = {
    "filters": [each for each in DEFAULT_FILTERS if each.type not in ("overlap", "duplicates")],
    "repeats": [RepeatsFilter()],
    "script filter": [ScriptFilter()],
}


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    sources = list(read_lines(folder / "newstest2019-src.eng.txt"))
    paths = {path.name.split(".")[1]: path for path in sorted(folder.glob("newstest2019-ref.*.txt"))}
    languages = [language for language in paths if not language.startswith("eng")]
    rows = {language: percentages(sources, list(read_lines(paths[language])), language) for language in languages}
    print("| check | bound % | mean % | languages above |\n|:--|--:|--:|:--|")
    for kind, bound in BOUNDS.items():
        above = ", ".join(f"{language} {row[kind]:.2f}" for language, row in rows.items() if row[kind] > bound)
        mean = sum(row[kind] for row in rows.values()) / len(rows)
        print(f"| {kind} | {bound} | {mean:.2f} | {above or 'none'} |")
    print(f"\n{len(rows)} languages, {len(sources):,} lines each\n")
    print("| language |", " | ".join(ERRORS), "|\n|:--|" + "--:|" * len(ERRORS))
    for language, name in LANGUAGES.items():
        pairs = list(zip(sources, read_lines(paths[language]), strict=True))[:1000]
        found = [f"{100 * found_fraction(kind, pairs, language):.1f}" for kind in ERRORS]
        print(f"| {name} |", " | ".join(found), "|")


def percentages(sources: Sequence[str], references: Sequence[str], language: str) -> dict[str, float]:
    """Return the percentage of English lines and their translations with each finding, and that filters drop."""
    check, counts = Checker("eng", language), Counter[str]()
    for source, reference in zip(sources, references, strict=True):
        counts.update({finding.problem for finding in check(source, reference)})
    for name, filters in _FILTERS.items():
        pipeline = FilterPipeline(filters, ("eng", language), HeldOutKeys.of())
        counts[name] = len(sources) - len(pipeline.apply(Examples(list(sources), list(references))).kept)
    return {kind: 100 * counts[kind] / len(sources) for kind in BOUNDS}


def found_fraction(kind: str, pairs: Sequence[tuple[str, str]], language: str) -> float:
    """Return the fraction of pairs in which an artificial error is found."""
    check, rng = Checker("eng", language), random.Random(kind)
    problem, make = ERRORS[kind]
    wrong = [make(*pair, rng, "" if language in _UNSPACED else " ") for pair in pairs]
    return sum(any(found.problem == problem for found in check(*pair)) for pair in wrong) / len(pairs)


def _repeated(source: str, reference: str, rng: random.Random, separator: str) -> tuple[str, str]:
    """Repeat a phrase of 1 to 8 words, or of 6 to 24 characters without spaces, 3 to 9 times more."""
    units = reference.split() if separator else list(reference)
    length = min(rng.randint(1, 8) if separator else rng.randint(6, 24), len(units))
    start = rng.randrange(len(units) - length + 1)
    phrase = units[start : start + length]
    return source, separator.join([*units[:start], *phrase * rng.randint(4, 10), *units[start + length :]])


def _endless(source: str, reference: str, rng: random.Random, separator: str) -> tuple[str, str]:
    """Repeat the last word, or the last 3 characters, up to twice the length of the source and 20 characters."""
    units = reference.rstrip('.!?။།。” "').split() if separator else list(reference.rstrip('.!?။།。” "'))
    last = units[-1:] if separator else units[-3:]
    while len(separator.join(units)) < 2 * len(source) + 20:
        units += last
    return source, separator.join(units)


def _lost_number(source: str, reference: str, rng: random.Random, separator: str) -> tuple[str, str]:
    """Insert a number into the source."""
    words = source.split()
    index = rng.randint(0, len(words))
    number = rng.choice(
        [str(rng.randint(25, 99)), f"{rng.randint(1001, 99999):,}", f"{rng.randint(0, 99)}.{rng.randint(25, 99)}"]
    )
    return " ".join([*words[:index], number, *words[index:]]), reference


def _copy(source: str, reference: str, rng: random.Random, separator: str) -> tuple[str, str]:
    return source, source


ERRORS: dict[str, tuple[str, Callable[[str, str, random.Random, str], tuple[str, str]]]] = {
    "repeated phrase": ("loop", _repeated),
    "endless loop": ("loop", _endless),
    "lost number": ("number", _lost_number),
    "copy": ("copied", _copy),
}
"""The problem that must be found, and how to make it."""

if __name__ == "__main__":
    main()
