"""JSON as servers write it: read strictly, and more leniently where that fails."""

import json
from typing import Any

import msgspec


def parse(content: bytes | msgspec.Raw) -> Any:
    """Return the value of some JSON.

    A name that is not UTF-8, half a surrogate pair, a number out of range or a byte order mark must not cost the rest.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            return json.loads(bytes(content).decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            raise error from None
