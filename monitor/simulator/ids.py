"""Job ids as each API generation writes them, computed from a number and computed back."""

from __future__ import annotations

from dataclasses import dataclass

_WORD = (1 << 64) - 1
_HIDDEN_BITS = 46
_HIDDEN = (1 << _HIDDEN_BITS) - 1
_SPREAD = 0x9E3779B97F4B
_GATHER = pow(_SPREAD, -1, 1 << _HIDDEN_BITS)
_MILVUS_FIRST = 449_000_000_000_000_000
_HIDDEN_DIGITS = 12
_MILVUS_RANGE = 10**11
"""Each Milvus cluster takes its ids from a range of its own."""


def mix(seed: int, number: int) -> int:
    """Returns 64 well-mixed bits (splitmix64) of a seed and a number: randomness that needs no memory."""
    word = (seed + (number + 1) * 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)


@dataclass(frozen=True, slots=True)
class JobIds:
    """The ids of one cluster's jobs; the number of a job hides in its id, so that no table of ids is needed.

    Attributes:
        generation: The API generation, which decides what an id looks like.
        seed: Makes the ids of one cluster differ from those of the next.
    """

    generation: str
    seed: int

    def id(self, number: int) -> str:
        """Returns the id of job `number`: 18 digits on Milvus, `job-` and 22 on Zilliz Cloud, a UUID on v1."""
        if self.generation in ("milvus", "milvus-2.3"):
            return str(self._first() + 2 * number)
        bits, hidden = mix(self.seed, number), ((number * _SPREAD) ^ self.seed) & _HIDDEN
        digits = f"{(bits << 64) | hidden:032x}"
        if self.generation == "v1":
            return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[1:4]}-{digits[20:]}"
        return f"job-01{digits[:8]}{digits[20:]}"

    def number(self, job_id: str) -> int | None:
        """Returns the number of a job from its id, or None when this cluster never made that id."""
        try:
            if self.generation in ("milvus", "milvus-2.3"):
                number = (int(job_id) - self._first()) // 2
            else:
                number = ((int(job_id[-_HIDDEN_DIGITS:], 16) ^ self.seed) * _GATHER) & _HIDDEN
        except ValueError:
            return None
        return number if 0 <= number < _MILVUS_RANGE // 2 and self.id(number) == job_id else None

    def _first(self) -> int:
        return _MILVUS_FIRST + self.seed % 10**6 * _MILVUS_RANGE
