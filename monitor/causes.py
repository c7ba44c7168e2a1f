"""Why an exchange with a server failed: the first cause of an exception, and that in words."""

import socket
import ssl
from typing import Final

_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})
"""What the versions of OpenSSL call a response that is no TLS."""


def root(error: BaseException) -> BaseException:
    """Return the first cause of an exception that others were wrapped around."""
    for _ in range(10):
        context = None if error.__suppress_context__ else error.__context__
        wrapped = (*error.args, getattr(error, "reason", None), error.__cause__, context)
        inner = next((one for one in wrapped if isinstance(one, BaseException)), None)
        if inner is None:
            break
        error = inner
    return error


def in_words(cause: BaseException) -> str:
    """Return a first cause in words; what a server wrote may be in them as it is."""
    if isinstance(cause, socket.gaierror):
        return f"the host name cannot be resolved ({cause.strerror})"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {cause.verify_message.rstrip('.')}"
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
        return "the port does not speak TLS: is it http://?"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror[:1].lower() + cause.strerror[1:]
    return str(cause) or type(cause).__name__
