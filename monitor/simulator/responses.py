"""Responses that the dialects and the control endpoint share."""

from typing import Any

import msgspec
from starlette.responses import Response


def json_response(content: Any, status: int = 200) -> Response:
    """Return a response with a JSON body."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def not_found() -> Response:
    """Return what the web framework of Milvus sends for a path that it does not know."""
    return Response(b"404 page not found", 404, {"content-type": "text/plain"})
