"""Output formats of translations: text, n-best lists, JSON lines, tab-separated values."""

import json
from collections.abc import Callable
from typing import Any

from nmt_cli.decoding.results import TranslatedText, Translation
from nmt_cli.decoding.scoring.alignment import format_pharaoh


def format_text(index: int, translation: Translation) -> str:
    """Format the best translation, then ` ||| ` and its alignment, ` ||| ` and its word scores, if requested."""
    return " ||| ".join([translation.best.text, *_annotation_texts(translation.best)]) + "\n"


def format_nbest(index: int, translation: Translation) -> str:
    """Format each hypothesis as `0 ||| hypothesis ||| F0= log-probability ||| score`, as Moses and Marian do.

    Alignment and word scores follow, if requested.
    """
    return "".join(
        f"{index} ||| {found.text} ||| F0= {found.log_probability:.4f} ||| "
        + " ||| ".join([f"{found.score:.4f}", *_annotation_texts(found)])
        + "\n"
        for found in translation.hypotheses
    )


def format_jsonl(index: int, translation: Translation) -> str:
    """Format one JSON object; several hypotheses are listed in `hypotheses`, too.

    `problems` of the best and glossary `terms` are included if there are any. Keys of the input are copied, and an `id`
    of the input replaces the index.
    """
    record: dict[str, Any] = {"id": index, **translation.extra, "source": translation.source}
    record |= _record(translation.best)
    if len(translation.hypotheses) > 1:
        record["hypotheses"] = [_record(found) for found in translation.hypotheses]
    if translation.terms:
        record["terms"] = [
            {"source": term.source, "targets": list(term.targets), "used": term.is_used} for term in translation.terms
        ]
    if translation.problems:
        record["problems"] = [{"kind": found.problem, "about": found.description} for found in translation.problems]
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def format_tsv(index: int, translation: Translation) -> str:
    """Format `source<TAB>hypothesis<TAB>score`, then alignment and word scores, if requested.

    Tabs and line breaks within a text become spaces.
    """
    best = translation.best
    texts = (text.replace("\t", " ").replace("\n", " ") for text in (translation.source, best.text))
    return "\t".join([*texts, f"{best.score:.4f}", *_annotation_texts(best)]) + "\n"


def _annotation_texts(found: TranslatedText) -> list[str]:
    texts, annotation = list[str](), found.annotation
    if annotation is not None and annotation.alignment is not None:
        texts.append(format_pharaoh(annotation.alignment))
    if annotation is not None and annotation.word_scores is not None:
        texts.append(" ".join(f"{score:.4f}" for score in annotation.word_scores))
    return texts


def _record(found: TranslatedText) -> dict[str, Any]:
    record: dict[str, Any] = {
        "hypothesis": found.text,
        "log_probability": round(found.log_probability, 4),
        "score": round(found.score, 4),
    }
    if found.annotation is not None and found.annotation.alignment is not None:
        record["alignment"] = [list(link) for link in found.annotation.alignment]
    if found.annotation is not None and found.annotation.word_scores is not None:
        record["word_scores"] = [round(score, 4) for score in found.annotation.word_scores]
    return record


FORMATS: dict[str, Callable[[int, Translation], str]] = {
    "text": format_text,
    "nbest": format_nbest,
    "jsonl": format_jsonl,
    "tsv": format_tsv,
}
"""Functions from a 0-based line index and a translation to lines of output."""
