"""Translation memories (TMX 1.4 and earlier): from units to pairs of two languages."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from nmt_cli.console import warn
from nmt_cli.data.reading.examples import DropCounts, DroppedExample
from nmt_cli.data.reading.raw_chunks import MAX_CHUNK_BYTES, RawChunk
from nmt_cli.data.reading.tmx_units import Unit, Variant, canonical_code, read_units
from nmt_cli.errors import DataError
from nmt_cli.recipe.corpora import TmxCorpus

_KEYS = ("source", "target", "problem")
_Row = tuple[str, str, str]


def read_chunks(corpus: TmxCorpus, languages: tuple[str, str], max_records: int) -> Iterator[RawChunk]:
    """Yield the pairs of a translation memory, and a record for each unit without one.

    The columns are `source`, `target`, and `problem`: empty, or why the record is not a pair, perhaps with a tab and a
    message. Newlines in a text become spaces. A variant is in a language if its code is that of the language. If a unit
    has no such variant, codes that add a region to that of the language count, too: en-US for en.

    Raises:
        DataError: The file is not TMX, or no unit has both languages.
    """
    wanted = (corpus.source_language or languages[0], corpus.target_language or languages[1])
    found, used = Counter[str](), tuple(Counter[str]() for _ in wanted)
    first, num_pairs, rows, size = 1, 0, list[_Row](), 0
    for unit in read_units(corpus.file):
        found.update([*dict.fromkeys(each.language for each in unit.variants)])
        for row in _rows(unit, wanted, used):
            num_pairs += not row[2]
            rows.append(row)
            size += sum(map(len, row))
            if (first + len(rows) - 1) % max_records == 0 or size >= MAX_CHUNK_BYTES:
                yield _chunk(first, rows)
                first, rows, size = first + len(rows), [], 0
    if rows:
        yield _chunk(first, rows)
    if not num_pairs:
        raise DataError(
            f"{corpus.file}: no unit has both {wanted[0]} and {wanted[1]};"
            f" its languages are {_listed(found) or 'none'}; set source_language and target_language of the corpus"
        )
    for key, language, codes in zip(("source_language", "target_language"), wanted, used, strict=True):
        if len(codes) > 1:
            _warn_once(f"{corpus.file}: {language} is {_listed(codes)}, and all are used; choose one with {key}")


_warn_once = cache(warn)


def _listed(codes: Counter[str]) -> str:
    return ", ".join(f"{code or '(none)'} ({count:,})" for code, count in codes.most_common(20))


def _rows(unit: Unit, wanted: tuple[str, str], used: Sequence[Counter[str]]) -> Iterator[_Row]:
    """Yield a row for each pair of variants in the wanted languages, and count the language codes that were used."""
    if unit.error:
        yield _one_line(unit.raw), "", f"no_record\t{_one_line(unit.error)}"
        return
    sides = [_of_language(unit.variants, canonical_code(language)) for language in wanted]
    with_text = [[each for each in side if each.text is not None] for side in sides]
    if not all(with_text):
        shown = [(side[0].text or "") if side else "" for side in with_text]
        yield shown[0], shown[1], "no_segment" if all(sides) else "no_language"
        return
    sources, targets = with_text
    for code_counts, side in zip(used, with_text, strict=True):
        code_counts.update([*dict.fromkeys(each.language for each in side)])
    for index in range(max(len(sources), len(targets))):
        yield from _pairs(sources[index % len(sources)], targets[index % len(targets)])


def _pairs(source: Variant, target: Variant) -> Iterator[_Row]:
    """Yield the texts of two variants, and of their subflows. Subflows are paired only if both have equally many."""
    assert source.text is not None
    assert target.text is not None
    yield source.text, target.text, ""
    if len(source.subflows) == len(target.subflows):
        yield from ((one, other, "") for one, other in zip(source.subflows, target.subflows, strict=True))
    else:
        yield " ".join(source.subflows), " ".join(target.subflows), "no_segment"


def _of_language(variants: Sequence[Variant], wanted: str) -> list[Variant]:
    exact = [each for each in variants if each.language == wanted]
    return exact or [each for each in variants if each.language.startswith(f"{wanted}-")]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def drop_unpaired(
    records: list[int], columns: dict[str, list[str]], drops: DropCounts, *, stops: bool
) -> tuple[list[int], dict[str, list[str]]]:
    """Return the records that are pairs, and count the others.

    Raises:
        DataError: `stops` is set and a unit cannot be read. A unit that lacks a language is skipped.
    """
    kept = [row for row, problem in enumerate(columns["problem"]) if not problem]
    for row, problem in enumerate(columns["problem"]):
        if problem:
            reason, _, message = problem.partition("\t")
            if message and stops:
                raise DataError(f"{message}; correct the unit, or set data.on_error to skip")
            example = DroppedExample.shortened(records[row], columns["source"][row], columns["target"][row])
            drops.add(reason, 1, [example])
    sides = {key: [columns[key][row] for row in kept] for key in ("source", "target")}
    return [records[row] for row in kept], sides


def _chunk(first: int, rows: Sequence[_Row]) -> RawChunk:
    columns = {
        key: "".join([f"{text}\n" for text in column]).encode()
        for key, column in zip(_KEYS, zip(*rows, strict=True), strict=True)
    }
    return RawChunk(first, len(rows), columns)
