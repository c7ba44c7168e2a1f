"""From the bytes of an answer to its JSON, and what its code and its status mean."""

import zlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import msgspec
import urllib3

from monitor.client import lenient_json
from monitor.client.errors import ApiError, ApiMissingError, BadResponseError, OtherError, by_code, by_status
from monitor.client.records import text
from monitor.client.transport import BODY_LIMIT, AnswerTooLargeError
from monitor.redaction import SecretMask

VALUE_LIMIT: Final = 2**19
"""Values in a body: some 100,000 jobs. Three bytes of text can become 70 in memory, and decoding holds up every thread,
so a body is counted before it is decoded."""

_BEFORE_A_VALUE: Final = (b",", b"[", b"{")
_SUCCESS: Final = (0, 200)
_REDIRECTS: Final = range(300, 400)
_NOT_FOUND: Final = 404
_CODE_DIGITS: Final = 10
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's: 31 is gzip, 15 zlib
_NO_SECRETS: Final = SecretMask()

Answer = TypeVar("Answer")


def decompress(body: bytes, coding: str) -> bytes:
    """Return a body without its ``Content-Encoding``.

    Raises:
        AnswerTooLargeError: It is larger than ``BODY_LIMIT``.
        urllib3.exceptions.DecodeError: It cannot be decompressed.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"} or not body:
        return body
    if coding not in _WINDOW_BITS:
        raise urllib3.exceptions.DecodeError(f"unknown encoding {coding[:100]!r}")
    # Some servers send what the name says instead of what the RFC says: deflate without the head of zlib.
    is_raw = coding == "deflate" and int.from_bytes(body[:2]) % 31 != 0
    decoder = zlib.decompressobj(-15 if is_raw else _WINDOW_BITS[coding])
    try:
        content = decoder.decompress(body, BODY_LIMIT + 1)
    except zlib.error as error:
        raise urllib3.exceptions.DecodeError(str(error)) from None
    if len(content) > BODY_LIMIT:
        raise AnswerTooLargeError
    if not decoder.eof or decoder.unused_data:
        raise urllib3.exceptions.DecodeError("more than one stream" if decoder.eof else "it is cut off")
    return content


def decode(content: bytes, host: str, masking: SecretMask = _NO_SECRETS) -> Any:
    """Return a body's JSON, its secrets masked; ``BadResponseError`` where it is none or has too many values."""
    _check_values(content, host)
    try:
        return masking.answer(lenient_json.parse(content), content)
    except (ValueError, RecursionError) as error:
        head = text(masking.content(content)[:60].decode("utf-8", "replace"))
        what = f"begins with {head!r}" if head else "is empty"
        raise BadResponseError(f"{host}: the answer is not JSON ({error}); it {what}") from None


def decode_typed(
    content: bytes, host: str, decoder: msgspec.json.Decoder[Answer], masking: SecretMask = _NO_SECRETS
) -> Answer | None:
    """Return a body in the decoder's type; None where it does not fit, or where a secret may be in it."""
    _check_values(content, host)
    if not masking.may_be_in(content):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return decoder.decode(content)
    return None


def envelope(payload: Any) -> Any:
    """Return the ``data`` of a v1 or v2 answer.

    Raises:
        ApiError: By its code; ``BadResponseError`` where it is no such answer.
    """
    if not isinstance(payload, Mapping):
        raise BadResponseError("the answer is JSON but no object: is this the address of an import API?")
    code = code_of(payload.get("code"))
    if code is None:
        raise BadResponseError("the answer has no code: is this the address of an import API?")
    if code in _SUCCESS:
        return payload.get("data")
    raise by_code(code)(f"{text(payload.get('message')) or 'the server gives no message'} (code {code})", code=code)


def code_of(value: Any) -> int | None:
    """Return a code that is a number or its text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _CODE_DIGITS:
        value = int(value)
    is_code = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_CODE_DIGITS
    return value if is_code else None


def refusal(status: int, headers: Mapping[str, str], content: bytes, host: str, api: str) -> ApiError:
    """Return the error of an answer whose HTTP status is not a success: by the body's code, else by the status."""
    if status in _REDIRECTS:
        target = text(headers.get("Location"))[:200]
        return BadResponseError(f"{host}: the server redirects to {target!r}; put that into `url` if it is right")
    code, message = _code_and_message(content)
    kind = by_code(code) if code is not None else OtherError
    if kind is OtherError:
        kind = by_status(status)
    if status == _NOT_FOUND and code is None:
        return ApiMissingError(_no_such_api(host, api))
    answer = message or text(content[:200].decode("utf-8", "replace")) or "nothing"
    with_code = f", code {code}" if code is not None else ""
    retry_after = _retry_after(headers.get("Retry-After"))
    return kind(f"{host} says: {answer} (HTTP {status}{with_code})", code=code, retry_after=retry_after)


def _no_such_api(host: str, api: str) -> str:
    missing = f"{host}: there is no {api} import API at this address (HTTP 404): check host and path of `url`"
    if api == "v2":
        return (
            f"{missing}; a server older than Milvus 2.4 needs `api: milvus-2.3` "
            "with the URL of its management port, http://HOST:9091"
        )
    return f"{missing}; Milvus since 2.4 and Zilliz Cloud have `api: v2`"


def _check_values(content: bytes, host: str) -> None:
    if _is_crowded(content):
        raise BadResponseError(f"{host}: the answer holds more than {VALUE_LIMIT} values")


def _is_crowded(content: bytes) -> bool:
    """Say whether a body may hold more values than ``VALUE_LIMIT``; commas and brackets inside texts count too."""
    return len(content) > VALUE_LIMIT and sum(map(content.count, _BEFORE_A_VALUE)) > VALUE_LIMIT


def _code_and_message(content: bytes) -> tuple[int | None, str]:
    if _is_crowded(content):
        return None, ""
    try:
        payload = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, ""
    if not isinstance(payload, dict):
        return None, ""
    return code_of(payload.get("code")), text(payload.get("message"))


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, which may also be a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
