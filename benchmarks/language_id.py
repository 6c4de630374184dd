"""Measure how many lines the language identifier takes for another language, and how many foreign lines it finds.

    python benchmarks/language_id.py FOLDER

FOLDER holds files `NAME.CODE.txt` of parallel lines, such as those of NTREX-128, one of them in English.
"""

import math
import sys
from itertools import islice
from pathlib import Path

from nmt_cli.text.language_id import line_identifier
from nmt_cli.text.lines import read_lines

_FOREIGN = "eng-GB"
_MAX_LINES = 500
"""Lines of each file."""


def main(folder: Path) -> None:
    """Print the fraction of each language's own lines, and of English ones in its place, that are told."""
    identifier = line_identifier()
    texts = {
        path.name.split(".")[-2]: list(islice(read_lines(path), _MAX_LINES)) for path in sorted(folder.glob("*.txt"))
    }
    unknown = [code for code in texts if not identifier.knows(code)]
    rows = list[tuple[float, float, str]]()
    for code, lines in texts.items():
        if code in unknown:
            continue
        own = sum(bool(identifier.other_language(line, code)) for line in lines) / len(lines)
        foreign = sum(bool(identifier.other_language(line, code)) for line in texts[_FOREIGN]) / len(texts[_FOREIGN])
        rows.append((own, math.nan if code.startswith("eng") else foreign, code))
    print(f"{len(rows)} texts in languages that are known.")
    print(f"Own lines told: at most {max(rows)[0]:.2%}, on average {sum(row[0] for row in rows) / len(rows):.3%}.")
    print(f"English lines told: at least {min(row[1] for row in rows if not math.isnan(row[1])):.1%}.\n")
    print("| most own lines told | own | English |\n|---|---|---|")
    for own, foreign, code in sorted(rows, reverse=True)[:10]:
        print(f"| {code} | {own:.2%} | {'' if math.isnan(foreign) else f'{foreign:.1%}'} |")
    print(f"\nNot known, so never told: {', '.join(unknown)}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
