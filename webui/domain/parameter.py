"""How one parameter of a request is declared: its label, its bounds, what it is called in a picture's infotext."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from webui.errors import InvalidRequest

MOST_NAMES = 100  # in a list

_NOUNS: Mapping[type, str] = MappingProxyType(
    {int: "a whole number", float: "a number", str: "text", bool: "true or false", tuple: "a list of names"}
)


@dataclass(frozen=True)
class Parameter:
    """How one field is shown, bounded and written down.

    ``minimum`` and ``maximum`` are refused beyond; ``slider_maximum`` is where the form's slider ends when
    larger values, though allowed, are rarely wanted. ``infotext`` is the key in the ``parameters`` text of a
    picture (A1111's spelling), or None for what is not written under a key of its own; ``spelled`` is how that
    text says false and true.
    """

    name: str
    label: str
    default: Any
    help: str
    infotext: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    slider_maximum: float | None = None
    choices: tuple[str, ...] | None = None
    spelled: tuple[str, str] = ("False", "True")

    @property
    def type(self) -> type:
        return type(self.default)

    def checked(self, value: Any) -> Any:
        """The value in the parameter's type, or ``InvalidRequest``.

        A whole float is an int, a list is a tuple; nothing else is converted.
        """
        wanted, label = self.type, self.label
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value) if abs(value) < 2**1000 else math.inf  # a whole number can be too large for any float
        if wanted is tuple and isinstance(value, list):
            value = tuple(value)
        if wanted is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, wanted) or isinstance(value, bool) is not (wanted is bool):
            noun = _NOUNS[wanted]
            raise InvalidRequest(f"{label} must be {noun}, not {value!r}.", self.name)
        if isinstance(value, tuple) and not (len(value) <= MOST_NAMES and all(isinstance(name, str) for name in value)):
            raise InvalidRequest(f"{label} must be {_NOUNS[tuple]}, at most {MOST_NAMES}.", self.name)
        if self.choices is not None and value not in self.choices:
            named = ", ".join(choice or '"" (the default)' for choice in self.choices)
            raise InvalidRequest(f"{label} must be one of {named}, not {value!r}.", self.name)
        if self.minimum is not None and self.maximum is not None:
            number: Any = value
            if not self.minimum <= number <= self.maximum:  # written so that it refuses NaN too
                low, high = (int(end) if end == int(end) else end for end in (self.minimum, self.maximum))
                raise InvalidRequest(f"{label} must be between {low} and {high}, not {value}.", self.name)
        return value


def parameter(default: Any, label: str, help: str, **more: Any) -> Any:
    """A field of a request, as a dataclass wants it, with the rest of its :class:`Parameter` record."""
    return field(default=default, metadata={"label": label, "help": help, **more})
