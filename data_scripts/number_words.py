"""Generate a small task: numbers below a million in words, English to German. Each has exactly one correct translation.

    python data_scripts/number_words.py
    python data_scripts/number_words.py --train 100000 --seed 2 --to data/more_number_words
    python data_scripts/number_words.py --check runs/number_words_transformer/evaluation/number_words/hypotheses.jsonl

writes {train,valid,test}.{en,de} to data/number_words; no number occurs twice. --check prints some translations, wrong
ones first, and the percentage that is correct.
"""

import json
import random
from pathlib import Path

import corpora

ENGLISH = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
ENGLISH_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
GERMAN = [
    *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"),
    *("elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"),
]
GERMAN_TENS = ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]

DIGITS = 6
MAX_PAIRS = 500_000


def main() -> None:
    parser = corpora.argument_parser(__doc__, "data/number_words")
    parser.add_argument("--train", type=corpora.size, default=30_000, metavar="N", help="training pairs (30000)")
    parser.add_argument("--valid", type=corpora.size, default=500, metavar="N", help="validation pairs (500)")
    parser.add_argument("--test", type=corpora.size, default=1_000, metavar="N", help="test pairs (1000)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (1)")
    parser.add_argument("--check", type=Path, metavar="FILE", help="hypotheses.jsonl of nmt evaluate to check")
    options = parser.parse_args()
    if options.check:
        check(options.check)
        return
    sizes = {"train": options.train, "valid": options.valid, "test": options.test}
    if sum(sizes.values()) > MAX_PAIRS:
        parser.error(f"--train, --valid and --test add up to {sum(sizes.values()):,}; the maximum is {MAX_PAIRS:,}")
    numbers = iter(draw(sum(sizes.values()), options.seed))
    texts = {}
    for name, size in sizes.items():
        chosen = [next(numbers) for _ in range(size)]
        texts[f"{name}.en"] = corpora.joined(map(english, chosen))
        texts[f"{name}.de"] = corpora.joined(map(german, chosen))
    corpora.write(options.to, texts)


def draw(count: int, seed: int) -> list[int]:
    """Draw distinct numbers in random order. Short ones are oversampled, so that all of them are learned."""
    random_numbers = random.Random(seed)
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[random_numbers.randrange(10 ** random_numbers.randint(1, DIGITS))] = None
    numbers = list(drawn)
    random_numbers.shuffle(numbers)
    return numbers


def check(path: Path, shown: int = 6) -> None:
    """Print some translations, and on the last line the percentage that is correct."""
    try:
        rows = [json.loads(line) for line in corpora.lines(path.read_bytes())]
        pairs = [(row["source"], row["hypothesis"], row["references"][0]) for row in rows]
    except (ValueError, LookupError, TypeError) as error:
        raise corpora.CorpusError(f"{path}: is not a hypotheses.jsonl of nmt evaluate: {error}") from error
    if not pairs:
        raise corpora.CorpusError(f"{path}: contains no translations")
    wrong = [pair for pair in pairs if pair[1] != pair[2]]
    right = [pair for pair in pairs if pair[1] == pair[2]]
    for source, hypothesis, reference in (wrong[: shown // 2] + right)[:shown]:
        print(f"{source} → {hypothesis}" + ("" if hypothesis == reference else f"  (wrong: {reference})"))
    print(f"exact match: {100 * len(right) / len(pairs):.1f} %")


def english(number: int) -> str:
    """Spell a number in English: 221 → two hundred twenty-one."""
    if number < 20:
        return ENGLISH[number]
    if number < 100:
        tens, units = divmod(number, 10)
        return ENGLISH_TENS[tens] + (f"-{ENGLISH[units]}" if units else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    many, rest = divmod(number, size)
    return f"{english(many)} {name}" + (f" {english(rest)}" if rest else "")


def german(number: int) -> str:
    """Spell a number in German: 221 → zweihunderteinundzwanzig. A final one is eins, any other ein."""
    if number < 20:
        return GERMAN[number]
    if number < 100:
        tens, units = divmod(number, 10)
        return (f"{_ein(units)}und" if units else "") + GERMAN_TENS[tens]
    size, name = (1000, "tausend") if number >= 1000 else (100, "hundert")
    many, rest = divmod(number, size)
    return f"{_ein(many)}{name}" + (german(rest) if rest else "")


def _ein(number: int) -> str:
    words = german(number)
    return words.removesuffix("s") if words.endswith("eins") else words


if __name__ == "__main__":
    corpora.run(main)
