"""Checks of a recipe's text and settings before training. Each returns findings."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "fact"]


@dataclass(frozen=True)
class DataFinding:
    """A property of the data or the recipe that matters for training."""

    level: Level
    """error: training cannot work; warning: it will probably work badly; fact: information."""
    check: str
    """Name of the check, such as `files`, `languages` or `leaks`."""
    where: str
    """Recipe key, such as `data.train.news`."""
    message: str
    """What was found, with numbers."""
    advice: str = ""
    """What to do about it."""

    @property
    def is_of_recipe(self) -> bool:
        """Whether the settings are wrong, rather than the text."""
        return not self.where.startswith("data.")


def percentage(count: float, total: float) -> str:
    """Format a fraction, such as 3.4 %. 0 % and 100 % are exact."""
    percent = 100 * count / total if total else 0.0
    if 0 < percent < 0.1:
        return "less than 0.1 %"
    if 99.9 < percent < 100:
        return "more than 99.9 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"
