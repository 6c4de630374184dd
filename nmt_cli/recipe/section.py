"""What every section of a recipe has in common, and the types its fields are made of."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, TypeAdapter, WrapValidator

MAX_COUNT = 10**12
"""Above any count that makes sense, and well within 64 bits."""


NO_SPACES = r"^\S+$"
"""Pattern of text that is one word."""

SPECIAL = re.compile(r"<(pad|unk|s|/s|0x[0-9A-F]{2})>")
"""Tokens that every tokenizer has, or may have, for purposes of its own."""


class Section(BaseModel):
    """A part of a recipe: frozen, every key known, no value silently converted to another type."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class CrossFieldError(ValueError):
    """Values that do not go together: what is wrong, and with which key below the section that is checked."""

    def __init__(self, key: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.key = key


def discriminator(key: str, default: str) -> Discriminator:
    """Which class of a union a section is: the one with the tag that `key` says, or `default` if it is left out."""

    def tag(given: Any) -> str:
        if isinstance(given, Section):
            return str(getattr(given, key, default))
        return str(given.get(key, default)) if isinstance(given, dict) else default

    return Discriminator(tag)


def _file_name(value: Any) -> Any:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("must be a file name, not empty and without a zero byte")
    return value


File = Annotated[Path, Field(strict=False), BeforeValidator(_file_name)]
"""A path, relative to the working directory."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""The name of a corpus or test set; it becomes a folder."""

Language = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]


def _count_or_auto(value: Any, _validate_both: Any) -> Any:
    # A union would tell two mistakes, of which one is that the value is not "auto".
    return value if value == "auto" else _COUNT.validate_python(value, strict=True)


_COUNT: TypeAdapter[int] = TypeAdapter(Count)
CountOrAuto = Annotated[Count | Literal["auto"], WrapValidator(_count_or_auto)]
