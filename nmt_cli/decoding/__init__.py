"""Scores → text: search strategies, rules, translator."""

from collections.abc import Callable, Sequence
from typing import Any

from nmt_cli.decoding.beam import beam_search
from nmt_cli.decoding.hypotheses import Hypothesis
from nmt_cli.decoding.rules import Rule
from nmt_cli.decoding.sampling import sample
from nmt_cli.models.contract import Source, TranslationModel
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

Strategy = Callable[[TranslationModel, Source, Any, Sequence[Rule], Sequence[int]], list[list[Hypothesis]]]
"""Finds the best hypotheses of each sentence; also told, after settings and rules, the sentences' numbers."""

STRATEGIES: dict[type[SearchSettings], Strategy] = {BeamSettings: beam_search, SamplingSettings: sample}
