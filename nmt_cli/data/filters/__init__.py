"""Filters of training corpora: those that judge each pair alone, and those that compare all pairs by key."""

from nmt_cli.data.filters.dedup import first_occurrences
from nmt_cli.data.filters.overlap import OVERLAP, HeldOutKeys
from nmt_cli.data.filters.pipeline import FilterPipeline, FilterResult, KeyFilter, LocalFilter, build_filters

__all__ = [
    "OVERLAP",
    "FilterPipeline",
    "FilterResult",
    "HeldOutKeys",
    "KeyFilter",
    "LocalFilter",
    "build_filters",
    "first_occurrences",
]
