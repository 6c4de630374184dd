"""Measure whether tags control translations: their length, and the pronoun of polite and familiar German.

    python benchmarks/control.py length --to /tmp/years
    python benchmarks/control.py style --to /tmp/polite

Both tasks are made up, so that a small model learns them in less than a minute of processor time and the form of each
translation is known:

- length: a year in digits, `1 9 8 4`, is read in one of three ways that are drawn at random for each training pair:
  nineteen eighty four, the year nineteen eighty four, the year one thousand nine hundred and eighty four. The bounds
  between short, normal and long are the default ones.
- style: each English sentence with `you` occurs with `du` and with `Sie`; the corpora of both have tags.
"""

import argparse
import random
import subprocess
import sys
from pathlib import Path

ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
VERBS = [
    ("see", "siehst", "sehen"), ("buy", "kaufst", "kaufen"), ("need", "brauchst", "brauchen"),
    ("find", "findest", "finden"), ("bring", "bringst", "bringen"), ("paint", "malst", "malen"),
    ("sell", "verkaufst", "verkaufen"), ("look for", "suchst", "suchen"),
]  # fmt: skip
NOUNS = [
    ("the dog", "den Hund"), ("the house", "das Haus"), ("the book", "das Buch"), ("the car", "das Auto"),
    ("the bag", "die Tasche"), ("the cup", "die Tasse"), ("the apple", "den Apfel"), ("the flower", "die Blume"),
    ("the chair", "den Stuhl"), ("the lamp", "die Lampe"),
]  # fmt: skip
TIMES = [("today", "heute"), ("tomorrow", "morgen"), ("often", "oft"), ("now", "jetzt"), ("again", "wieder")]
RECIPE = """\
run: runs/{name}
data:
  source_language: {source}
  target_language: {target}
  prepared: prepared
  filters: []
  train: {train}
  valid: {{dev: {{source: dev.source, target: dev.target}}}}
{more}tokenizer: {{algorithm: word, byte_fallback: false, vocabulary_size: 100}}
model:
  {{architecture: transformer, preset: tiny, width: 64, feed_forward: 128, heads: 4, encoder_layers: 1,
    decoder_layers: 1}}
training:
  update_tokens: 1024
  batch_tokens: 1024
  optimizer: {{learning_rate: 3e-3}}
  schedule: {{type: linear, warmup: {warmup}}}
  limits: {{updates: {updates}}}
  validation: {{every: {updates}}}
"""
Pairs = list[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["length", "style"])
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new folder")
    options = parser.parse_args()
    options.to.mkdir(parents=True)
    (measure_length if options.task == "length" else measure_style)(options.to)


def measure_length(folder: Path) -> None:
    """Train on years read in ways of different lengths, and count the ways in which each length reads others."""
    draw = random.Random(1)
    years = draw.sample(range(1000, 10_000), 7000)
    ways = [read_short, read_normal, read_long]
    pairs = [(" ".join(str(year)), draw.choice(ways)(year)) for year in years]
    write(folder, "train", pairs[:6500])
    write(folder, "dev", pairs[6500:6700])
    write(folder, "test", pairs[6700:])
    train = "{years: {source: train.source, target: train.target}}"
    run_recipe(folder, "years", train, ("en", "en"), 500, "  length_tags: true\n")
    print("| length | characters | words | short | normal | long |\n|:--|--:|--:|--:|--:|--:|")
    for length in ("short", "normal", "long"):
        lines = translate(folder, "years", ["--length", length])
        right = [sum(way(year) == line for year, line in zip(years[6700:], lines, strict=True)) for way in ways]
        means = [sum(map(len, sizes)) / len(lines) for sizes in (lines, [line.split() for line in lines])]
        print(f"| {length} | {means[0]:.1f} | {means[1]:.1f} | {' | '.join(map(str, right))} |")


