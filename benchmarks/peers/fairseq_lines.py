"""Translate lines with fairseq and keep only the translations, in order.

python -P fairseq_lines.py OUTPUT OPTIONS-OF-FAIRSEQ-INTERACTIVE...
"""

import contextlib
import io
import sys
from pathlib import Path

from fairseq_cli.interactive import cli_main

if __name__ == "__main__":
    output = Path(sys.argv.pop(1))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        cli_main()
    found: dict[int, str] = {}
    for line in said.getvalue().split("\n"):
        if line.startswith("H-"):
            number, _, text = line.split("\t")
            found[int(number.removeprefix("H-"))] = text
    output.write_text("".join(f"{found[number]}\n" for number in sorted(found)))
