"""Secrets, in whatever form they come back: servers repeat the key that they refuse, and not always as it was sent."""

from __future__ import annotations

import base64
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MASK: Final = "********"

MIN_REDACTED: Final = 4
"""Secrets shorter than this are not redacted: replacing every `a` would destroy the log and tell the secret besides."""

MIN_WORD: Final = 8
"""A part of a secret as long as this is masked for itself where others might cut the secret: at spaces and commas."""

_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_CUTS: Final = re.compile(r"[\s;,]+")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_LEAST_PROBE: Final = 3
_MOST_BYTES: Final = 2**18
_LAST_ASCII: Final = 0x7F

# Escaped once for each quoting around it, so a backslash becomes 2, 4, 8 …; an end of it keeps the search short.
_BACKSLASHES: Final = r"\\{1,64}"
_ENTITIES: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_ESCAPE: Final = re.compile(r"\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|%[0-9a-f]{2}", re.IGNORECASE)
_ESCAPE_IN_BYTES: Final = re.compile(_ESCAPE.pattern.encode(), re.IGNORECASE)


class _Sought:
    """How one secret is found.

    Its patterns cost milliseconds to make, and most secrets never come back: they are made when one may have.

    Attributes:
        probes: Texts of which one is in whatever holds the secret, unless its letters are escaped: quick to look for.
        probes_in_bytes: The same for bytes.
    """

    def __init__(self, secret: str) -> None:
        longest = max(_WORD.findall(secret), key=len, default="")
        self._secret = secret
        self._encoded = _base64(secret)
        self.probes = (longest, *self._encoded) if len(longest) >= _LEAST_PROBE else ("",)
        self.probes_in_bytes = tuple(probe.encode() for probe in self.probes)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """All its forms."""
        return re.compile(self._forms(), re.IGNORECASE)

    @cached_property
    def pattern_in_bytes(self) -> re.Pattern[bytes]:
        """The same for bytes."""
        return re.compile(self._forms().encode("ascii"), re.IGNORECASE)

    def _forms(self) -> str:
        first, *rest = re.findall(r"\s+|.", self._secret, re.DOTALL)
        spelt = _character(first, begins=True) + "".join(map(_character, rest))
        return "|".join([spelt, *map(re.escape, self._encoded)])


class Masking:
    """Masks secrets in texts, in whatever form they stand there; one that is too short is not masked.

    Args:
        secrets: What must not be seen.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        whole = {secret for secret in secrets if len(secret) >= MIN_REDACTED}
        words = {word for secret in whole for word in _CUTS.split(secret) if len(word) >= MIN_WORD}
        self._sought = [_Sought(secret) for secret in sorted(whole | words, key=len, reverse=True)]

    def text(self, text: str) -> str:
        """Return a text with its secrets masked."""
        escaped = bool(self._sought) and _ESCAPE.search(text) is not None
        for one in self._sought:
            if escaped or any(probe in text for probe in one.probes):
                text = one.pattern.sub(MASK, text)
        return text

    def content(self, content: bytes | bytearray) -> bytes:
        """Return bytes with the secrets in them masked, cut to what a message can be made of."""
        content = bytes(content[:_MOST_BYTES])
        for one in self._held(content):
            content = one.pattern_in_bytes.sub(MASK.encode(), content)
        return content

    def answer(self, decoded: Any, content: bytes | bytearray) -> Any:
        """Return a decoded answer with the secrets masked in the texts it holds, but not in the names of its fields.

        Args:
            decoded: Lists and dicts, as a JSON decoder makes them; changed in place.
            content: What it was decoded from: where nothing in there can be a secret, nothing is looked through.
        """
        if not self._held(content):
            return decoded
        root = [decoded]
        waiting: list[Any] = [root]  # no recursion: how deep it goes was the server's choice
        while waiting:
            node = waiting.pop()
            for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
                if isinstance(inner, str):
                    # A number that happens to be in an id is no secret, and a changed id would be another job's.
                    node[key] = inner if inner.isdecimal() else self.text(inner[:_MOST_BYTES])
                elif isinstance(inner, dict | list):
                    waiting.append(inner)
        return root[0]

    def may_be_in(self, content: bytes | bytearray) -> bool:
        """Say whether bytes may hold a secret."""
        return bool(self._held(content))

    def _held(self, content: bytes | bytearray) -> list[_Sought]:
        """Return the secrets that bytes may hold: all, where letters are escaped in them."""
        could_be = bool(self._sought) and (b"\\" in content or b"%" in content)  # quicker to ask than the pattern
        escaped = could_be and _ESCAPE_IN_BYTES.search(content) is not None
        return [one for one in self._sought if escaped or any(probe in content for probe in one.probes_in_bytes)]


def _character(char: str, *, begins: bool = False) -> str:
    """Return a pattern for one character, or several spaces, in all its forms."""
    # What begins with backslashes is looked for only where they begin, so that a long row of them costs no time.
    slashes = rf"(?<!\\){_BACKSLASHES}" if begins else _BACKSLASHES
    not_ascii = (
        rf"[^\x00-\x7f]|{slashes}(?:x[89a-f][0-9a-f]|u(?!00[0-7])[0-9a-f]{{4}})|%[89a-f][0-9a-f]|&#[0-9]{{3,6}};"
    )
    if char.isspace():
        return rf"(?:\s|\+|%20|{not_ascii}){{1,16}}"
    code = ord(char)
    if code > _LAST_ASCII:
        # Read in a wrong encoding it is another one, or several: any count as it.
        return rf"(?:{not_ascii}){{1,16}}"
    found = [rf"{slashes}u{code:04x}", rf"{slashes}x{code:02x}", f"%{code:02x}"]
    if char == "\\":
        found.append(slashes)
    elif char.isalnum():
        found.append(char)
    else:
        found += [re.escape(char), rf"{slashes}{re.escape(char)}", f"&#{code};", f"&#x{code:x};"]
    if char in _ENTITIES:
        found.insert(0, f"&{_ENTITIES[char]};")
    return f"(?:{'|'.join(found)})"


def _base64(secret: str) -> tuple[str, ...]:
    plain = secret.encode("utf-8", "surrogatepass")
    both = {base64.b64encode(plain), base64.urlsafe_b64encode(plain)}
    return tuple(sorted(one.decode().rstrip("=") for one in both))


def password_of(url: str) -> frozenset[str]:
    """Return the password of a URL, as it is written and as it is meant, alone and beside its user.

    In the parameters of a URL, one may stand too.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return frozenset()
    parameters = (one.partition("=") for one in parts.query.split("&"))
    found = {value for name, _, value in parameters if name == "password"}
    if parts.password:
        found |= {parts.password, f"{parts.username}:{parts.password}"}
    return frozenset(one for each in found for one in (each, unquote(each)) if one)


def passwords_in(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the passwords of the proxies that the environment names: requests go through them."""
    urls = [value for name, value in environ.items() if name.lower() in _PROXIES]
    return frozenset(one for url in urls for one in password_of(url if "://" in url else f"http://{url}"))
