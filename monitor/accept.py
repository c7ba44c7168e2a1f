"""What a client would have, by the weights that it gives (RFC 9110, 12.4.2)."""

import re
from typing import Final

_WEIGHT: Final = re.compile(r"[01](\.[0-9]*)?", re.ASCII)


def weights(header: str) -> dict[str, float]:
    """Return what an ``Accept`` or ``Accept-Encoding`` header names, in small letters, each with its weight.

    Of several versions of one thing, the one that is wanted most counts. 0 is for what is not to be sent, and for what
    has a weight that cannot be read.
    """
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        found[name] = max(_weight(parameters), found.get(name, 0.0))
    return found


def wants_gzip(accept_encoding: str) -> bool:
    """Say whether an ``Accept-Encoding`` header allows gzip, and prefers nothing else that we have (12.5.3)."""
    wanted = weights(accept_encoding)
    anything = wanted.get("*", 0.0)
    gzip = max(wanted.get("gzip", 0.0), wanted.get("x-gzip", 0.0)) if {"gzip", "x-gzip"} & wanted.keys() else anything
    return gzip > 0 and gzip >= wanted.get("identity", anything)


def _weight(parameters: list[str]) -> float:
    written = next((value[2:] for value in parameters if value.startswith("q=")), "1")
    return float(written) if _WEIGHT.fullmatch(written) else 0.0
