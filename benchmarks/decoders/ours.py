"""The search of this toolkit, on a model prepared as by `nmt translate`."""

from pathlib import Path
from typing import Any

from benchmarks.decoders.answering import Decode, Rows, serve
from nmt_cli.commands.translators import open_translator
from nmt_cli.decoding.requests import TranslateOptions
from nmt_cli.decoding.search.strategies import BeamStrategy
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.section import MAX_COUNT


def load(settings: dict[str, Any]) -> Decode:
    options = TranslateOptions((Path(settings["model"]),), (f"decoding.precision={settings['precision']}",))
    generator = open_translator(options).generator

    def decode(rows: Rows, length: int, beam: int) -> None:
        sentences = [SentenceInput(line, row[:-1]) for line, row in enumerate(rows, 1)]  # search appends eos itself
        found = generator.search(sentences, BeamStrategy(of_length(length, beam)))
        assert all(len(hypotheses[0].tokens) == length - 1 for hypotheses in found)

    return decode


def of_length(length: int, beam: int) -> BeamSettings:
    """Return settings with which search takes exactly `length` steps, eos included, for one batch."""
    return BeamSettings(beam_size=beam, min_length=length - 1, max_length=length - 1, batch_tokens=MAX_COUNT)


if __name__ == "__main__":
    serve(load)
