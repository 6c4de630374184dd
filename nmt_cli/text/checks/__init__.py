"""Check translations for probable errors from source and output alone; used for output and for training pairs."""

from dataclasses import dataclass
from typing import Literal

Problem = Literal["loop", "length", "number", "url", "email", "placeholder", "tag", "copied", "script", "toxicity"]


@dataclass(frozen=True)
class TranslationFinding:
    """A probable error in a translation."""

    problem: Problem
    description: str
    """In words, such as `12.5 is lost`."""
    lost: str = ""
    """Text of the source that the translation should contain verbatim."""
