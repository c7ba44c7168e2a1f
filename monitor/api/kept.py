"""What was made of a server's last answer, for as long as it says the same."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Generic, TypeVar

from monitor.api.listing import Page

_DIGEST_SIZE: Final = 16

Made = TypeVar("Made")


@dataclass(slots=True)
class Kept(Generic[Made]):
    """What was made of the last answer to one request.

    Attributes:
        result: What was made of it; None before the first.
    """

    result: Made | None = None
    _digest: bytes = b""

    def made_of(self, content: bytes | bytearray, make: Callable[[bytes | bytearray], Made]) -> Made:
        """Return what is made of a body; where it is the last one again, what was made of it then."""
        digest = blake2b(content, digest_size=_DIGEST_SIZE).digest()
        if self.result is None or digest != self._digest:
            self.result = make(content)
            self._digest = digest
        return self.result


@dataclass(slots=True)
class KeptPages:
    """The last answers to a list, by database and number of the page."""

    _pages: dict[str, list[Kept[Page]]] = field(default_factory=dict)

    def of(self, database: str, number: int) -> Kept[Page]:
        """Return what is kept of a page; pages are asked for one after the other, from 1."""
        pages = self._pages.setdefault(database, [])
        if number > len(pages):
            pages.append(Kept())
        return pages[number - 1]

    def forget_after(self, database: str, number: int) -> None:
        """Forget the pages that the list no longer has."""
        del self._pages[database][number:]
