"""Looks for a secret, or a part of it, in whatever form it may stand in an output."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

PART = 8
"""Characters of a secret that must not be seen in a row, not even where a message was cut through it."""


def spellings(secret: str) -> dict[str, str]:
    """The ways in which the servers of these tests write a secret."""
    return {
        "as it is": secret,
        "json": json.dumps(secret)[1:-1],
        "json in json": json.dumps(json.dumps(secret))[3:-3],
        "every character escaped": "".join(f"\\u{ord(char):04x}" for char in secret),
        "url": quote(secret, safe=""),
        "form": quote_plus(secret),
        "html": html.escape(secret),
        "python": repr(secret)[1:-1],
        "base64": base64.b64encode(secret.encode()).decode(),
        "latin-1": secret.encode().decode("latin-1"),
    }


def leaks(output: str | bytes, *secrets: str) -> list[str]:
    """What an output shows of secrets: parts in any spelling. Of ``user:password`` only the password counts."""
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    found = []
    for secret in secrets:
        words = [part for part in secret.partition(":")[::2] if part][-1]
        windows = {words[at : at + PART] for at in range(len(words) - PART + 1)}
        parts = {(name, part) for window in windows for name, part in spellings(window).items() if name != "base64"}
        encoded = spellings(secret)["base64"].rstrip("=")
        start = 2 * (len(secret) - len(words))
        parts |= {("base64", encoded[at : at + PART]) for at in range(start, len(encoded) - PART + 1)}
        found += [
            f"{name}: {text[max(0, at - 60) : at + 40]!r}" for name, part in parts if (at := text.find(part)) >= 0
        ]
    return found
