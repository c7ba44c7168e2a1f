"""Pages of long lists: cursors of the API, and numbered pages of a page's sections."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams

from monitor.store import CursorError


def cursor_page(
    entries: Iterator[Any], limit: int, position: Callable[[Any], tuple[str, ...]]
) -> tuple[list[Any], str | None]:
    """Return the first entries, and the cursor of the next page if there are more."""
    page = list(islice(entries, limit + 1))
    if len(page) <= limit:
        return page, None
    text = msgspec.json.encode(position(page[limit - 1]))
    return page[:limit], base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode_cursor(cursor: str, count: int) -> list[str]:
    """Return the parts of a cursor; raises ``CursorError`` if it is not one of that many parts."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = msgspec.json.decode(text, type=list[str])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        parts = []
    if len(parts) != count:
        raise CursorError("this cursor is not from a page of this endpoint")
    return parts


def page_number(query: QueryParams, section: str) -> int:
    """Return the requested page of a section, from 1 on."""
    text = query.get(f"{section}_page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= 6 else 1  # noqa: PLR2004


def section_page(query: QueryParams, section: str, count: int, size: int) -> tuple[int, Mapping[str, Any]]:
    """Return the index of the first entry of a section's page, and the links to the pages around it."""
    last = max(1, -(-count // size))
    page = min(page_number(query, section), last)
    first = (page - 1) * size

    def link(number: int) -> str:
        return changed_url(query, "", **{f"{section}_page": str(number)}) + f"#{section}"

    return first, {
        "count": count,
        "first": first + 1 if count else 0,
        "last": min(first + size, count),
        "previous": link(page - 1) if page > 1 else "",
        "next": link(page + 1) if page < last else "",
    }


def changed_url(query: QueryParams, path: str, **changed: str) -> str:
    """Return an address with some parameters changed; empty ones are left out."""
    return url(path, **({name: value for name, value in query.items() if value} | changed))


def url(path: str, **values: str) -> str:
    """Return an address with parameters; empty ones are left out."""
    return f"{path}?{urlencode({name: value for name, value in values.items() if value})}"
