"""Values as programs send them, brought to the type of a parameter where it is plain what is meant."""

from __future__ import annotations

from typing import Any

from webui.domain.parameter import Parameter
from webui.errors import InvalidRequest


def converted(parameter: Parameter, value: Any) -> Any:
    """What A1111 would read out of it: "20" is a number, 1 is true, a single style is a list. Others stay as they are.

    >>> from webui.domain.request import PARAMETERS
    >>> [converted(PARAMETERS["steps"], value) for value in (20, "20", True, "many")]
    [20, 20, 1, 'many']
    >>> [converted(PARAMETERS["mask_invert"], value) for value in (1, "false", 2)]
    [True, False, 2]
    """
    wanted = parameter.type
    if wanted is bool and not isinstance(value, bool):
        spelled = value.strip().lower() if isinstance(value, str) else value
        if spelled in (0, "0", "false", "no", "off"):
            return False
        return True if spelled in (1, "1", "true", "yes", "on") else value
    if wanted in (int, float):
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, str) and len(value) < 50:
            for read in (int, float) if wanted is int else (float,):
                try:
                    return read(value)
                except ValueError:
                    continue
    if wanted is tuple and isinstance(value, str):
        return (value,) if value else ()
    return value


def checked(parameter: Parameter, value: Any, field: str) -> Any:
    """The value in the parameter's type. ``InvalidRequest`` names the field as it was sent."""
    try:
        return parameter.checked(converted(parameter, value))
    except InvalidRequest as error:
        raise InvalidRequest(f"{field}: {error}", field) from error
