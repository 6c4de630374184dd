"""The settings by which an exported language model generates text, in the terms of the program that reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nmt_cli.interop.exporting.model import ExportedModel
from nmt_cli.recipe.decoding import BeamSettings, MbrSettings, SamplingBaseSettings, StepwiseSettings

_OF_ALL = ("min_length", "no_repeat_ngram_size")
_OF_SAMPLING = (*_OF_ALL, "temperature", "top_k", "top_p", "min_p", "epsilon")
_OF_GREEDY_SEARCH = (*_OF_ALL, "beam_size")
_OF_BEAM_SEARCH = (*_OF_GREEDY_SEARCH, "length_penalty", "early_stopping", "num_beam_groups")
"""Settings that change continuations. The maximum length is an argument of the example."""
_OFF: Mapping[str, Any] = {"top_k": 0, "top_p": 1.0}
"""Values for null in programs with other defaults."""


@dataclass(frozen=True)
class ProgramSettings:
    """The settings of `decoding` that a program has."""

    names: Mapping[str, str]
    """The program's name of each."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Further settings with the only value that the program has."""

    def translated(self, exported: ExportedModel) -> dict[str, Any]:
        """Return the settings of a model in the terms of the program."""
        given = _given(exported)
        values = {name: getattr(given, name) for name in _relevant(given) if name in self.names}
        values = {name: _OFF.get(name) if value is None else value for name, value in values.items()}
        return {self.names[name]: value for name, value in values.items() if value is not None}

    def unsupported(self, exported: ExportedModel) -> list[str]:
        """Return the settings of a model that the program does not have, such as `decoding.min_p: 0.1`."""
        given = _given(exported)
        found = ["decoding.strategy: mbr"] if isinstance(given, MbrSettings) else []
        for name in _relevant(given):
            value, default = getattr(given, name), type(given).model_fields[name].default
            if name not in self.names and value != self.fixed.get(name, default):
                found.append(f"decoding.{name}: {value}")
        return found


def samples(exported: ExportedModel) -> bool:
    """Return whether a language model samples tokens. One with minimum Bayes risk decoding samples its candidates."""
    return isinstance(_given(exported), SamplingBaseSettings)


def _given(exported: ExportedModel) -> StepwiseSettings:
    return exported.decoding if exported.generation is None else exported.generation


def _relevant(given: StepwiseSettings) -> tuple[str, ...]:
    if not isinstance(given, BeamSettings):
        return _OF_SAMPLING
    return _OF_BEAM_SEARCH if given.beam_size > 1 else _OF_GREEDY_SEARCH
