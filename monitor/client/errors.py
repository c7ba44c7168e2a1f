"""What can go wrong between us and an import API: one small tree, one class for each kind."""

from enum import StrEnum
from typing import Final

from monitor.redaction import SecretMask

MESSAGE_LIMIT: Final = 1000
"""Characters of an error's message."""


class ErrorKind(StrEnum):
    """Kinds of failure; the value is the label ``reason`` of ``milvus_import_poll_failures_total``."""

    TRANSIENT = "transient"
    THROTTLED = "throttled"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    BAD_RESPONSE = "bad_response"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    OTHER = "other"


class ApiError(Exception):
    """A request to an import API failed; the message is one bounded line, whatever the server wrote.

    Attributes:
        kind: What kind of failure it is.
        code: The code in the body of the response, or None.
        retry_after: Seconds after which the server, or our own rate limit, accepts the next request, or None.
    """

    kind = ErrorKind.OTHER

    def __init_subclass__(cls, *, kind: ErrorKind) -> None:
        cls.kind = kind

    def __init__(self, message: str, *, code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])[:MESSAGE_LIMIT]

    def hide(self, masking: SecretMask) -> None:
        """Mask secrets in the message: servers repeat the key that they refuse."""
        self.args = (masking.text(str(self.args[0])),)


class TransientError(ApiError, kind=ErrorKind.TRANSIENT):
    """The server is starting, unavailable, or timed out inside: retry soon."""


class ThrottledError(ApiError, kind=ErrorKind.THROTTLED):
    """Too many requests: retry after ``retry_after`` seconds."""


class RateLimitError(ThrottledError, kind=ErrorKind.THROTTLED):
    """Our own rate limit for the API key is used up; nothing was sent."""


class UnauthorizedError(ApiError, kind=ErrorKind.UNAUTHORIZED):
    """The key is wrong or lacks the right: somebody has to change the key or its role."""


class NotFoundError(ApiError, kind=ErrorKind.NOT_FOUND):
    """The cluster, the collection or the API does not exist at this address."""


class ApiMissingError(NotFoundError, kind=ErrorKind.NOT_FOUND):
    """The server has no such path: it is too old or too new for this generation of the API."""


class JobGoneError(NotFoundError, kind=ErrorKind.NOT_FOUND):
    """The server says that this job does not exist: the only ground on which a job is called vanished."""


class BadRequestError(ApiError, kind=ErrorKind.BAD_REQUEST):
    """The server does not accept our parameters: check the cluster's ids in the config file."""


class BadResponseError(ApiError, kind=ErrorKind.BAD_RESPONSE):
    """The response is not one of this API: cut off, too large, no JSON, wrong types, or from another program."""


class BadRecordError(BadResponseError, kind=ErrorKind.BAD_RESPONSE):
    """A record that cannot be a job; in a list it costs only itself."""


class ApiTimeoutError(ApiError, kind=ErrorKind.TIMEOUT):
    """No response, or only a part of one, in time."""


class ApiConnectionError(ApiError, kind=ErrorKind.CONNECTION):
    """No connection, or it broke: name not resolved, refused, reset."""


class TlsError(ApiError, kind=ErrorKind.TLS):
    """The server's certificate is not trusted, or it does not accept ours."""


class StoppedError(Exception):
    """The monitor is stopping: a wait was cut short, nothing is wrong with the server."""


SHARED_FAILURES: Final = (
    ErrorKind.TIMEOUT,
    ErrorKind.CONNECTION,
    ErrorKind.TLS,
    ErrorKind.THROTTLED,
    ErrorKind.TRANSIENT,
)
"""Kinds of failure that the next request to the same server would share: the others wait for the next poll."""

BY_CODE: Final[dict[int, type[ApiError]]] = {
    **dict.fromkeys((1, 2, 4, 5, 10000, 10001), TransientError),
    **dict.fromkeys((8, 9, 1807), ThrottledError),
    **dict.fromkeys((1400, 1401, 1800, 21119, 80001, 80002, *range(96012, 96017), 96027), UnauthorizedError),
    **dict.fromkeys((100, 800, 96018, 96025, 96036), NotFoundError),
    **dict.fromkeys((1100, 1101, 1801, 1802, 80000, 80003, 80004, 96008, 96009), BadRequestError),
}
"""Codes of Milvus (pkg/util/merr: 1xx collection, 8xx database, 14xx privilege, 18xx HTTP) and of Zilliz Cloud."""

BY_STATUS: Final[dict[int, type[ApiError]]] = {
    **dict.fromkeys((400, 422), BadRequestError),
    **dict.fromkeys((401, 403), UnauthorizedError),
    **dict.fromkeys((404, 405, 410), NotFoundError),
    **dict.fromkeys((408, *range(500, 1000)), TransientError),
    429: ThrottledError,
}
"""HTTP statuses that are no success."""
