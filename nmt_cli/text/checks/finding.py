"""What a check says: the kind of problem, and what it is about."""

from dataclasses import dataclass
from typing import Literal

Problem = Literal["loop", "length", "number", "url", "email", "placeholder", "tag", "copied", "script"]


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong with a translation."""

    problem: Problem
    about: str
    """In words, such as `12.5 is lost`."""
    lost: str = ""
    """What the translation would have to hold, letter by letter."""
