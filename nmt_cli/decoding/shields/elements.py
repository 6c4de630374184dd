"""A line with what is hidden from the model: the text to translate, and what stood where in it."""

from dataclasses import dataclass
from typing import Literal

Beside = Literal["next", "previous", "first", "last"]
"""A span goes before the answer to the next word, behind that to the previous one, or to an end of the line."""


@dataclass(frozen=True)
class Element:
    """What comes out exactly once: a tag with its end tag around some text, a single tag, or spans in a row."""

    start: int
    end: int
    """The characters of the text that it encloses; none if it stands alone."""
    opening: str
    closing: str = ""
    inner: tuple["Element", ...] = ()
    """Those within it, in their order."""
    beside: Beside | None = None
    """Of spans: what they go with in the translation."""
    touches: tuple[bool, bool] = (True, True)
    """Of spans: whether they touched a word before them, and one after them."""

    @property
    def is_alone(self) -> bool:
        return not self.closing


@dataclass(frozen=True)
class Hidden:
    """A line whose elements are hidden."""

    text: str
    elements: tuple[Element, ...] = ()
