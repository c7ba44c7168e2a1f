"""From the many exceptions of requests and urllib3 to ours, with the cause in plain words."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, IncompleteRead

import requests
import urllib3

from monitor.api.errors import ApiConnectionError, ApiTimeoutError, BadResponseError, TlsError
from monitor.api.records import text


@contextmanager
def plain_errors(host: str, connect: float, whole: float) -> Iterator[None]:
    """Turn what an exchange raises into an ``ApiError``.

    Args:
        host: Who is talked to, for the message.
        connect: The seconds there were for the connection.
        whole: The seconds there were for the whole answer.
    """
    too_late = f"{host}: no complete answer within {whole:g} s"
    try:
        yield
    except (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError) as error:
        if isinstance(error, urllib3.exceptions.NewConnectionError):  # urllib3 counts it as one, too
            raise ApiConnectionError(f"{host}: {_cause(error)}") from None
        raise ApiTimeoutError(f"{host}: no connection within {connect:g} s") from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        raise ApiTimeoutError(too_late) from None
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
        raise TlsError(f"{host}: {_cause(error)}") from None
    except urllib3.exceptions.DecodeError as error:
        raise BadResponseError(f"{host}: the answer cannot be decompressed: {_cause(error)}") from None
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
        cause = _root(error)
        if isinstance(cause, TimeoutError):
            raise ApiTimeoutError(too_late) from None
        if isinstance(cause, HTTPException) and not isinstance(cause, IncompleteRead | ConnectionError):
            raise BadResponseError(f"{host}: the answer is not HTTP: {_cause(error)}") from None
        through = (
            " through the proxy"
            if isinstance(error, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError)
            else ""
        )
        raise ApiConnectionError(f"{host}{through}: {_cause(error)}") from None


def _root(error: BaseException) -> BaseException:
    """Return the first cause of an exception that others were wrapped around."""
    for _ in range(10):
        wrapped = (*error.args, getattr(error, "reason", None), error.__cause__, error.__context__)
        inner = next((one for one in wrapped if isinstance(one, BaseException)), None)
        if inner is None:
            break
        error = inner
    return error


def _cause(error: BaseException) -> str:
    """Return the first cause of a failed connection in words."""
    root = _root(error)
    if isinstance(root, socket.gaierror):
        return f"the host name cannot be resolved ({root.strerror})"
    if isinstance(root, OSError) and root.strerror:
        return root.strerror[:1].lower() + root.strerror[1:]
    return text(str(root)) or type(root).__name__
