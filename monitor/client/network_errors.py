"""Translates the many exceptions of requests and urllib3 to ours, with the cause in plain words."""

import ssl
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
)
"""What a request raises when it fails."""


def translate_error(error: BaseException, host: str, connect: float, total: float) -> ApiError:
    """Return the ``ApiError`` for one of ``NETWORK_ERRORS``; ``connect`` and ``total`` are the seconds there were."""
    too_late = ApiTimeoutError(f"{host}: no complete answer within {total:g} s")
    cause = root(error)
    not_http = isinstance(cause, HTTPException) and not isinstance(cause, IncompleteRead | ConnectionError)
    match error:
        case urllib3.exceptions.NewConnectionError():  # urllib3 counts it as a timeout, too
            plain: ApiError = ApiConnectionError(f"{host}: {_words(cause)}")
        case requests.exceptions.ConnectTimeout() | urllib3.exceptions.ConnectTimeoutError():
            plain = ApiTimeoutError(f"{host}: no connection within {connect:g} s")
        case requests.exceptions.Timeout() | urllib3.exceptions.TimeoutError() | TimeoutError():
            plain = too_late
        case requests.exceptions.SSLError() | urllib3.exceptions.SSLError() | ssl.SSLError():
            plain = TlsError(f"{host}: {_words(cause)}")
        case urllib3.exceptions.DecodeError():
            plain = BadResponseError(f"{host}: the answer cannot be decompressed: {_words(cause)}")
        case _ if isinstance(cause, TimeoutError):
            plain = too_late
        case _ if isinstance(cause, AnswerTooLargeError):
            plain = BadResponseError(f"{host}: {cause}")
        case _ if not_http:
            plain = BadResponseError(f"{host}: the answer is not HTTP: {_words(cause)}")
        case requests.exceptions.ProxyError() | urllib3.exceptions.ProxyError():
            plain = ApiConnectionError(f"{host} through the proxy: {_words(cause)}")
        case _:
            plain = ApiConnectionError(f"{host}: {_words(cause)}")
    return plain


def _words(cause: BaseException) -> str:
    return text(in_words(cause)) or type(cause).__name__
