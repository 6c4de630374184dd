"""Measure the translation checks on a validation set, clean and with noise, and their effect on BLEU.

    python benchmarks/checker.py runs/multi30k_transformer --source valid.en --reference valid.de

Noise is inserted at a random position of each line: a URL or an e-mail address, a number, a placeholder, or a word
repeated four times. Each kind is translated with and without checks. BLEU is sacreBLEU's, against the references of the
clean lines; URLs, addresses and placeholders are removed from the translations first. The last line counts the
references that the checks report: false alarms.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import sacrebleu

from nmt_cli.commands.loading import load_model
from nmt_cli.commands.translators import create_translator
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.results import Translation
from nmt_cli.text.checks.checker import Checker
from nmt_cli.text.checks.preserved import without_preserved
from nmt_cli.text.lines import read_lines


def main() -> None:
    """Print a Markdown table with a row for each kind of noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--noise", nargs="+", choices=list(NOISE), default=list(NOISE))
    given = parser.parse_args()
    sources, references = (list(read_lines(path))[: given.lines] for path in (given.source, given.reference))
    print(
        "| noise | lines with problems | repaired | remaining | BLEU without checks | with | seconds without | with |"
    )
    print("|:--|--:|--:|:--|--:|--:|--:|--:|", flush=True)
    for name in given.noise:
        rng = random.Random(name)
        noisy = [NOISE[name](source.split(), rng) for source in sources]
        plain, seconds = translated(given.model, noisy, check=False)
        checked, longer = translated(given.model, noisy, check=True)
        remaining = Counter(finding.problem for each in checked for finding in each.problems)
        repaired = sum(each.is_retried and not each.problems for each in checked)
        failed = repaired + sum(bool(each.problems) for each in checked)
        remaining_text = ", ".join(f"{problem} {count}" for problem, count in remaining.most_common()) or "none"
        scores = [bleu(each, references) for each in (plain, checked)]
        print(
            f"| {name} | {failed} of {len(noisy)} | {repaired} | {remaining_text} | {scores[0]:.2f} | {scores[1]:.2f} "
            f"| {seconds:.1f} | {longer:.1f} |",
            flush=True,
        )
    config = load_model(given.model).config
    check = Checker(config.source_language, config.target_language)
    reported = sum(bool(check(*pair)) for pair in zip(sources, references, strict=True))
    print(f"\nOf {len(sources)} references, {reported} are reported.")


def translated(model: Path, lines: Iterable[str], check: bool) -> tuple[list[Translation], float]:
    """Return translations and the time in seconds."""
    loaded = load_model(model)
    translator = create_translator(replace(loaded, decoding=loaded.decoding.model_copy(update={"check": check})))
    started = time.perf_counter()
    return list(translator.translate(map(Request, lines))), time.perf_counter() - started


def bleu(translations: Iterable[Translation], references: list[str]) -> float:
    """Return sacreBLEU without URLs and the like, which the references do not have."""
    return sacrebleu.corpus_bleu([without_preserved(each.best.text) for each in translations], [references]).score


def _unchanged(words: list[str], rng: random.Random) -> str:
    return " ".join(words)


def _inserted(choose: Callable[[list[str], random.Random], list[str]]) -> Callable[[list[str], random.Random], str]:
    def insert(words: list[str], rng: random.Random) -> str:
        index = rng.randrange(1, max(2, len(words)))
        return " ".join([*words[:index], *choose(words[:index], rng), *words[index:]])

    return insert


def _address(words: list[str], rng: random.Random) -> list[str]:
    name = "".join(filter(str.isalnum, rng.choice(words).lower())) or "a"
    return [rng.choice([f"http://www.{name}.example/{rng.randrange(1000)}", f"{name}@mail.example"])]


def _number(words: list[str], rng: random.Random) -> list[str]:
    return [rng.choice([str(rng.randrange(25, 99)), str(rng.randrange(100, 3000)), f"{rng.randrange(25)}.7"])]


def _placeholder(words: list[str], rng: random.Random) -> list[str]:
    return [rng.choice(["{name}", "%s", "%1$d", "__X__", "{0}"])]


def _repetition(words: list[str], rng: random.Random) -> list[str]:
    return words[-1:] * 4


NOISE: dict[str, Callable[[list[str], random.Random], str]] = {
    "none": _unchanged,
    "URL or e-mail address": _inserted(_address),
    "number": _inserted(_number),
    "placeholder": _inserted(_placeholder),
    "repetition": _inserted(_repetition),
}

if __name__ == "__main__":
    main()
