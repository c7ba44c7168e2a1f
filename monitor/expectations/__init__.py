"""Expected imports: which of them began in time, are complete, late, or were missed.

Each start of an expectation is an occurrence. How it goes follows from the imports seen of its collection
(`occurrences`, `tracking`: pure functions). `expected_cluster` reads the imports of a cluster and judges them; `checks`
keeps the results in the store, shows and logs them.
"""

from monitor.expectations.checks import CHECK_INTERVAL, ExpectationChecks
from monitor.expectations.occurrences import ExpectedState, occurrences

__all__ = ["CHECK_INTERVAL", "ExpectationChecks", "ExpectedState", "occurrences"]
