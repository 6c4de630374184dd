"""What becomes of two files of lines, found the slow and obvious way."""

from collections import Counter
from dataclasses import dataclass, field

from nmt_cli.data.prepared import Prepared
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.normalization import NORMALIZATIONS, is_blank


@dataclass
class Account:
    """Every record is kept or dropped."""

    kept: list[tuple[str, str]] = field(default_factory=list)
    dropped: dict[str, list[int]] = field(default_factory=dict)
    """Numbers of records, by reason."""

    def drop(self, reason: str, record: int) -> None:
        self.dropped.setdefault(reason, []).append(record)

    @property
    def counts(self) -> Counter[str]:
        return Counter({reason: len(records) for reason, records in self.dropped.items()})


def account_of(source: bytes, target: bytes, recipe: Recipe, tokenizer: Tokenizer) -> Account:
    """Of a corpus without filters, or with that for duplicates, where lines that are not UTF-8 are skipped."""
    found, seen = Account(), set[tuple[str, str]]()
    normalize = NORMALIZATIONS[tokenizer.normalization]
    for record, pair in enumerate(zip(_lines(source), _lines(target), strict=True), 1):
        try:
            one, other = (normalize(line.decode()) for line in pair)
        except UnicodeDecodeError:
            found.drop("not_utf8", record)
            continue
        lengths = len(tokenizer.encode_source([one])[0]), len(tokenizer.encode_target([other])[0])
        if is_blank(one) or is_blank(other):
            found.drop("empty", record)
        elif max(lengths) > recipe.data.max_length:
            found.drop("too_long", record)
        elif recipe.data.filters and (one, other) in seen:
            found.drop("duplicates", record)
        else:
            seen.add((one, other))
            found.kept.append((one, other))
    return found


def _lines(content: bytes) -> list[bytes]:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def assert_agrees(made: Prepared, expected: Account) -> None:
    """The training corpus is just what is expected: text, tokens, and what is said of the rest."""
    [corpus], entry = made.train, made.manifest["corpora"]["train/corpus"]
    assert list(zip(corpus.read_text()[0], corpus.read_text()[1], strict=True)) == expected.kept
    pairs, tokenizer = corpus.read_all(), made.tokenizer
    for number, (source, target) in enumerate(expected.kept):
        assert pairs.sources[number].tolist() == tokenizer.encode_source([source])[0]
        assert pairs.targets[number].tolist() == tokenizer.encode_target([target])[0]
    assert entry["dropped"] == expected.counts
    assert entry["read"] == entry["kept"] + sum(entry["dropped"].values())
    assert entry["kept"] == len(expected.kept) == sum(entry["shards"]) == len(corpus)
    for side, lengths in (("source", pairs.source_lengths), ("target", pairs.target_lengths)):
        assert entry["lengths"][side] == Counter(map(str, lengths.tolist()))
        assert entry[f"{side}_tokens"] == lengths.sum()
    shown = {reason: [one["record"] for one in examples] for reason, examples in entry["examples"].items()}
    assert shown == {reason: records[:3] for reason, records in expected.dropped.items()}
