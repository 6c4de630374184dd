"""Search strategies: a model's scores → hypotheses."""

from collections.abc import Callable, Sequence
from typing import Any

from nmt_cli.decoding.rules import Rule
from nmt_cli.decoding.search.beam import beam_search
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.search.sampling import sample
from nmt_cli.decoding.sentences import Sentence
from nmt_cli.models.contract import Model, ModelInputs
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings

Strategy = Callable[[Model, ModelInputs, Any, Sequence[Rule], Sequence[Sentence]], list[list[Hypothesis]]]
"""Finds the best hypotheses of each sentence, by a model, sources [B], settings, rules and the sentences."""

STRATEGIES: dict[type[SearchSettings], Strategy] = {BeamSettings: beam_search, SamplingSettings: sample}
