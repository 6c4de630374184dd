"""Agreement and significance of human judgements."""

import pytest

from nmt_cli.evaluation.human_judgements import (
    Judgement,
    JudgementKind,
    analyse_judgements,
    krippendorff_alpha,
)

# Table C of Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): 4 observers, 12 units.
NA = None
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NA, NA, NA],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NA, 3],
    [NA, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NA],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NA],
]
UNITS = [[float(value) for value in unit if value is not None] for unit in zip(*OBSERVERS, strict=True)]


def test_krippendorff_alpha_of_the_example_in_the_paper() -> None:
    units = [unit for unit in UNITS if len(unit) > 1]
    assert krippendorff_alpha("preference", units) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha("direct", units) == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha("preference", [[3.0, 3.0], [3.0, 3.0]]) == 1.0


def direct(annotator: str, line: int, system: str, value: float) -> Judgement:
    return Judgement(annotator, f"{line}{system}", line, (system,), value)


def test_annotators_who_use_the_scale_differently_weigh_the_same() -> None:
    judgements = [
        direct(annotator, line, system, low + step * (line % 3) + (step if system == "new" else 0))
        for annotator, low, step in (("strict", 10, 2), ("kind", 60, 10))
        for line in range(20)
        for system in ("old", "new")
    ]
    found = analyse_judgements("direct", judgements, "old")
    assert [each.system for each in found.systems] == ["new", "old"]
    assert found.systems[0].z == pytest.approx(-(found.systems[1].z or 0))
    [pair] = found.pairs
    assert (pair.first, pair.second, pair.lines) == ("old", "new", 20)
    assert pair.difference > 0
    assert pair.p < 0.001
    assert found.judged_twice == 40


def test_systems_without_a_line_in_common_are_not_compared() -> None:
    judgements = [direct("a", 1, "old", 50), direct("a", 2, "new", 60)]
    assert analyse_judgements("direct", judgements, "old").pairs == []


@pytest.mark.parametrize("kind", ["direct", "preference"])
def test_judgements_by_chance_are_not_significant(kind: JudgementKind) -> None:
    if kind == "direct":
        judgements = [
            direct("a", line, name, 50 + (line * 7 + 3 * (name == "b")) % 11) for line in range(30) for name in "ab"
        ]
    else:
        judgements = [Judgement("a", str(line), line, ("a", "b"), 1 + line % 2) for line in range(30)]
    [pair] = analyse_judgements(kind, judgements, "a").pairs
    assert pair.p > 0.05


def test_preferences_do_not_depend_on_the_order_shown() -> None:
    judgements = [
        Judgement("a", str(line), line, ("old", "new") if line % 2 else ("new", "old"), 2 if line % 2 else 1)
        for line in range(10)
    ]
    judgements.append(Judgement("a", "10", 10, ("old", "new"), 0))
    found = analyse_judgements("preference", judgements, "old")
    assert {each.system: round(each.mean, 1) for each in found.systems} == {"new": 95.5, "old": 4.5}
    assert found.pairs[0].difference == pytest.approx(10 / 11)
    assert found.agreement is None
