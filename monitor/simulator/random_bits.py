"""Random-looking bits that depend on nothing but a seed and a number."""

_WORD = (1 << 64) - 1


def mix(seed: int, number: int) -> int:
    """Return 64 well-mixed bits (splitmix64) of a seed and a number."""
    word = (seed + (number + 1) * 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
