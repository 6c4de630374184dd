"""The base class of recipe sections and the types of their fields."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, TypeAdapter, WrapValidator

MAX_COUNT = 10**12
"""Upper bound of counts: above any sensible value and well within 64 bits."""


NO_SPACES = r"^\S+$"
"""Pattern of text without spaces."""

RESERVED_TOKEN = re.compile(r"<(pad|unk|s|/s|0x[0-9A-F]{2})>")
"""Tokens that tokenizers reserve."""


class Section(BaseModel):
    """A section of a recipe: frozen, without unknown keys, and without implicit type conversion."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class CrossFieldError(ValueError):
    """Values that contradict each other. `key` is the path of the wrong value below the validated section."""

    def __init__(self, key: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.key = key


def discriminator(key: str, default: str) -> Discriminator:
    """Return a discriminator that selects the class of a section by the value of `key`, `default` if it is missing."""

    def tag(settings: Any) -> str:
        if isinstance(settings, Section):
            return str(getattr(settings, key, default))
        return str(settings.get(key, default)) if isinstance(settings, dict) else default

    return Discriminator(tag)


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
