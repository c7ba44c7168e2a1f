"""Makes lifecycles and troubles by name, as the control endpoint receives them."""

import json
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, TypeVar

Made = TypeVar("Made")


def make(what: str, factories: Mapping[str, Callable[..., Made]], kind: str, arguments: Mapping[str, Any]) -> Made:
    """Return what the factory of that name makes of these arguments; raise ValueError where it cannot."""
    factory = factories.get(kind)
    if factory is None:
        raise ValueError(f"no {what} named {kind!r}; there are {', '.join(factories)}")
    try:
        signature(factory).bind(**arguments)
        return factory(**arguments)
    except TypeError as error:
        known = ", ".join(describe_arguments(factory)) or "nothing"
        raise ValueError(f"{what} {kind!r}: {error}; it takes {known}") from error


def describe_arguments(factory: Callable[..., Any]) -> list[str]:
    """Return the arguments of a factory, each with its default as JSON; those without are required."""
    parameters = signature(factory).parameters.items()
    return [name if one.default is one.empty else f"{name}={json.dumps(one.default)}" for name, one in parameters]
