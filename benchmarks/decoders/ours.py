"""This toolkit's search, with a model that was prepared as `nmt translate` does it."""

import math
from pathlib import Path
from typing import Any

import torch

from benchmarks.decoders.answering import END, Decode, Rows, serve
from nmt_cli.commands.translators import TranslatorOptions, open_translator
from nmt_cli.decoding.rules import MinimumLength
from nmt_cli.decoding.search.beam import beam_search
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.devices import arithmetic
from nmt_cli.recipe.decoding import BeamSettings


def load(settings: dict[str, Any]) -> Decode:
    precision = settings["precision"]
    overrides = [] if precision == "fp32" else [f"decoding.precision={precision}"]
    searcher = open_translator(TranslatorOptions([Path(settings["model"])], overrides))._searcher
    searcher.model.eval()

    def decode(rows: Rows, length: int, beam: int) -> None:
        sentences = [Sentence(line, row[:-1]) for line, row in enumerate(rows, 1)]  # search adds the end itself
        forced = of_length(length, beam, torch.tensor([len(row) for row in rows], device=searcher.device))
        with arithmetic(searcher.device, searcher.precision):
            source = searcher.source(sentences)
            found = beam_search(searcher.model, source, forced, [MinimumLength(length, END)], sentences)
        assert all(len(hypotheses[0].tokens) == length - 1 for hypotheses in found)

    return decode


def of_length(length: int, beam: int, lengths: torch.Tensor) -> BeamSettings:
    """Settings under which search takes exactly `length` steps, the last for an end, which a rule then forbids.

    The ratio is a tensor, which the schema does not allow, since sources of one batch differ in length.
    """
    beyond = length - 1 - 10
    ratio = (beyond + math.copysign(0.5, beyond)) / (lengths - 1).double()
    return BeamSettings(beam_size=beam).model_copy(update={"max_length_ratio": ratio})


if __name__ == "__main__":
    serve(load)
