"""Compare translating lines with several sentences whole and sentence by sentence.

    python benchmarks/long_lines.py runs/multi30k_transformer --source test2016.en --reference test2016.de

The first --lines lines of a test set are joined with spaces, several at a time, and translated with different settings
of decoding.split_sentences_above (`none`: whole). BLEU is sacreBLEU's, of joined translations and references.
"""

import argparse
from pathlib import Path

import sacrebleu

from nmt_cli.commands.loading import load_model
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.translator import Translator
from nmt_cli.text.lines import read_lines


def main() -> None:
    """Print a Markdown table: a row for each number of joined sentences, a column for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=600)
    parser.add_argument("--joined", type=int, nargs="+", default=[1, 2, 3, 5, 10])
    parser.add_argument("--split-sentences-above", nargs="+", default=["none", "40", "30", "20", "10", "0"])
    given = parser.parse_args()
    loaded = load_model(given.model)
    sources, references = (list(read_lines(path))[: given.lines] for path in (given.source, given.reference))
    limits = given.split_sentences_above
    print(f"| sentences in a line | {' | '.join(limits)} |\n|--:|{'--:|' * len(limits)}")
    for number in given.joined:
        cells = []
        for above in limits:
            settings = loaded.decoding.model_copy(
                update={"split_sentences_above": None if above == "none" else int(above)}
            )
            translator = Translator(loaded.model, loaded.tokenizer, settings, loaded.device)
            found = [each.best.text for each in translator.translate(map(Request, joined(sources, number)))]
            bleu = sacrebleu.corpus_bleu(found, [joined(references, number)])
            cells.append(f"{bleu.score:.2f} ({bleu.sys_len / bleu.ref_len:.2f})")
        print(f"| {number} | {' | '.join(cells)} |", flush=True)


def joined(lines: list[str], number: int) -> list[str]:
    """Join every `number` consecutive lines."""
    return [" ".join(lines[first : first + number]) for first in range(0, len(lines), number)]


if __name__ == "__main__":
    main()
