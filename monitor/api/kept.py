"""What was made of a server's last answer, for as long as it says the same."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Generic, TypeVar

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

    def again(self) -> "Kept[Made]":
        """Return what is kept, for the next answer; this one stays as it is."""
        return Kept(self.result, self._digest)

    def made_of(self, content: bytes | bytearray, make: Callable[[bytes | bytearray], Made]) -> Made:
        """Return what is made of a body; where it is the last one again, what was made of it then."""
        digest = blake2b(content, digest_size=_DIGEST_SIZE).digest()
        if self.result is None or digest != self._digest:
            self.result = make(content)
            self._digest = digest
        return self.result
