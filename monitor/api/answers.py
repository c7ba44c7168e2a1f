"""What an answer says: its body, decompressed and decoded within bounds, its code, and what a refusal means."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec
import urllib3
from msgspec.structs import asdict

from monitor.api.errors import ApiError, ApiMissingError, BadResponseError, OtherError, by_code, by_status
from monitor.api.records import text
from monitor.api.values import value_of
from monitor.redaction import SecretMask

BODY_LIMIT: Final = 16 * 2**20
"""Bytes of a body, decompressed: some 120,000 jobs."""

VALUE_LIMIT: Final = 2**19
"""Values in a body: some 100,000 jobs. Three bytes of text can become 70 in memory, and decoding holds up every thread,
so a body is counted before it is decoded."""

_CHUNK: Final = 2**16
_BEFORE_A_VALUE: Final = (b",", b"[", b"{")
_FINE: Final = (0, 200)
_REDIRECTS: Final = range(300, 400)
_NOT_FOUND: Final = 404
_CODE_DIGITS: Final = 10
_NOTHING_TO_MASK: Final = SecretMask()


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
    if code in _FINE:
        return payload.get("data")
    raise by_code(code)(f"{text(payload.get('message')) or 'the server gives no message'} (code {code})", code=code)


def code_of(value: Any) -> int | None:
    """Return a code that is a number or its text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _CODE_DIGITS:
        value = int(value)
    is_code = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_CODE_DIGITS
    return value if is_code else None


def read(response: urllib3.BaseHTTPResponse, host: str, left: float = BODY_LIMIT) -> bytes | bytearray:
    """Read a body.

    Args:
        response: The answer, of which only the head was read.
        host: Who gave it, for the message.
        left: Bytes that may still be taken from this server.

    Raises:
        BadResponseError: Decompressed, the body is larger than that, or than ``BODY_LIMIT``.
    """
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length[:20]) <= min(_CHUNK, left) and "Content-Encoding" not in response.headers:
        return response.read(decode_content=False)
    content = bytearray()
    for chunk in response.stream(_CHUNK, decode_content=True):
        content += chunk
        if len(content) > BODY_LIMIT:
            raise BadResponseError(f"{host}: the answer is larger than {BODY_LIMIT // 2**20} MiB")
        if len(content) > left:
            raise BadResponseError(f"{host}: the answers of one poll are too large together")
    return content


def decoded(
    content: bytes | bytearray, host: str, masking: SecretMask = _NOTHING_TO_MASK, *, is_list: bool = False
) -> Any:
    """Return a body's JSON, its secrets masked.

    What the fast and strict decoder refuses is read again by the standard library's: one name that is not UTF-8 or
    half a surrogate pair, one number out of range, or a byte order mark must not cost the rest.

    Args:
        content: The body.
        host: Who gave it, for the message.
        masking: The secrets.
        is_list: Whether records of jobs may stay JSON, each a ``msgspec.Raw``: most need not be read.

    Raises:
        BadResponseError: It is not JSON, and the message shows how it begins; or it holds too many values.
    """
    if _is_crowded(content):
        raise BadResponseError(f"{host}: the answer holds more than {VALUE_LIMIT} values")
    if is_list and not masking.may_be_in(content):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _list_decoder.decode(content).plain()
    try:
        return masking.answer(value_of(content), content)
    except (ValueError, RecursionError) as error:
        head = text(masking.content(content)[:60].decode("utf-8", "replace"))
        what = f"begins with {head!r}" if head else "is empty"
        raise BadResponseError(f"{host}: the answer is not JSON ({error}); it {what}") from None


class _Data(msgspec.Struct):
    """The ``data`` of a list's answer; records stay JSON."""

    records: list[msgspec.Raw] | None = None
    tasks: list[msgspec.Raw] | None = None
    pageSize: Any = msgspec.UNSET  # noqa: N815 - the API's name
    currentPage: Any = msgspec.UNSET  # noqa: N815 - the API's name


class _List(msgspec.Struct):
    """A list's answer, of any generation."""

    code: Any = msgspec.UNSET
    message: Any = None
    status: Any = msgspec.UNSET
    data: _Data | list[msgspec.Raw] | None = None
    tasks: list[msgspec.Raw] | None = None

    def plain(self) -> dict[str, Any]:
        """Return what the fields hold, as if nobody had known them."""
        plain = _given(self)
        if isinstance(self.data, _Data):
            plain["data"] = _given(self.data)
        return plain


def _given(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name, value in asdict(struct).items() if value is not msgspec.UNSET}


_list_decoder: Final = msgspec.json.Decoder(_List)


def refusal(status: int, headers: Mapping[str, str], content: bytes | bytearray, host: str, api: str) -> ApiError:
    """Return the error of an answer whose HTTP status is not a success: by the body's code, else by the status.

    Args:
        status: Its HTTP status.
        headers: Its headers, found in whichever case.
        content: Its body.
        host: Who gave it, for the message.
        api: The generation that was asked for: ``v2``, ``v1`` or ``milvus-2.3``.
    """
    if status in _REDIRECTS:
        target = text(headers.get("Location"))[:200]
        return BadResponseError(f"{host}: the server redirects to {target!r}; put that into `url` if it is right")
    retry_after = _retry_after(headers.get("Retry-After"))
    code, message = _code_and_message(content)
    kind = by_code(code) if code is not None else OtherError
    if kind is OtherError:
        kind = by_status(status)
    if status == _NOT_FOUND and code is None:
        return ApiMissingError(_no_such_api(host, api))
    says = message or text(content[:200].decode("utf-8", "replace")) or "nothing"
    with_code = f", code {code}" if code is not None else ""
    return kind(f"{host} says: {says} (HTTP {status}{with_code})", code=code, retry_after=retry_after)


def _no_such_api(host: str, api: str) -> str:
    if api == "v2":
        return (
            f"{host}: this server has no v2 import API (HTTP 404): it is older than Milvus 2.4; "
            "use `api: milvus-2.3` with the URL of its management port, http://HOST:9091"
        )
    return f"{host}: this server has no {api} import API (HTTP 404); Milvus since 2.4 and Zilliz Cloud have `api: v2`"


def _is_crowded(content: bytes | bytearray) -> bool:
    """Say whether a body may hold more values than ``VALUE_LIMIT``; commas and brackets inside of texts count too."""
    return len(content) > VALUE_LIMIT and sum(map(content.count, _BEFORE_A_VALUE)) > VALUE_LIMIT


def _code_and_message(content: bytes | bytearray) -> tuple[int | None, str]:
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
