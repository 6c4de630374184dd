"""What a check found, in words for whoever wrote the recipe."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "fact"]


@dataclass(frozen=True)
class Finding:
    """Something worth knowing before training."""

    level: Level
    """error: it will not work; warning: it will work badly, most likely; fact: good to know."""
    check: str
    """Which check found it, such as `files`, `languages` or `leaks`."""
    where: str
    """The key of the recipe that it is about, such as `data.train.news`."""
    what: str
    """What is so, with its numbers."""
    advice: str = ""
    """What to do about it."""

    @property
    def is_of_recipe(self) -> bool:
        """Whether the recipe's settings are wrong, rather than the text."""
        return not self.where.startswith("data.")


def share(part: float, whole: float) -> str:
    """A part of a whole in percent, such as 3.4 %, and never 0 % or 100 % if it is not exactly that."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "less than 0.1 %"
    if 99.9 < percent < 100:
        return "more than 99.9 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"
