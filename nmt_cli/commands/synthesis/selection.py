"""Filter pairs with a side that a model made: as the recipe filters its corpora, and as translations are checked."""

from pathlib import Path
from typing import Literal

import numpy as np

from nmt_cli.console import Reporter
from nmt_cli.data.filters.pipeline import FilterPipeline
from nmt_cli.data.preparation.manifest import drop_stats
from nmt_cli.data.preparation.preparing import held_out_keys
from nmt_cli.data.preparation.text_selection import LineStats
from nmt_cli.data.reading.examples import Examples
from nmt_cli.errors import DataError
from nmt_cli.recipe.filters import Filter, ScoreFilter
from nmt_cli.recipe.schema import Recipe
from nmt_cli.reporting.data_report import describe_drops
from nmt_cli.text.checks.checker import Checker

_CHECKER = "checker."
"""Prefix of the reason of a dropped pair; the rest is the problem that the checker found."""


class PairSelection:
    """Keeps the good ones of many pairs and counts the others by reason.

    Filters that compare pairs with each other do nothing here; `nmt preprocess` applies them to all corpora together.
    """

    def __init__(self, recipe: Recipe, translated: Literal["source", "target"], min_score: float | None) -> None:
        """Create a selection.

        Args:
            translated: The side that a model made.
            min_score: Minimum score of a translation; None: any.
        """
        data, normalization = recipe.data, recipe.tokenizer.normalization
        languages = (data.source_language, data.target_language)
        filters: list[Filter] = [
            each for each in data.filters if not isinstance(each, ScoreFilter) or each.command is not None
        ]  # the scores of the recipe's own corpora are of another kind
        if min_score is not None:
            filters.append(ScoreFilter(min=min_score))
        self._pipeline = FilterPipeline(filters, languages, held_out_keys(recipe, normalization), normalization)
        self._is_source = translated == "source"
        self._check = Checker(*(languages[::-1] if self._is_source else languages))
        self.stats = LineStats()

    def select(self, pairs: Examples) -> Examples:
        """Return the pairs to keep, not normalised. Their column `score` has the scores of the translations."""
        result = self._pipeline.apply(pairs)
        for reason, indices in result.dropped.items():
            self.stats.drops.add(reason, len(indices), pairs.dropped(indices))
        mask = np.zeros(len(pairs), np.bool_)
        mask[result.indices] = True
        for index in result.indices.tolist():
            sides = (pairs.sources[index], pairs.targets[index])
            if findings := self._check(*(sides[::-1] if self._is_source else sides)):
                mask[index] = False
                self.stats.drops.add(_CHECKER + findings[0].problem, 1, pairs.dropped(np.array([index])))
        self.stats.num_read += len(pairs)
        self.stats.num_kept += int(mask.sum())
        return pairs.select(mask)

    def require_any(self, output: Path) -> None:
        """Raise DataError if no pair was kept for `output`."""
        if not self.stats.num_kept:
            counts = self.stats.drops.counts.most_common()
            why = ", ".join(f"{count:,} {reason}" for reason, count in counts)
            raise DataError(f"{output}: 0 usable pairs of {self.stats.num_read:,} ({why})")

    def report(self, name: str, reporter: Reporter) -> None:
        """Report which pairs were dropped."""
        reasons = {each.name: each.description for each in self._pipeline.local_filters}
        for reason in self.stats.drops.counts:
            if reason.startswith(_CHECKER):
                reasons[reason] = f"the check of translations finds `{reason.removeprefix(_CHECKER)}`"
        for line in describe_drops(name, "pairs", self.stats.num_read, drop_stats(self.stats.drops, reasons)):
            reporter.info(line)
