"""The base class of recipe sections and the types of their fields."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WrapValidator, model_validator

MAX_COUNT = 10**12
"""Upper bound of counts: above any sensible value and well within 64 bits."""


NO_SPACES = r"^\S+$"
"""Pattern of text without spaces."""

RESERVED_TOKEN = re.compile(r"<(pad|unk|s|/s|0x[0-9A-F]{2})>")
"""Tokens that tokenizers reserve."""

Conflicts = Iterator[tuple[str | tuple[str | int, ...], str]]
"""Keys below a section, dotted or as tuples, whose values contradict others, each with a message."""


class Section(BaseModel):
    """A section of a recipe: frozen, without unknown keys, and without implicit type conversion."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def conflicts(self) -> Conflicts:
        """Yield the keys of values that contradict others, with messages. Only the first one is reported."""
        yield from ()

    @model_validator(mode="after")
    def check_conflicts(self) -> Self:
        """Raise CrossFieldError if values contradict each other."""
        for key, message in self.conflicts():
            raise CrossFieldError(tuple(key.split(".")) if isinstance(key, str) else key, message)
        return self


class CrossFieldError(ValueError):
    """Values that contradict each other. `key` is the path of the wrong value below the validated section."""

    def __init__(self, key: tuple[str | int, ...], message: str) -> None:
        super().__init__(f"{'.'.join(map(str, key))}: {message}")
        self.key, self.message = key, message


def default_tag(key: str, default: str) -> BeforeValidator:
    """Return a validator that fills in the discriminator `key` of a section if it is missing."""
    return BeforeValidator(lambda given: {key: default} | given if isinstance(given, dict) else given)


def _file_name(value: Any) -> Any:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("must be a file name, neither empty nor with a NUL byte")
    return value


File = Annotated[Path, Field(strict=False), BeforeValidator(_file_name)]
"""A path, relative to the working directory."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""The name of a corpus or test set, also used as a folder name."""

Language = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]


def _count_or_auto(value: Any, _validate_both: Any) -> Any:
    # A plain union would report two errors, one of them that the value is not "auto".
    return value if value == "auto" else _COUNT.validate_python(value, strict=True)


_COUNT: TypeAdapter[int] = TypeAdapter(Count)
CountOrAuto = Annotated[Count | Literal["auto"], WrapValidator(_count_or_auto)]
