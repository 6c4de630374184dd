"""The filters language and score, and the commands they run."""

import shlex
import sys

import pytest

from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.filters.scores import LanguageId, QualityScore, is_language, unknown_languages
from nmt_cli.data.reading import Examples
from nmt_cli.errors import DataError
from nmt_cli.recipe.data import Data
from nmt_cli.recipe.filters import LanguageFilter, ScoreFilter

NONE = HeldOutKeys.of()


def python(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


BY_UMLAUT = python(
    "import sys\nfor line in sys.stdin.buffer: print('deu sure' if 'ü' in line.decode() else '__label__en 0.9')"
)
BY_LENGTH = python("import sys\nfor line in sys.stdin: print(len(line.split('\\t')[1]) - 1)")


def test_language_filter_checks_both_sides() -> None:
    language = LanguageId(LanguageFilter(command=BY_UMLAUT), ("en", "de"), NONE)

    assert language(Examples(["x", "ü", "x", "ü"], ["ü", "ü", "x", "x"])).tolist() == [True, False, False, False]


def test_language_filter_with_one_side_and_another_code() -> None:
    settings = LanguageFilter(command=BY_UMLAUT, sides="target", target="en")
    language = LanguageId(settings, ("en", "de"), NONE)

    assert language(Examples(["x", "ü"], ["ü", "x"])).tolist() == [False, True]


GERMAN, FRENCH = "Die Kinder spielten gerade im Garten.", "Les enfants jouaient dans le jardin."


def test_language_filter_without_a_command_drops_only_known_languages() -> None:
    pytest.importorskip("py3langid", reason="the extra nmt-cli[language] is not installed")
    examples = Examples([GERMAN, FRENCH, GERMAN, "Berlin"], [FRENCH, GERMAN, GERMAN, "Paris"])

    assert LanguageId(LanguageFilter(), ("de", "fr"), NONE)(examples).tolist() == [True, False, False, True]
    assert LanguageId(LanguageFilter(sides="source"), ("de", "fr"), NONE)(examples).tolist() == [
        True,
        False,
        True,
        True,
    ]
    assert LanguageId(LanguageFilter(), ("de", "ee"), NONE)(examples).tolist() == [True, False, True, True]


def test_unknown_languages_of_all_corpora_are_listed() -> None:
    pytest.importorskip("py3langid", reason="the extra nmt-cli[language] is not installed")
    corpora = {
        "a": {"source": "a", "target": "b"},
        "b": {"source": "a", "target": "b", "source_language": "bem"},
        "c": {"source": "a", "target": "b", "target_language": "tlh"},
    }
    content = {"prepared": "p", "train": corpora, "valid": {"v": corpora["a"]}, "filters": [{"type": "language"}]}
    languages = {"source_language": "en", "target_language": "ee", "language_tags": True}
    data = Data.model_validate({**languages, **content})

    assert unknown_languages(data) == ["ee", "bem", "tlh"]
    assert unknown_languages(data.model_copy(update={"filters": []})) == []


@pytest.mark.parametrize(
    ("said", "wanted", "is_it"),
    [
        ("de", "de", True),
        ("deu", "de", True),
        ("DE", "de_AT", True),
        ("de", "en", False),
        ("zh-hans", "zh_Hans", True),
        ("zho_Hant", "zh_Hans", False),
        ("", "de", False),
    ],
)
def test_is_language_compares_codes(said: str, wanted: str, is_it: bool) -> None:
    assert is_language(said, wanted) == is_it


def test_score_filter_with_command() -> None:
    score = QualityScore(ScoreFilter(command=BY_LENGTH, min=2, max=3), ("en", "de"), NONE)

    assert score(Examples(["a\tb"] * 4, ["1", "12", "123", "1234"])).tolist() == [False, True, True, False]


def test_score_filter_with_scores_of_the_corpus() -> None:
    score = QualityScore(ScoreFilter(min=-0.5), ("en", "de"), NONE)

    assert score(Examples(["a"] * 3, ["b"] * 3, columns={"score": ["-1e0", " .2", "inf"]})).tolist() == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("said", ["", "good", "nan"])
def test_invalid_score_is_reported_with_record(said: str) -> None:
    score = QualityScore(ScoreFilter(min=0), ("en", "de"), NONE)
    rows = Examples(["a", "a"], ["b", "b"], columns={"score": ["1", said]}, corpus="web", records=[5, 9])

    with pytest.raises(DataError, match=rf"^data\.train\.web: record 9: .* '{said}'"):
        score(rows)


def test_corpus_without_scores_is_kept() -> None:
    assert QualityScore(ScoreFilter(min=0), ("en", "de"), NONE)(Examples(["a"], ["b"], corpus="hand")).tolist() == [
        True
    ]


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("print(1)", r"\b1\b.*\b2\b"),
        ("pass", r"\b0\b.*\b2\b"),
        ("import sys; print(1, 2, sep='\\n'); sys.exit('no\\nmodel')", "1: model$"),
        ("import os; os.kill(os.getpid(), 9)", r"\b(9|137)\b"),
        ("import sys; sys.stdout.buffer.write(b'1\\n\\xff\\n')", "line 2 .*UTF-8"),
        ("print('1\\nx')", "row 2: .* 'x'"),
    ],
)
def test_failing_command_is_a_data_error(program: str, complaint: str) -> None:
    score = QualityScore(ScoreFilter(command=python(program), min=0), ("en", "de"), NONE)

    with pytest.raises(DataError, match=complaint):
        score(Examples(["a", "b"], ["a", "b"]))


def test_missing_command_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"`no-such-program-here` .*127"):
        QualityScore(ScoreFilter(command="no-such-program-here", min=0), ("en", "de"), NONE)(Examples(["a"], ["b"]))


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nfor line in sys.stdin: print(1, ' ' * 1000, flush=True)",
        "import sys\nlines = list(sys.stdin)\nfor line in lines: print(1); print('x' * 1000, file=sys.stderr)",
        "import sys\nfor n in range(3000): print(1)",
    ],
)
def test_large_input_and_output_do_not_deadlock(program: str) -> None:
    score = QualityScore(ScoreFilter(command=python(program), min=0), ("en", "de"), NONE)

    assert score(Examples(["text " * 50] * 3000, ["text " * 50] * 3000)).all()


def test_no_pairs_run_no_command() -> None:
    score = QualityScore(ScoreFilter(command="exit 1", min=0), ("en", "de"), NONE)

    assert score(Examples([], [])).tolist() == []
