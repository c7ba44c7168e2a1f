"""From the bytes of a response to its JSON, and what its code and its status mean."""

import json
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
import urllib3

from monitor.client.errors import BY_CODE, BY_STATUS, ApiError, ApiMissingError, BadResponseError
from monitor.client.records import text
from monitor.client.response import BODY_LIMIT, AnswerTooLargeError
from monitor.redaction import SecretMask

VALUE_LIMIT: Final = 2**19
"""Values in a body: some 100,000 jobs. Three bytes of text can become 70 in memory, and decoding holds up every thread,
so a body is counted before it is decoded."""

_BEFORE_A_VALUE: Final = (b",", b"[", b"{")
_SUCCESS: Final = (0, 200)
_REDIRECTS: Final = range(300, 400)
_CODE: Final = re.compile(r"-?\d{1,10}", re.ASCII)
_WRONG_V2: Final = (
    "a server older than Milvus 2.4 needs `api: milvus-2.3` with the URL of its management port, http://HOST:9091"
)
_WRONG_ACCOUNT: Final = (
    "Zilliz Cloud has it at https://api.cloud.zilliz.com, in China at https://api.cloud.zilliz.com.cn"
)
_WRONG_OTHER: Final = "Milvus since 2.4 and Zilliz Cloud have `api: v2`"
_INTEGER_DIGITS: Final = 1000
"""Digits of an integer that are read, more than any limit: Python refuses 4,300, and then the whole response."""

_GZIP_WINDOW: Final = 31
_NO_SECRETS: Final = SecretMask()

Decoded = TypeVar("Decoded")


class Body:
    """The body of a response from a host; whatever is returned of it has the secrets masked."""

    def __init__(self, content: bytes, host: str, masking: SecretMask = _NO_SECRETS) -> None:
        self.content = content
        self.host = host
        self.masking = masking

    def json(self) -> Any:
        """Return the JSON; raise ``BadResponseError`` where it is none or has too many values."""
        self._check_values()
        try:
            return self.masking.json(_parse(self.content), self.content)
        except (ValueError, RecursionError) as error:
            beginning = self.beginning(60)
            what = f"begins with {beginning!r}" if beginning else "is empty"
            raise BadResponseError(f"{self.host}: the response is not JSON ({error}); it {what}") from None

    def typed(self, decoder: msgspec.json.Decoder[Decoded]) -> Decoded | None:
        """Return the body in the decoder's type; None where it does not fit, or where a secret may be in it."""
        self._check_values()
        if not self.masking.may_be_in(self.content):
            with suppress(ValueError, RecursionError):
                return decoder.decode(self.content)
        return None

    def beginning(self, length: int) -> str:
        """Return the first bytes as text."""
        return text(self.masking.content(self.content)[:length].decode("utf-8", "replace"))

    def _check_values(self) -> None:
        """Refuse more values than ``VALUE_LIMIT``; commas and brackets inside texts count too."""
        if len(self.content) > VALUE_LIMIT and sum(map(self.content.count, _BEFORE_A_VALUE)) > VALUE_LIMIT:
            raise BadResponseError(f"{self.host}: the response holds more than {VALUE_LIMIT} values")


def _parse(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (ValueError, RecursionError):
        # One name that is not UTF-8, half a surrogate pair, or a number out of range must not cost the whole response.
        with suppress(ValueError, RecursionError):
            lenient = content.decode("utf-8-sig", "replace")
            return json.loads(lenient, parse_int=lambda digits: int(digits[:_INTEGER_DIGITS]))
        raise


def decompress(body: bytes, coding: str) -> bytes:
    """Return a body without its ``Content-Encoding``, which is gzip or none.

    Raises ``AnswerTooLargeError``, or ``zlib.error`` or ``urllib3.exceptions.DecodeError`` where it is broken.
    """
    if not body or coding.lower() in {"", "identity"}:
        return body
    if coding.lower() not in {"gzip", "x-gzip"}:
        raise urllib3.exceptions.DecodeError(f"unknown encoding {coding!r}")  # masked before it is cut
    decoder = zlib.decompressobj(_GZIP_WINDOW)
    content = decoder.decompress(body, BODY_LIMIT + 1)
    if len(content) > BODY_LIMIT:
        raise AnswerTooLargeError
    if not decoder.eof or decoder.unused_data:
        raise urllib3.exceptions.DecodeError("more than one stream" if decoder.eof else "it is cut off")
    return content


def envelope(payload: Any, server: str = "an import API") -> Any:
    """Return the ``data`` of a v1 or v2 response; raise the ``ApiError`` of its code, or where there is none."""
    if not isinstance(payload, dict):
        raise BadResponseError(f"the response is JSON but no object: is this the address of {server}?")
    code = code_of(payload.get("code"))
    if code is None:
        raise BadResponseError(f"the response has no code: is this the address of {server}?")
    if code in _SUCCESS:
        return payload.get("data")
    message = text(payload.get("message")) or "the server gives no message"
    raise BY_CODE.get(code, ApiError)(f"{message} (code {code})", code=code)


def code_of(value: Any) -> int | None:
    """Return a code that is an integer or its text; None for anything else."""
    may_be_code = isinstance(value, int | str) and not isinstance(value, bool)
    return int(value) if may_be_code and _CODE.fullmatch(str(value)) else None


def refusal(status: int, headers: Mapping[str, str], body: Body, api: str) -> ApiError:
    """Return the error of a response whose HTTP status is not a success: by the body's code, else by the status."""
    host = body.host
    if status in _REDIRECTS:
        target = text(body.masking.text(headers.get("Location", "")))[:200]
        return BadResponseError(f"{host}: the server redirects to {target!r}; put that into `url` if it is right")
    try:
        payload = body.json()
    except BadResponseError:
        payload = None
    fields = payload if isinstance(payload, dict) else {}
    code = code_of(fields.get("code"))
    if status == HTTPStatus.NOT_FOUND and code is None:
        name = f"{api} API" if api == "account" else f"{api} import API"
        hint = {"v2": _WRONG_V2, "account": _WRONG_ACCOUNT}.get(api, _WRONG_OTHER)
        missing = f"there is no {name} at this address (HTTP 404): check host and path of `url`"
        return ApiMissingError(f"{host}: {missing}; {hint}")
    kind = BY_CODE.get(code or 0) or BY_STATUS.get(status, ApiError)
    message = text(fields.get("message")) or body.beginning(200) or "nothing"
    with_code = f", code {code}" if code is not None else ""
    retry_after = _retry_after(headers.get("Retry-After", ""))
    return kind(f"{host} says: {message} (HTTP {status}{with_code})", code=code, retry_after=retry_after)


def _retry_after(value: str) -> float | None:
    """Return the seconds of a ``Retry-After``, which may be a date."""
    try:
        return float(urllib3.Retry().parse_retry_after(value))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None
