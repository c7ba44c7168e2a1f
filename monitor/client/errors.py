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
    """A request to an import API failed. The message is one bounded line, whatever the server wrote.

    Attributes:
        kind: What kind of failure it is.
        code: The code of the answer's body, or None.
        retry_after: Seconds after which the server, or our own rate limit, wants to be asked again, or None.
    """

    kind: ErrorKind = ErrorKind.OTHER

    def __init__(self, message: str, *, code: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])[:MESSAGE_LIMIT]

    def hide(self, masking: SecretMask) -> None:
        """Take secrets out of the message: servers repeat the key that they refuse."""
        self.args = (masking.text(str(self.args[0])),)


class OtherError(ApiError):
    """The server refuses with a code we have no class for: read its message."""


class TransientError(ApiError):
    """The server is starting, unavailable, or timed out inside: ask again soon."""

    kind = ErrorKind.TRANSIENT


class ThrottledError(ApiError):
    """Too many requests: ask again after ``retry_after`` seconds."""

    kind = ErrorKind.THROTTLED


class UnauthorizedError(ApiError):
    """The key is wrong or lacks the right: somebody has to change the key or its role."""

    kind = ErrorKind.UNAUTHORIZED


class NotFoundError(ApiError):
    """The cluster, the collection or the API does not exist at this address."""

    kind = ErrorKind.NOT_FOUND


class ApiMissingError(NotFoundError):
    """The server answers, but has no such path: it is too old or too new for this generation of the API."""


class JobGoneError(NotFoundError):
    """The server says that this job does not exist: the only ground on which a job is called vanished."""


class BadRequestError(ApiError):
    """The server does not accept our parameters: look at the cluster's ids in the config file."""

    kind = ErrorKind.BAD_REQUEST


class BadResponseError(ApiError):
    """The answer is not what this API answers: cut off, too large, no JSON, wrong types, or from somebody else."""

    kind = ErrorKind.BAD_RESPONSE


class ApiTimeoutError(ApiError):
    """No answer, or only a part of one, in time."""

    kind = ErrorKind.TIMEOUT


class ApiConnectionError(ApiError):
    """No connection, or it broke: name not resolved, refused, reset."""

    kind = ErrorKind.CONNECTION


class TlsError(ApiError):
    """The server's certificate is not trusted, or it does not accept ours."""

    kind = ErrorKind.TLS


class StoppedError(Exception):
    """The monitor is stopping: a wait was cut short, nothing is wrong with the server."""


# Milvus: pkg/util/merr (1xx collection, 8xx database, 14xx privilege, 18xx HTTP); Zilliz Cloud: its table of codes.
_BY_CODE: Final[dict[int, type[ApiError]]] = {
    **dict.fromkeys((1, 2, 4, 5, 10000, 10001), TransientError),
    **dict.fromkeys((8, 9, 1807), ThrottledError),
    **dict.fromkeys((1400, 1401, 1800, 21119, 80001, 80002, *range(96012, 96017), 96027), UnauthorizedError),
    **dict.fromkeys((100, 800, 96018, 96025, 96036), NotFoundError),
    **dict.fromkeys((1100, 1101, 1801, 1802, 80000, 80003, 80004, 96008, 96009), BadRequestError),
}

_BY_STATUS: Final[dict[int, type[ApiError]]] = {
    **dict.fromkeys((400, 422), BadRequestError),
    **dict.fromkeys((401, 403), UnauthorizedError),
    **dict.fromkeys((404, 405, 410), NotFoundError),
    **dict.fromkeys((408, *range(500, 1000)), TransientError),
    429: ThrottledError,
}


def by_code(code: int) -> type[ApiError]:
    """Return the class of error for the code of an answer's body; ``OtherError`` for one we do not know."""
    return _BY_CODE.get(code, OtherError)


def by_status(status: int) -> type[ApiError]:
    """Return the class of error for an HTTP status that is not 200."""
    return _BY_STATUS.get(status, OtherError)
