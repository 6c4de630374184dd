"""The base class of recipe sections and the types of their fields."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

_MAX_NAME_BYTES = 255
"""Longest name in a folder that Linux and macOS allow."""
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

    @classmethod
    def dependent_defaults(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return defaults that differ from those of the fields, so that they fit the values that are given.

        The values are not validated yet.
        """
        return {}

    @model_validator(mode="wrap")
    @classmethod
    def fill_in_defaults(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Add `dependent_defaults` to the settings of a section; they do not count as given."""
        if not isinstance(given, dict):
            return validate(given)
        defaults = cls.dependent_defaults(given)
        section = validate({**defaults, **given})
        section.model_fields_set.intersection_update(given)
        return section

    def gives(self, key: str) -> bool:
        """Return whether a dotted key below this section was written by the user, rather than filled in by default."""
        name, _, rest = key.partition(".")
        return name in self.model_fields_set and (not rest or bool(getattr(self, name).gives(rest)))

    def value(self, key: str) -> Any:
        """Return the value of a dotted key."""
        return reduce(getattr, key.split("."), self)

    def with_value(self, key: str, value: Any) -> Self:
        """Return the section with another value for a dotted key. It then counts as given."""
        name, _, rest = key.partition(".")
        return self.model_copy(update={name: getattr(self, name).with_value(rest, value) if rest else value})

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


def default_discriminator(key: str, default: str | Callable[[Mapping[str, Any]], str]) -> WrapValidator:
    """Return a validator that fills in the discriminator `key` of a section if it is missing.

    A discriminator filled in this way does not count as given. `default` may be a function of the settings that precede
    the section in its parent.
    """

    def fill_in(given: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if not isinstance(given, dict) or key in given:
            return validate(given)
        section = validate({key: default if isinstance(default, str) else default(info.data or {})} | given)
        section.model_fields_set.discard(key)
        return section

    return WrapValidator(fill_in)


def _file_name(value: Any) -> Any:
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("must be a file name, neither empty nor with a NUL byte")
    if isinstance(value, str) and any(
        len(part.encode(errors="surrogatepass")) > _MAX_NAME_BYTES for part in value.split("/")
    ):
        raise ValueError(f"must have names of at most {_MAX_NAME_BYTES} bytes")
    return value


File = Annotated[Path, Field(strict=False), BeforeValidator(_file_name)]
"""A path, relative to the working directory."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Name = Annotated[str, Field(pattern=_NAME)]
"""The name of a corpus, test set, tag, factor or external metric, also used as a file name."""

_LANGUAGE = r"^[A-Za-z][A-Za-z0-9_-]*$"
Language = Annotated[str, Field(pattern=_LANGUAGE)]
_LICENCE = r"^[A-Za-z0-9.+-]{1,64}$"
Licence = Annotated[str, Field(pattern=_LICENCE)]
PATTERNS = {
    NO_SPACES: "text without spaces",
    _NAME: "a name of letters, digits, `.`, `-` and `_`, such as news-2016",
    _LANGUAGE: "a code of letters, digits, `-` and `_`, such as en",
    _LICENCE: "a licence of at most 64 letters, digits, `.`, `+` and `-`, such as cc-by-4.0",
}
"""Description of the text that matches each pattern, in Markdown."""
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]


def _count_or_auto(value: Any, _validate_both: Any) -> Any:
    # A plain union would report two errors, one of them that the value is not "auto".
    return value if value == "auto" else _COUNT.validate_python(value, strict=True)


_COUNT: TypeAdapter[int] = TypeAdapter(Count)
CountOrAuto = Annotated[Count | Literal["auto"], WrapValidator(_count_or_auto)]

LengthClass = Literal["short", "normal", "long"]
"""Length of a translation relative to its source, as classified by `data.length_tags`."""
LENGTH_CLASSES: tuple[LengthClass, ...] = get_args(LengthClass)
LENGTH_PREFIX = "length:"
"""Beginning of the names of length tags. Names of corpora, which can be tags, contain no colon."""

SearchKind = Literal["step", "ctc"]
"""What a search needs of a model: that it predicts token by token, or all tokens at once."""
