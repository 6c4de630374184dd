"""What is left out of training corpora: filters that judge one pair alone, and those that look at all of them."""

from nmt_cli.data.filters.assembly import Sifted, build_filters, sift
from nmt_cli.data.filters.contract import By, KeyFilter, LocalFilter, Rows
from nmt_cli.data.filters.first_of_each import first_of_each
from nmt_cli.data.filters.held_out import OVERLAP, HeldOut

__all__ = [
    "OVERLAP",
    "By",
    "HeldOut",
    "KeyFilter",
    "LocalFilter",
    "Rows",
    "Sifted",
    "build_filters",
    "first_of_each",
    "sift",
]
