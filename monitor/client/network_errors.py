"""Translates the many exceptions of requests and urllib3 to ours, with the cause in plain words."""

import ssl
import zlib
from http.client import HTTPException, IncompleteRead
from typing import Final

import requests
import urllib3

from monitor.causes import in_words, root
from monitor.client.errors import ApiConnectionError, ApiError, ApiTimeoutError, BadResponseError, TlsError
from monitor.client.records import text
from monitor.client.transport import AnswerTooLargeError

NETWORK_ERRORS: Final = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    HTTPException,
    OSError,
    UnicodeError,
    zlib.error,
)
"""What a request raises when it fails."""

_CONNECT_TIMEOUTS: Final = (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError)
_PROXY_ERRORS: Final = (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)


def translate_error(error: BaseException, host: str, connect: float, total: float) -> ApiError:
    """Return the ``ApiError`` for one of ``NETWORK_ERRORS``; ``connect`` and ``total`` are the seconds there were."""
    cause = root(error)
    words = text(in_words(cause)) or type(cause).__name__
    kind: type[ApiError] = BadResponseError
    match cause:
        case TimeoutError() | urllib3.exceptions.TimeoutError():
            kind, words = ApiTimeoutError, f"no complete answer within {total:g} s"
            if isinstance(error, _CONNECT_TIMEOUTS):
                words = f"no connection within {connect:g} s"
        case ssl.SSLError() | urllib3.exceptions.SSLError():
            kind = TlsError
        case urllib3.exceptions.DecodeError() | zlib.error():
            words = f"the answer cannot be decompressed: {words}"
        case AnswerTooLargeError():
            pass
        case HTTPException() if not isinstance(cause, IncompleteRead | ConnectionError):
            words = f"the answer is not HTTP: {words}"
        case _:
            kind = ApiConnectionError
            if isinstance(error, _PROXY_ERRORS):
                host = f"{host} through the proxy"
    return kind(f"{host}: {words}")
