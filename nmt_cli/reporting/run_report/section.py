"""A part of a page: what it shows, or one sentence on why it shows nothing."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Section:
    """A heading and, below it, `template` filled with `content`."""

    title: str
    template: str
    content: Any

    @property
    def anchor(self) -> str:
        """What a link to it says."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True)
class Fact:
    """A name and what there is to say of it."""

    name: str
    value: str
    note: str = ""


def absent(title: str, why: str) -> Section:
    """A section that has nothing to show."""
    return Section(title, "absent.html.j2", why)
