"""Highest scores that a normalisation allows: normalise, tokenise and detokenise references, and score them.

    python benchmarks/round_trip.py NTREX/NTREX-128 > benchmarks/results/round_trip.md

The folder has files *-ref.LANGUAGE.txt. For each language a tokenizer with default settings is trained on the file, and
its lines are scored against the raw ones, by the default tokenizer of BLEU for the language. The same with NFKC, which
was the default before. English variants are left out.
"""

import argparse
import re
import sys
from pathlib import Path

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics import score
from nmt_cli.evaluation.target_language import for_language
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import normalize_lines

TARGET = 99.9


def train_tokenizer(lines: list[str]) -> Tokenizer:
    """Train a tokenizer of default settings, with as many subwords as suit 2,000 lines."""
    settings = TokenizerSettings(vocabulary_size=2000)
    lines = normalize_lines(settings.normalization, lines)
    try:
        return Tokenizer.train(settings, [], lines, seed=1)
    except RecipeError as error:  # many characters need more subwords
        size = int(re.findall(r"\d+", str(error))[-1])
        return Tokenizer.train(settings.model_copy(update={"vocabulary_size": size}), [], lines, seed=1)


def best_scores(lines: list[str], after: list[str], language: str) -> str:
    """Return the percentage of lines that differ, and BLEU and chrF of `after` against `lines`, as table cells."""
    changed = sum(one != other for one, other in zip(lines, after, strict=True))
    if not changed:
        return "0.00 | 100.00 | 100.00"
    bleu, chrf = (
        each.value for each in score(after, [lines], for_language(Evaluation(metrics=["bleu", "chrf"]), language))
    )
    return f"{100 * changed / len(lines):.2f} | {bleu:.2f} | {chrf:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    rows, missed = [], []
    for path in sorted(parser.parse_args().folder.glob("*-ref*.*.txt")):
        language = path.name.split(".")[1]
        if language.startswith("eng"):
            continue
        lines = list(read_lines(path))
        tokenizer = train_tokenizer(lines)
        best = best_scores(lines, tokenizer.decode_target(tokenizer.encode_target(lines)), language)
        if min(map(float, best.split(" | ")[1:])) < TARGET:
            missed.append(language)
        nfkc = best_scores(lines, normalize_lines("nfkc", lines), language)
        name = path.name.removeprefix("newstest2019-").removesuffix(".txt")
        rows.append((float(nfkc.split(" | ")[1]), f"| {name} | {best} | {nfkc} |"))
        print(rows[-1][1], file=sys.stderr)
    print(f"{len(rows)} files; below {TARGET} with the default: {', '.join(missed) or 'none'}\n")
    print("| file | default: % of lines changed | BLEU | chrF | nfkc: % changed | BLEU | chrF |")
    print("|---|---|---|---|---|---|---|", *(row for _, row in sorted(rows)), sep="\n")


if __name__ == "__main__":
    main()
