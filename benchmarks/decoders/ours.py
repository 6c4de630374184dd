"""This toolkit's search, on a model that is loaded as `nmt translate` does it."""

import math
from pathlib import Path
from typing import Any

import torch

from benchmarks.decoders.answering import END, Decode, Rows, serve
from nmt_cli.commands.loading import load_model
from nmt_cli.decoding.rules import MinimumLength
from nmt_cli.decoding.search.beam import beam_search
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.devices import arithmetic
from nmt_cli.models.contract import Source
from nmt_cli.recipe.decoding import BeamSettings


def load(settings: dict[str, Any]) -> Decode:
    assert settings["precision"] != "int8", "int8 is not there yet"
    loaded = load_model(Path(settings["model"]))

    def decode(rows: Rows, length: int, beam: int) -> None:
        lengths = [len(row) for row in rows]
        longest = max(lengths)
        tokens = torch.tensor([row + [END] * (longest - len(row)) for row in rows], device=loaded.device)
        known = torch.tensor(lengths, device=loaded.device)
        source = Source(tokens, known if min(lengths) < longest else None)
        sentences = [Sentence(line, row[:-1]) for line, row in enumerate(rows, 1)]
        with arithmetic(loaded.device, settings["precision"]):
            found = beam_search(
                loaded.model, source, of_length(length, beam, known), [MinimumLength(length, END)], sentences
            )
        assert all(len(hypotheses[0].tokens) == length - 1 for hypotheses in found)

    return decode


def of_length(length: int, beam: int, lengths: torch.Tensor) -> BeamSettings:
    """Settings under which search takes exactly `length` steps, the last for an end that a rule then forbids.

    The ratio is a tensor, which the schema does not allow, since sources of one batch differ in length.
    """
    beyond = length - 1 - 10
    ratio = (beyond + math.copysign(0.5, beyond)) / (lengths - 1).double()
    return BeamSettings(beam_size=beam).model_copy(update={"max_length_ratio": ratio})


if __name__ == "__main__":
    serve(load)
