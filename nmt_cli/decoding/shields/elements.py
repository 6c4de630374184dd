"""A line with what is hidden from the model: the text to translate, and what stood where in it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Element:
    """What comes out exactly once: a tag with its end tag around some text, or a single tag or span."""

    start: int
    end: int
    """The characters of the text that it encloses; none if it stands alone."""
    opening: str
    closing: str = ""
    inner: tuple["Element", ...] = ()
    """Those within it, in their order."""
    spaced: tuple[bool, bool] = (False, False)
    """Of a span that stood between words: whether white space stood before it, and after it."""

    @property
    def is_alone(self) -> bool:
        return not self.closing


@dataclass(frozen=True)
class Hidden:
    """A line whose elements are hidden."""

    text: str
    elements: tuple[Element, ...] = ()
