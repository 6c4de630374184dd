"""Output in each format can be parsed back, for any text."""

import json

from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.decoding.constraints.builder import TermUse
from nmt_cli.decoding.results import FORMATS, TranslatedText, Translation
from nmt_cli.decoding.scoring.annotation import Annotation

LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])) | st.sampled_from(
    [" ||| ", "a\tb", '"\\', "F0= 1", "\u2028", "||| F0= -1 ||| 2"]
)
NUMBERS = st.floats(-1e4, 0).map(lambda number: round(number, 4))
TRANSLATIONS = st.builds(
    Translation,
    LINES,
    st.lists(st.builds(TranslatedText, LINES, NUMBERS, NUMBERS), min_size=1, max_size=3).map(tuple),
    n_best=st.integers(1, 3),
)


@given(TRANSLATIONS)
def test_text_format_has_the_best_translation(translation: Translation) -> None:
    assert FORMATS["text"](3, translation) == translation.hypotheses[0].text + "\n"


@given(TRANSLATIONS)
def test_nbest_format_parses_back(translation: Translation) -> None:
    *written, rest = FORMATS["nbest"](3, translation).split("\n")

    assert rest == ""
    for line, found in zip(written, translation.hypotheses, strict=True):
        number, others = line.split(" ||| ", 1)
        text, log_probability, score = others.rsplit(" ||| ", 2)
        assert (number, text, float(score)) == ("3", found.text, found.score)
        assert float(log_probability.removeprefix("F0= ")) == found.log_probability


@given(TRANSLATIONS)
def test_jsonl_format_parses_back(translation: Translation) -> None:
    written = FORMATS["jsonl"](3, translation)

    assert written.count("\n") == 1
    record = json.loads(written)
    fields = [
        {"hypothesis": found.text, "log_probability": found.log_probability, "score": found.score}
        for found in translation.hypotheses
    ]
    expected = {"id": 3, "source": translation.source, **fields[0]}
    assert record == (expected if translation.n_best == 1 else {**expected, "hypotheses": fields})


@given(TRANSLATIONS)
def test_tsv_format_has_three_columns(translation: Translation) -> None:
    source, hypothesis, score = FORMATS["tsv"](3, translation).removesuffix("\n").split("\t")

    assert source == translation.source.replace("\t", " ")
    assert hypothesis == translation.best.text.replace("\t", " ")
    assert float(score) == translation.best.score


def annotated(alignment: tuple[tuple[int, int], ...] | None, scores: tuple[float, ...] | None) -> Translation:
    found = TranslatedText("c d", -1.0, -0.5, Annotation(alignment, scores))
    return Translation("a\nb", (found,), extra={"id": '"x"', "source": '"y"', "document": "3"})


def test_formats_append_annotations() -> None:
    both = annotated(((1, 0), (0, 1)), (-0.5, -0.25, -0.25))

    assert FORMATS["text"](3, both) == "c d ||| 1-0 0-1 ||| -0.5000 -0.2500 -0.2500\n"
    assert (
        FORMATS["nbest"](3, both) == "3 ||| c d ||| F0= -1.0000 ||| -0.5000 ||| 1-0 0-1 ||| -0.5000 -0.2500 -0.2500\n"
    )
    assert FORMATS["tsv"](3, both) == "a b\tc d\t-0.5000\t1-0 0-1\t-0.5000 -0.2500 -0.2500\n"
    assert FORMATS["text"](3, annotated((), None)) == "c d ||| \n"
    assert FORMATS["text"](3, annotated(None, (-1.0,))) == "c d ||| -1.0000\n"


def test_jsonl_format_has_annotations_and_copied_keys() -> None:
    record = json.loads(FORMATS["jsonl"](3, annotated(((1, 0),), (-0.5, -0.25))))

    assert (record["id"], record["source"], record["document"]) == ("x", "a\nb", 3)
    assert (record["alignment"], record["word_scores"]) == ([[1, 0]], [-0.5, -0.25])


def test_jsonl_format_marks_repaired_lines() -> None:
    translation = Translation("a", (TranslatedText("b", -1.0, -1.0),), is_repaired=True)

    assert json.loads(FORMATS["jsonl"](3, translation))["repaired"] is True


def test_jsonl_format_lists_glossary_terms() -> None:
    translation = Translation("a", (TranslatedText("b", -1.0, -1.0),), terms=(TermUse("a", ("b", "c"), True),))

    assert json.loads(FORMATS["jsonl"](3, translation))["terms"] == [
        {"source": "a", "targets": ["b", "c"], "used": True}
    ]
