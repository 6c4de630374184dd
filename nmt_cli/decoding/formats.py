"""Translations as lines of output: text, n-best lists, JSON lines, tab-separated values."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from nmt_cli.decoding.results import TranslatedText, Translation
from nmt_cli.decoding.scoring.alignment import Link, format_pharaoh


def text(number: int, translation: Translation) -> str:
    """The best translation; if asked for, ` ||| ` and its alignment, ` ||| ` and the scores of its words."""
    return " ||| ".join([translation.best.text, *_annotations(translation.best)]) + "\n"


def nbest(number: int, translation: Translation) -> str:
    """`0 ||| hypothesis ||| F0= log-probability ||| score` for each hypothesis, as Moses and Marian write it.

    Alignment and scores of words, if asked for, come after that.
    """
    return "".join(
        " ||| ".join(
            [str(number), found.text, f"F0= {found.log_probability:.4f}", f"{found.score:.4f}", *_annotations(found)]
        )
        + "\n"
        for found in translation.hypotheses
    )


def jsonl(number: int, translation: Translation) -> str:
    """One JSON object a line; with several hypotheses, all are in `hypotheses` too.

    What looks wrong with the best is in `problems`, the glossary's terms in `terms`; they are left out if there are
    none. What came with the line is there again, and an `id` of its own is kept.
    """
    record: dict[str, Any] = {"id": number, **translation.extra, "source": translation.source}
    record |= _fields(translation.best)
    if len(translation.hypotheses) > 1:
        record["hypotheses"] = [_fields(found) for found in translation.hypotheses]
    if translation.terms:
        record["terms"] = [
            {"source": term.source, "targets": list(term.targets), "used": term.is_used} for term in translation.terms
        ]
    if translation.problems:
        record["problems"] = [{"kind": found.problem, "about": found.description} for found in translation.problems]
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def tsv(number: int, translation: Translation) -> str:
    """`source<TAB>hypothesis<TAB>score`, then alignment and scores of words, if asked for.

    A tab or an end of line within a text becomes a space.
    """
    best = translation.best
    texts = [_column(translation.source), _column(best.text)]
    return "\t".join([*texts, f"{best.score:.4f}", *_annotations(best)]) + "\n"


def _column(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def _annotations(found: TranslatedText) -> list[str]:
    alignment, scores = _annotation(found)
    return [
        *([] if alignment is None else [format_pharaoh(alignment)]),
        *([] if scores is None else [" ".join(f"{score:.4f}" for score in scores)]),
    ]


def _annotation(found: TranslatedText) -> tuple[Sequence[Link] | None, Sequence[float] | None]:
    return (found.annotation.alignment, found.annotation.word_scores) if found.annotation else (None, None)


def _fields(found: TranslatedText) -> dict[str, Any]:
    alignment, scores = _annotation(found)
    fields: dict[str, Any] = {
        "hypothesis": found.text,
        "log_probability": round(found.log_probability, 4),
        "score": round(found.score, 4),
    }
    if alignment is not None:
        fields["alignment"] = [list(link) for link in alignment]
    if scores is not None:
        fields["word_scores"] = [round(score, 4) for score in scores]
    return fields


FORMATS: dict[str, Callable[[int, Translation], str]] = {"text": text, "nbest": nbest, "jsonl": jsonl, "tsv": tsv}
"""From a translation and its line's number, counted from 0, to lines of output."""
