"""Reads the head of an answer by one expression, where it is as plain as nearly every head is.

`http.client` reads a head line by line and gives it to the parser for e-mail, a sixth of what a request costs. Whatever
is not plain is left to it, and so is every judgement on it.
"""

import re
from typing import Final, NamedTuple

_PLAIN: Final = re.compile(
    rb"HTTP/1\.1 (?:200|201|202|203) [\x20-\x7e]*\r\n"
    rb"(?i:(?:connection:[ \t]*keep-alive|content-length:[ \t]*([0-9]{1,18})"
    rb"|(?!connection:|content-length:|content-encoding:|transfer-encoding:)"
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*+)[ \t]*+\r\n){1,99}+\r\n"
)
"""A whole head of a success whose body is as it is and is counted: no more headers than `http.client` allows, none of
them folded, nothing that is not printable ASCII, and a connection that stays."""

_LENGTH: Final = b"content-length:"


class PlainHead(NamedTuple):
    """What a plain head says.

    Attributes:
        size: Its own bytes.
        length: Bytes of the body that follows.
    """

    size: int
    length: int


def plain_head(answer: bytes) -> PlainHead | None:
    """Return what the head of an answer says, or None where it is not there as a whole, or not plain."""
    found = _PLAIN.match(answer)
    if found is None or found[1] is None or found[0].lower().count(_LENGTH) > 1:
        return None
    return PlainHead(found.end(), int(found[1]))
