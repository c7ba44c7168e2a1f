"""Reads the head of an answer without the e-mail parser, where it is as plain as nearly every head is.

`http.client` reads a head line by line and gives it to the parser for e-mail, a sixth of what a request costs. Whatever
is not plain, or has not arrived at once, is left to `http.client` as it stands, and so is every judgement on it.
"""

import re
from http.client import HTTPMessage, HTTPResponse
from typing import Final

_PLAIN: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2}) ([\x21-\x7e][\x20-\x7e]*)\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*\r\n){1,99})\r\n"
)
"""A whole head: no more headers than `http.client` allows, none of them folded, nothing that is not printable ASCII."""

_WITHOUT_BODY: Final = (b"204", b"304")
_DIGITS: Final = 18
_OF_PARTS: Final = ("multipart/", "message/")
"""Kinds of content whose body the parser for e-mail looks into, and says what it misses there."""


class PlainHeadResponse(HTTPResponse):
    """A response to a GET or a POST that reads a plain head by itself."""

    def begin(self) -> None:
        """Read the head; `HTTPResponse` calls it so."""
        if not self._begin_plainly():
            super().begin()

    def _begin_plainly(self) -> bool:
        """Read the head if it is plain and says in one way how long the body is; else leave every byte of it."""
        head = _PLAIN.match(self.fp.peek())
        if head is None or head[1] in _WITHOUT_BODY:
            return False
        lines = head[3].decode("ascii").split("\r\n")[:-1]
        fields = [(name, value.lstrip(" \t")) for name, _, value in (line.partition(":") for line in lines)]
        said = {name.lower(): value for name, value in fields}
        length, coding = said.get("content-length"), said.get("transfer-encoding")
        chunked = length is None and coding is not None and coding.lower() == "chunked"
        counted = coding is None and length is not None and length.isdigit() and len(length) <= _DIGITS
        if (
            len(said) < len(fields)
            or not (chunked or counted)
            or said.get("connection", "keep-alive").lower() != "keep-alive"
            or said.get("content-type", "").lower().startswith(_OF_PARTS)
        ):
            return False
        self.fp.read(head.end())
        self.headers = self.msg = HTTPMessage()
        for name, value in fields:
            self.msg.set_raw(name, value)
        self.code = self.status = int(head[1])
        self.reason, self.version = head[2].decode("ascii").strip(), 11
        self.chunked = chunked
        if chunked:
            self.chunk_left = None
        self.length = None if length is None else int(length)
        self.will_close = False
        return True
