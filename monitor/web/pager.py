"""Sections of a page that have more entries than fit: which of them are shown, and the links to the others."""

from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.datastructures import QueryParams

PAGE_DIGITS: Final = 6
"""Digits of the number of a section's page; no section has more pages."""


class Pager(msgspec.Struct, frozen=True):
    """The requested page of a section: how many entries there are, which are shown, and the links around it."""

    count: int
    start: int
    last: int
    previous: str
    next: str


def page_number(query: QueryParams, section: str) -> int:
    """Return which page of a section is requested, from 1."""
    text = query.get(f"{section}_page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) <= PAGE_DIGITS else 1


def pager(query: QueryParams, section: str, count: int, size: int) -> Pager:
    """Return the requested page of a section, or its last one, of so many entries in pages of a size."""
    pages = max(1, -(-count // size))
    page = min(page_number(query, section), pages)

    def link(to: int) -> str:
        return changed_url(query, **{f"{section}_page": str(to)}) + f"#{section}" if 1 <= to <= pages else ""

    return Pager(count, (page - 1) * size, min(page * size, count), link(page - 1), link(page + 1))


def changed_url(query: QueryParams, **changed: str) -> str:
    """Return the address of a page with some parameters changed; empty ones are left out."""
    return "?" + urlencode({name: value for name, value in (dict(query) | changed).items() if value})
