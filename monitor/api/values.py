"""JSON as servers write it: read strictly, and more leniently where that fails."""

import json
from typing import Any

import msgspec


def value_of(content: bytes | bytearray | msgspec.Raw) -> Any:
    """Return the value of some JSON, read more leniently where it cannot be read strictly.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It goes too deep.
    """
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            return json.loads(bytes(content).decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            raise error from None
