"""What is shown of an expected import."""

import msgspec


class ExpectationSample(msgspec.Struct, frozen=True, gc=False):
    """The current occurrence of an expected import of one collection; times in seconds since the epoch.

    Attributes:
        expectation: The name of the expectation.
        state: The state of the occurrence.
        deadline: Until when it has to be complete.
        predicted: When it is expected to be complete; None where that would be a guess, and once it is.
    """

    expectation: str
    database: str
    collection: str
    state: str
    deadline: float
    predicted: float | None
