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

# Escaped once for each quoting around it, so a backslash becomes 2, 4, 8 …; an end of it keeps the search short. It is
# looked for only where a row begins, and nothing is given back (the last +), so that a long row costs no time.
_SLASHES: Final = r"\\(?<!\\\\)\\{0,63}+"
_ENTITIES: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_PARTS: Final = re.compile(r"\\+|\+*[\s\x80-\U0010ffff][\s+\x80-\U0010ffff]*|.", re.DOTALL)
_SHRINKS: Final = re.compile(r"[\s\\]+")
_MOST_TIMES: Final = 16
"""Characters that one of a secret can become where somebody reads it in a wrong encoding."""

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
    def literal(self) -> re.Pattern[str]:
        """As it is, and in Base64."""
        return re.compile("|".join(map(re.escape, (self._secret, *self._encoded))), re.IGNORECASE)

    @cached_property
    def literal_in_bytes(self) -> re.Pattern[bytes]:
        """The same for bytes."""
        forms = (one.encode("utf-8", "surrogatepass") for one in (self._secret, *self._encoded))
        return re.compile(b"|".join(map(re.escape, forms)), re.IGNORECASE)

    @cached_property
    def spelt(self) -> re.Pattern[str]:
        """With any character of it in any of its forms."""
        return re.compile(_spelt(self._secret))

    @cached_property
    def spelt_in_bytes(self) -> re.Pattern[bytes]:
        """The same for bytes."""
        return re.compile(_spelt(self._secret).encode("ascii"))


class Masking:
    """Masks secrets in texts, in whatever form they stand there; one that is too short is not masked.

    Args:
        secrets: What must not be seen.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        whole = {secret for secret in secrets if len(secret) >= MIN_REDACTED}
        words = {word for secret in whole for word in _CUTS.split(secret) if len(word) >= MIN_WORD}
        self._sought = [_Sought(secret) for secret in sorted(whole | words, key=len, reverse=True)]
        self._shortest = min((len(_SHRINKS.sub(" ", secret)) for secret in whole | words), default=0)

    def text(self, text: str) -> str:
        """Return a text with its secrets masked."""
        if not self._sought or len(text) < self._shortest:
            return text
        escaped = _ESCAPE.search(text) is not None
        for one in self._sought:
            held = any(probe in text for probe in one.probes)
            if held:
                text = one.literal.sub(MASK, text)
            if held or escaped:
                text = one.spelt.sub(MASK, text)
        return text

    def content(self, content: bytes | bytearray) -> bytes:
        """Return bytes with the secrets in them masked, cut to what a message can be made of."""
        content = bytes(content[:_MOST_BYTES])
        for one in self._held(content):
            content = one.spelt_in_bytes.sub(MASK.encode(), one.literal_in_bytes.sub(MASK.encode(), content))
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


def _spelt(secret: str) -> str:
    """Return a pattern for a secret, each character of it in any of its forms.

    Others choose the text, and must not choose how long this takes: what could be matched in many ways is matched in
    one or not at all. What is ambiguous by itself (an escape that is a part of the secret) is found as it is written.
    """
    spelt, slashes = "", _SLASHES
    for part in _PARTS.findall(secret):
        if part[0] == "\\":
            row = rf"{slashes}(?:{_either('u005c')}|{_either('x5c')})?+|{_either('%5c')}"
            spelt += f"(?:{row}){{1,{_MOST_TIMES * len(part)}}}+"
            slashes = ""  # those of the next character have been taken by this
            continue
        is_plain = len(part) == 1 and "!" <= part <= "~"
        spelt += _character(part, slashes) if is_plain else _loose(part, slashes, begins=not spelt)
        slashes = _SLASHES
    return spelt


def _character(char: str, slashes: str) -> str:
    """Return a pattern for one visible character of ASCII."""
    # Ways that each begin with a plain character, as here, are what the search for a beginning is fastest with.
    plain = sorted({char.lower(), char.upper()}) if char.isalnum() else [re.escape(char), slashes + re.escape(char)]
    return f"(?:{'|'.join([*_escapes(char, slashes), *plain])})"


def _escapes(char: str, slashes: str) -> list[str]:
    code = f"{ord(char):02x}"
    found = [slashes + _either(f"u00{code}"), slashes + _either(f"x{code}"), _either(f"%{code}")]
    if not char.isalnum():
        found += [f"&#{ord(char)};", _either(f"&#x{code};")]
    if char in _ENTITIES:
        found.insert(0, _either(f"&{_ENTITIES[char]};"))
    return found


def _loose(part: str, slashes: str, *, begins: bool) -> str:
    """Return a pattern for spaces, characters beyond ASCII, and the plus signs among them: as many of any of them.

    A space may have become a plus, and what is beyond ASCII, read in a wrong encoding, is another one, or several.
    """
    backslash = r"\\"
    forms = [r"[^\x00-\x7f]", r"%[89a-fA-F][0-9a-fA-F]", r"&#(?:12[89]|1[3-9][0-9]|[2-9][0-9]{2});"]
    forms += [f"&#[0-9]{{{digits}}};" for digits in range(4, 7)]
    forms += [rf"{backslash}[xX][89a-fA-F][0-9a-fA-F]", rf"{backslash}[uU](?!00[0-7])[0-9a-fA-F]{{4}}"]
    if any(char.isspace() for char in part):
        forms += [r"[\t-\r\x1c-\x20+]", *_escapes(" ", backslash)]
    if "+" in part:
        forms += [r"\+", *_escapes("+", backslash)]
    least = len(re.sub(r"\s+", " ", part))
    most: int | str = _MOST_TIMES * least
    before = ""
    if begins:
        # From wherever in a row of them one begins, the end is the same: so only where the row begins, and to its end.
        most, before = "", "".join(f"(?<!{form})" for form in forms)
    any_of = "|".join(form.replace(backslash, slashes or f"(?:{_SLASHES})?", 1) for form in forms)
    return f"{before}(?:{any_of}){{{least},{most}}}+"


def _either(text: str) -> str:
    """Return a pattern for a text of ASCII in capital and in small letters."""
    return "".join(f"[{char.lower()}{char.upper()}]" if char.isalpha() else char for char in text)


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
