"""Translations as lines of output: text, n-best lists, JSON lines, tab-separated values."""

import json
from collections.abc import Callable
from typing import Any

from nmt_cli.decoding.translator import TranslatedText, Translation


def text(number: int, translation: Translation) -> str:
    """The best translation."""
    return f"{translation.best.text}\n"


def nbest(number: int, translation: Translation) -> str:
    """`0 ||| hypothesis ||| F0= log-probability ||| score` for each hypothesis, as Moses and Marian write it."""
    return "".join(
        f"{number} ||| {found.text} ||| F0= {found.log_probability:.4f} ||| {found.score:.4f}\n"
        for found in translation.hypotheses
    )


def jsonl(number: int, translation: Translation) -> str:
    """One JSON object a line; with several hypotheses, all are in `hypotheses` too.

    What looks wrong with the best is in `problems`, which is left out if there is nothing.
    """
    record: dict[str, Any] = {"id": number, "source": translation.source, **_fields(translation.best)}
    if len(translation.hypotheses) > 1:
        record["hypotheses"] = [_fields(found) for found in translation.hypotheses]
    if translation.problems:
        record["problems"] = [{"kind": found.problem, "about": found.about} for found in translation.problems]
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def tsv(number: int, translation: Translation) -> str:
    """`source<TAB>hypothesis<TAB>score`; a tab within a text becomes a space."""
    best = translation.best
    columns = [translation.source.replace("\t", " "), best.text.replace("\t", " "), f"{best.score:.4f}"]
    return "\t".join(columns) + "\n"


def _fields(found: TranslatedText) -> dict[str, Any]:
    return {
        "hypothesis": found.text,
        "log_probability": round(found.log_probability, 4),
        "score": round(found.score, 4),
    }


FORMATS: dict[str, Callable[[int, Translation], str]] = {"text": text, "nbest": nbest, "jsonl": jsonl, "tsv": tsv}
"""From a translation and its line's number, counted from 0, to lines of output."""
