"""One of several jobs' part of some work, as `--shard 2/8` says it."""

import re
from dataclasses import dataclass
from typing import Self

from nmt_cli.errors import RecipeError


@dataclass(frozen=True)
class Part:
    """Part `number`, counted from 1, of `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2/8`."""
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
        part = cls(*map(int, found.groups())) if found else None
        if part is None or not 1 <= part.number <= part.count:
            raise RecipeError(f"--shard {text}: is not a part; give i/n with i from 1 to n, as 2/8")
        return part

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


ALL = Part(1, 1)
"""The whole."""