def measure_style(folder: Path) -> None:
    """Train on corpora with a tag for each form of address, and count the forms that each tag gives."""
    draw = random.Random(1)
    sentences = [(verb, noun, time) for verb in VERBS for noun in NOUNS for time in TIMES]
    draw.shuffle(sentences)

    def pairs(first: int, end: int, is_formal: bool) -> Pairs:
        return [
            (f"{time[0]} you {verb[0]} {noun[0]}", f"{time[1]} {address(verb, is_formal)} {noun[1]}")
            for verb, noun, time in sentences[first:end]
        ]

    for name, is_formal in (("formal", True), ("informal", False)):
        write(folder, name, pairs(0, 340, is_formal) * 4)
    write(folder, "dev", pairs(340, 360, True))
    write(folder, "test", pairs(360, 400, True))
    train = "{formal: {source: formal.source, target: formal.target, tag: formal}, "
    train += "informal: {source: informal.source, target: informal.target, tag: informal}}"
    run_recipe(folder, "polite", train, ("en", "de"), 200)
    print("| tag | right with Sie | right with du |\n|:--|--:|--:|")
    for tag in ("formal", "informal"):
        lines = translate(folder, "polite", ["--corpus-tag", tag])
        expected = [[target for _, target in pairs(360, 400, is_formal)] for is_formal in (True, False)]
        right = [sum(one == other for one, other in zip(lines, each, strict=True)) for each in expected]
        print(f"| {tag} | {right[0]} of {len(lines)} | {right[1]} of {len(lines)} |")


def address(verb: tuple[str, str, str], is_formal: bool) -> str:
    """Return a verb with its pronoun."""
    return f"{verb[2]} Sie" if is_formal else f"{verb[1]} du"


def read_short(year: int) -> str:
    """Read a year in two halves."""
    rest = year % 100
    end = "hundred" if rest == 0 else f"oh {ONES[rest]}" if rest < 10 else below_100(rest)
    return f"{below_100(year // 100)} {end}"


def read_normal(year: int) -> str:
    """Read a year in two halves after the words `the year`."""
    return f"the year {read_short(year)}"


def read_long(year: int) -> str:
    """Read a year as a number."""
    hundreds, rest = year // 100 % 10, year % 100
    parts = [f"{ONES[year // 1000]} thousand"]
    parts += [f"{ONES[hundreds]} hundred"] if hundreds else []
    parts += [f"and {below_100(rest)}"] if rest else []
    return f"the year {' '.join(parts)}"


def below_100(number: int) -> str:
    """Return a number below 100 in words."""
    tens = TENS[number // 10]
    return ONES[number] if number < 20 else tens if number % 10 == 0 else f"{tens} {ONES[number % 10]}"


def write(folder: Path, name: str, pairs: Pairs) -> None:
    """Write the sides of pairs to two files."""
    for side, lines in zip(("source", "target"), zip(*pairs, strict=True), strict=True):
        (folder / f"{name}.{side}").write_text("".join(f"{line}\n" for line in lines))


def run_recipe(folder: Path, name: str, train: str, languages: tuple[str, str], updates: int, more: str = "") -> None:
    """Preprocess and train."""
    values = {"name": name, "train": train, "source": languages[0], "target": languages[1], "more": more}
    text = RECIPE.format(**values, updates=updates, warmup=updates // 10)
    (folder / "recipe.yaml").write_text(text)
    for verb in ("preprocess", "train"):
        nmt(folder, [verb, "recipe.yaml"])


def translate(folder: Path, name: str, options: list[str]) -> list[str]:
    """Translate the test set."""
    output = f"out.{options[-1]}"
    nmt(folder, ["translate", f"runs/{name}", "-i", "test.source", "-o", output, "--quiet", *options])
    return (folder / output).read_text().splitlines()


def nmt(folder: Path, arguments: list[str]) -> None:
    """Run a command of nmt."""
    subprocess.run([sys.executable, "-P", "-m", "nmt_cli", *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    main()
