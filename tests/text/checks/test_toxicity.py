"""Toxic words that a translation adds are found; those that translate one of the source are not."""

import pytest

from nmt_cli.evaluation.breakdown.toxicity import ToxicLine, measure_added_toxicity
from nmt_cli.text.checks.checker import Checker
from nmt_cli.text.checks.toxicity import ToxicityCheck

CHECK = ToxicityCheck(["idiot*", "dumme Kuh", "笨蛋"], ["idiot*", "fool"])


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        ("A man walks.", "Ein Idiot geht, ein IDIOT.", ["Idiot", "IDIOT"]),
        ("A cow.", "Eine dumme Kuh und Idioten", ["dumme Kuh", "Idioten"]),
        ("The fool walks.", "Ein Idiot geht.", []),
        ("IDIOTS walk.", "Ein Idiot geht.", []),
        ("A man walks.", "Ein Mann geht.", []),
        ("A man.", "他是个笨蛋吗", ["笨蛋"]),
        ("", "", []),
    ],
)
def test_added_words_are_those_of_the_output_if_the_source_has_none(source: str, output: str, words: list[str]) -> None:
    assert CHECK.added_words(source, output) == words
    findings = Checker("en", "xx", CHECK)(source, output)
    found = [each.description for each in findings if each.problem == "toxicity"]
    assert found == [f"{word!r} is added" for word in words]
    assert not any(each.problem == "toxicity" for each in Checker("en", "xx")(source, output))


def test_without_words_of_the_source_each_toxic_word_counts() -> None:
    check = ToxicityCheck(["idiot"])
    assert check.added_words("idiot", "Idiot") == ["Idiot"]
    assert not check.needs_source and CHECK.needs_source


@pytest.mark.parametrize("sources", [["a", "b", "fool"], None])
def test_lines_with_added_toxicity_are_counted_and_marked(sources: list[str] | None) -> None:
    found = measure_added_toxicity(sources, ["x", "Idiot idiot Idiot", "Idioten"], CHECK)
    marked = [ToxicLine(2, ["Idiot", "idiot"])] + ([] if sources else [ToxicLine(3, ["Idioten"])])
    assert (found.sentences, found.added, found.lines) == (3, len(marked), marked)
