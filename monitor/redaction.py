"""Masks secrets in text, in the spellings in which servers and libraries repeat them."""

import base64
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import chain
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

MASK: Final = "********"

MIN_REDACTED: Final = 4
"""Shorter secrets are not masked: masking every `a` would destroy the text and give the secret away."""

MIN_PART: Final = 8
"""Characters from which a part of a secret is masked by itself: servers may cut a secret at spaces and commas."""

MAX_CONTENT: Final = 2**18
"""Bytes of a body, or characters of a text in it, that are masked and kept; messages show far less."""

MAX_DECODINGS: Final = 8
"""JSON in JSON in a URL is 3; the bound keeps the time linear for `%2525252541`."""

_HEX: Final = "[0-9a-fA-F]"
_ESCAPE: Final = re.compile(
    rf"\\++(?:u(?P<u>{_HEX}{{4}})|x(?P<x>{_HEX}{{2}})|(?P<char>[^\\%&]?))|%(?P<percent>{_HEX}{{2}})"
    rf"|(?P<entity>&(?:#[0-9]{{1,7}}|#[xX]{_HEX}{{1,6}}|(?i:amp|lt|gt|quot|apos));)",
    re.DOTALL,
)
_ESCAPED_LETTER: Final = re.compile(rf"(?:\\u00|\\x|%)[2-7]{_HEX}|&#".encode())
_SPACES: Final = re.compile(r"[\t-\r\x1c-\x20]+")
_CHANGING: Final = r"[\t-\r\x1c-\x20+\x80-\U0010ffff]"
"""Spaces and what is beyond ASCII come back changed, in number too; so do the plus signs next to them."""

_SECRET_PARAMETER: Final = re.compile("key|token|secret|passw|sig|auth|credential|^code$", re.IGNORECASE)

_ROW: Final = re.compile(rf"(\+*[\t-\r\x1c-\x20\x80-\U0010ffff]{_CHANGING}*)")


class SecretMask:
    """Masks a few secrets, wherever in a text they stand and however they are spelled.

    Made for text from a cluster, which can hold that cluster's secrets and those of the proxies to it. The time grows
    with the length of the text and with the number of secrets.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._parts = _parts(secrets)
        probes = {max(re.findall("[A-Za-z0-9]+", part), key=len, default="") for part in self._parts}
        self._probes = [probe.encode() for probe in probes.union(*map(_base64, self._parts))]

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], re.Pattern[str]]]:
        return list(map(_patterns, self._parts))  # compiled when a text may hold a secret, which is seldom

    def text(self, text: str) -> str:
        """Return a text with its secrets masked."""
        return _masked(text, self._patterns) if self.may_be_in(text.encode("utf-8", "surrogatepass")) else text

    def content(self, content: bytes) -> bytes:
        """Return the first ``MAX_CONTENT`` bytes of a body with its secrets masked."""
        return self.text(content[:MAX_CONTENT].decode("latin-1")).encode("latin-1")

    def json(self, decoded: Any, content: bytes) -> Any:
        """Return the decoded JSON of a body, changed in place: the secrets in texts are masked, field names stay."""
        root = [decoded]
        waiting: list[Any] = [root] if self.may_be_in(content) else []  # no recursion: the server chose the depth
        while waiting:
            node = waiting.pop()
            for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
                if isinstance(inner, str):
                    # A number that is a part of an id is no secret, and a changed id would be another job's.
                    node[key] = inner if inner.isdecimal() else self.text(inner[:MAX_CONTENT])
                elif isinstance(inner, dict | list):
                    waiting.append(inner)
        return root[0]

    def may_be_in(self, content: bytes) -> bool:
        """Return False where a body certainly holds no secret."""
        for probe in self._probes:  # a third faster than any()
            if probe in content:
                return True
        may_be_escaped = bool(self._probes) and (b"\\" in content or b"%" in content or b"&" in content)
        return may_be_escaped and _ESCAPED_LETTER.search(content) is not None


class Redactor:
    """Masks any number of secrets, as the last check of a text before it is written.

    Each secret is indexed by its rarest word of letters and digits, so the time does not grow with their number. A
    secret is missed where it was cut, or where another letter or digit touches that word, which can only be at an end
    of the secret: `keyABC` for `ABC`. Text from outside goes through a ``SecretMask`` where it comes in; what is left
    for this are tracebacks and the errors of the config, of libraries and of the database.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these secrets from now on, and only these."""
        forms = [(form, part) for part in _parts(secrets) for form in {part, _decoded(part)[0], *_base64(part)}]
        words = [re.findall("[a-z0-9]+", form.lower()) for form, _ in forms]
        frequency = Counter(chain.from_iterable(words))
        index: dict[str, list[str]] = {}
        for (form, part), candidates in zip(forms, words, strict=True):
            if len(form) >= MIN_REDACTED:
                rarest = min(candidates, key=lambda word: (frequency[word], -len(word)), default="")
                index.setdefault(rarest, []).append(part)
        # A secret without letters and digits is indexed by the empty word, which the pattern then finds in every text.
        shortest = min(map(len, index), default=0)
        self._index = index, shortest, re.compile(f"[a-z0-9]{{{shortest},}}")

    def text(self, text: str) -> str:
        """Return a text with its secrets masked."""
        index, shortest, word = self._index
        if not index or len(text) < shortest:
            return text
        words = word.findall(text.lower())
        if "\\" in text or "%" in text or "&" in text:
            words += word.findall(_decoded(text)[0].lower())
        if index.keys().isdisjoint(words):
            return text
        suspects = {secret for candidate in words for secret in index.get(candidate, ())}
        return _masked(text, map(_patterns, sorted(suspects, key=len, reverse=True)))


def _patterns(secret: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a secret: literally and in Base64, and decoded unless too little is left of it.

    The time is linear whatever the text is: nothing is matched in two ways, and a row of spaces at the beginning of the
    secret is matched from the beginning of a row only.
    """
    literal = re.compile("|".join(map(re.escape, (secret, *_base64(secret)))), re.IGNORECASE)
    decoded = _decoded(secret)[0]
    if len(_SPACES.sub(" ", decoded)) < MIN_REDACTED:
        return literal, re.compile("(?!)")
    pieces = [
        f"(?<!{_CHANGING}){_CHANGING}{{{len(_SPACES.sub(' ', piece))},}}+" if _ROW.match(piece) else re.escape(piece)
        for piece in _ROW.split(decoded)
    ]
    return literal, re.compile("".join(pieces), re.IGNORECASE | re.ASCII)  # beyond ASCII, a dotless i would be an i


