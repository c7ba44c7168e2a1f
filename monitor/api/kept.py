"""What was made of a server's last answer, for as long as it says the same."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

Made = TypeVar("Made")


class Kept(msgspec.Struct, Generic[Made], gc=False):
    """What was made of the last answer to one request.

    Attributes:
        result: What was made of it; None before the first.
    """

    result: Made | None = None
    _hash: int | None = None

    def again(self) -> "Kept[Made]":
        """Return what is kept, for the next answer; this one stays as it is."""
        return Kept(self.result, self._hash)

    def made_of(self, content: bytes | bytearray, make: Callable[[bytes | bytearray], Made]) -> Made:
        """Return what is made of a body; where it is the last one again, what was made of it then."""
        hashed = hash(bytes(content))  # SipHash, 64 bits, by a key that each process makes for itself
        if self.result is None or hashed != self._hash:
            self.result = make(content)
            self._hash = hashed
        return self.result
