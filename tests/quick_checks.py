"""A monitor that looks after its files every second: `python -m tests.quick_checks COMMAND...` runs it."""

import runpy
import sys
from typing import Final

import monitor.key_files

SECONDS: Final = 1.0
"""Between two checks of the files with keys and certificates, of which a test may wait for several."""

PREFIX: Final = (sys.executable, "-m", "tests.quick_checks")
"""Before the command line of a monitor."""


def main() -> None:
    """Run ``python -m monitor ARGUMENT...``, the rest of the command line, in this process."""
    monitor.key_files.KEY_CHECK_INTERVAL = SECONDS  # before the modules that import it are loaded
    sys.argv = sys.argv[3:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
