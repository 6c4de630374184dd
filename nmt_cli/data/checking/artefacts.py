"""Check of a corpus for traces of other programs and formats."""

from nmt_cli.data.checking import DataFinding, percentage
from nmt_cli.data.checking.sampling import CorpusSample
from nmt_cli.text.artefacts import ARTEFACTS, TOKENISED

_MIN_LINES = 3


def check_artefacts(corpus: CorpusSample) -> list[DataFinding]:
    """Report sides with many lines that are not plain text."""
    findings = []
    for side, lines in corpus.sides.items():
        for artefact in (*ARTEFACTS, TOKENISED):
            count = artefact.count(lines)
            if count >= max(_MIN_LINES, artefact.min_fraction * len(lines)):
                message = f"{percentage(count, len(lines))} of the {side} lines contain {artefact.name}"
                findings.append(DataFinding("warning", "artefacts", corpus.name, message, artefact.remedy))
    return findings
