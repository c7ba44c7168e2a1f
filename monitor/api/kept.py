"""What was made of a server's last answer, for as long as it says the same."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

Made = TypeVar("Made")


@dataclass(slots=True)
class Kept(Generic[Made]):
    """What was made of the last answer to one request, and a hash of its body that no server can foresee.

    Attributes:
        result: What was made of it; None before the first.
    """

    result: Made | None = None
    _hash: int = 0
    _size: int = -1

    def again(self) -> "Kept[Made]":
        """Return what is kept, for the next answer; this one stays as it is."""
        return replace(self)

    def made_of(self, content: bytes | bytearray, make: Callable[[bytes | bytearray], Made]) -> Made:
        """Return what is made of a body; where it is the last one again, what was made of it then."""
        hashed, size = hash(bytes(content)), len(content)
        if self.result is None or hashed != self._hash or size != self._size:
            self.result = make(content)
            self._hash, self._size = hashed, size
        return self.result
