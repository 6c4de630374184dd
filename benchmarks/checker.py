"""What the checker finds and mends, on a validation set as it is and with noise put in, and what that does to BLEU.

    python benchmarks/checker.py runs/multi30k_transformer --source valid.en --reference valid.de

Noise goes to a random place of each line: a URL or an e-mail address, a number, a placeholder, or a word said four more
times. Each kind is translated with --no-check and with checks; BLEU is sacreBLEU's, against the references of the lines
without noise; URLs, addresses and placeholders are taken out of the translations first. Below stands how many
references the checks would blame: false alarms.
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
from nmt_cli.decoding.translator import Translation
from nmt_cli.text.checks import Checker
from nmt_cli.text.checks.preserved import without_preserved
from nmt_cli.text.lines import read_lines

Chance = random.Random


def main() -> None:
    """Print a table in Markdown: a row for each kind of noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--noise", nargs="+", choices=list(NOISE), default=list(NOISE))
    given = parser.parse_args()
    sources, references = (list(read_lines(path))[: given.lines] for path in (given.source, given.reference))
    print("| noise | lines that fail | of them mended | left | BLEU without checks | with | seconds without | with |")
    print("|:--|--:|--:|:--|--:|--:|--:|--:|", flush=True)
    for name in given.noise:
        chance = Chance(f"{name}")
        noisy = [NOISE[name](source.split(), chance) for source in sources]
        plain, seconds = translated(given.model, noisy, check=False)
        checked, longer = translated(given.model, noisy, check=True)
        left = Counter(finding.problem for each in checked for finding in each.problems)
        mended = sum(each.mended and not each.problems for each in checked)
        failed = mended + sum(bool(each.problems) for each in checked)
        shown = ", ".join(f"{problem} {count}" for problem, count in left.most_common()) or "none"
        scores = [bleu(each, references) for each in (plain, checked)]
        print(
            f"| {name} | {failed} of {len(noisy)} | {mended} | {shown} | {scores[0]:.2f} | {scores[1]:.2f} "
            f"| {seconds:.1f} | {longer:.1f} |",
            flush=True,
        )
    config = load_model(given.model).config
    check = Checker(config.source_language, config.target_language)
    blamed = sum(bool(check(*pair)) for pair in zip(sources, references, strict=True))
    print(f"\nOf {len(sources)} references {blamed} are blamed.")


def translated(model: Path, lines: Iterable[str], check: bool) -> tuple[list[Translation], float]:
    """Translations, and the seconds that they took."""
    loaded = load_model(model)
    translator = create_translator(replace(loaded, decoding=loaded.decoding.model_copy(update={"check": check})))
    started = time.perf_counter()
    return list(translator.translate(map(Request, lines))), time.perf_counter() - started


def bleu(translations: Iterable[Translation], references: list[str]) -> float:
    """sacreBLEU's score of what is left when URLs and the like are taken out, which the references do not have."""
    return sacrebleu.corpus_bleu([without_preserved(each.best.text) for each in translations], [references]).score


def _unchanged(words: list[str], chance: Chance) -> str:
    return " ".join(words)


def _inserted(choose: Callable[[list[str], Chance], list[str]]) -> Callable[[list[str], Chance], str]:
    def insert(words: list[str], chance: Chance) -> str:
        place = chance.randrange(1, max(2, len(words)))
        return " ".join([*words[:place], *choose(words[:place], chance), *words[place:]])

    return insert


def _address(words: list[str], chance: Chance) -> list[str]:
    name = "".join(filter(str.isalnum, chance.choice(words).lower())) or "a"
    return [chance.choice([f"http://www.{name}.example/{chance.randrange(1000)}", f"{name}@mail.example"])]


def _number(words: list[str], chance: Chance) -> list[str]:
    return [
        chance.choice([str(chance.randrange(25, 99)), str(chance.randrange(100, 3000)), f"{chance.randrange(25)}.7"])
    ]


def _placeholder(words: list[str], chance: Chance) -> list[str]:
    return [chance.choice(["{name}", "%s", "%1$d", "__X__", "{0}"])]


def _repetition(words: list[str], chance: Chance) -> list[str]:
    return words[-1:] * 4


NOISE: dict[str, Callable[[list[str], Chance], str]] = {
    "none": _unchanged,
    "URL or e-mail address": _inserted(_address),
    "number": _inserted(_number),
    "placeholder": _inserted(_placeholder),
    "repetition": _inserted(_repetition),
}

if __name__ == "__main__":
    main()