def _masked(text: str, patterns: Iterable[tuple[re.Pattern[str], re.Pattern[str]]]) -> str:
    """Return a text with secrets masked, as they are and in every spelling."""
    for literal, in_decoded in patterns:
        text = literal.sub(MASK, text)
        decoded, spans = _decoded(text)
        pieces, at = [""], 0
        for match in in_decoded.finditer(decoded):
            pieces += text[at : spans[match.start()][0]], MASK
            at = spans[match.end() - 1][1]
        text = "".join([*pieces, text[at:]])
    return text


def _decoded(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without its escapes, and where in the original each of its characters begins and ends.

    What decodes the text decodes the secret: a secret that looks like an escape is found all the same.
    """
    spans = [(at, at + 1) for at in range(len(text))]
    for _ in range(MAX_DECODINGS):
        pieces, origins, at = [""], spans[:0], 0
        for match in _ESCAPE.finditer(text):
            begin, end = match.span()
            char = _character(match)
            pieces += text[at:begin], char
            origins += spans[at:begin] + [(spans[begin][0], spans[end - 1][1])] * len(char)
            at = end
        if not at:
            break
        text, spans = "".join([*pieces, text[at:]]), origins + spans[at:]
    return text, spans


def _character(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    if kind == "entity":
        return html.unescape(match[kind].lower())
    if kind == "char":
        return " " if match[kind] in {"n", "r", "t"} else match[kind]
    return chr(int(match[kind], 16))


def _parts(secrets: Iterable[str]) -> list[str]:
    """Return each secret as a whole, and its long parts; the longest first."""
    whole = {secret for secret in secrets if len(secret) >= MIN_REDACTED}
    parts = {part for secret in whole for part in re.split(r"[\s;,]+", secret) if len(part) >= MIN_PART}
    return sorted(whole | parts, key=len, reverse=True)


def _base64(secret: str) -> set[str]:
    plain = secret.encode("utf-8", "surrogatepass")
    return {encode(plain).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode)}


def password_of(url: str) -> frozenset[str]:
    """Return the password of a URL, literally and decoded, alone and after its user; also one among its parameters."""
    # Not with urlsplit: newer versions of Python reject several hosts of which one is an IPv6 address.
    address, _, query = url.partition("#")[0].partition("?")
    user_and_password = address.partition("://")[2].partition("/")[0].rpartition("@")[0]
    user, _, password = user_and_password.partition(":")
    parameters = (parameter.partition("=") for parameter in query.split("&"))
    passwords = {value for name, _, value in parameters if name == "password"}
    if password:
        passwords |= {password, f"{user}:{password}"}
    return frozenset(passwords | set(map(unquote, passwords))) - {""}


def secrets_in_query(url: str) -> frozenset[str]:
    """Return the values of a URL's parameters that are secrets by their names, literally and decoded."""
    parameters = (parameter.partition("=") for parameter in url.partition("?")[2].split("&"))
    values = {value for name, _, value in parameters if _SECRET_PARAMETER.search(name)}
    return frozenset(values | set(map(unquote_plus, values))) - {""}


def passwords_in(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the passwords of the proxies that the environment names: requests go through them."""
    urls = [value for name, value in environ.items() if name.lower() in {"http_proxy", "https_proxy", "all_proxy"}]
    return frozenset(chain.from_iterable(password_of(url if "://" in url else f"http://{url}") for url in urls))
