"""Parallel work on one machine, in a pool of processes, and on several, by shards."""

import re
from dataclasses import dataclass
from typing import Self

from nmt_cli.errors import RecipeError


@dataclass(frozen=True)
class ShardSpec:
    """Shard `index` of `count`; indices are 1-based.

    >>> ShardSpec.parse("2/8")
    ShardSpec(index=2, count=8)
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `I/N`, such as `2/8`. Raise RecipeError if it is not of this form or out of range."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        shard = cls(*map(int, found.groups())) if found else None
        if shard is None or not 1 <= shard.index <= shard.count:
            raise RecipeError(f"--shard {text}: is not I/N with I from 1 to N, such as 2/8")
        return shard

    @classmethod
    def parse_or_all(cls, text: str | None) -> Self:
        """Parse `I/N`; None stands for all of the work."""
        return cls(1, 1) if text is None else cls.parse(text)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


ALL_SHARDS = ShardSpec(1, 1)
"""All of the work."""
