"""``milvus-import-monitor`` and ``python -m monitor``."""

import gc
import os
import signal
import sys
from typing import Final

_DAEMONS: Final = ("run", "demo")

_FOREIGN_VARIABLES: Final = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir", "SSLKEYLOGFILE", "WEB_CONCURRENCY")
"""Variables that are meant for other programs, and that libraries of ours would follow to our harm."""


def main() -> None:
    """Run the command line.

    The daemon can be told to stop or to reload from the first moment on, also as process 1 of a container, for which
    the kernel has no default action: while it starts it just ends, and a reload waits until it is ready. Its garbage
    collector waits as well: among the objects of the libraries it finds nothing, and takes 0.1 s to do so.
    """
    for name in _FOREIGN_VARIABLES:
        os.environ.pop(name, None)  # before the libraries are imported
    if sys.argv[1:2] and sys.argv[1] in _DAEMONS:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # `daemon.serve` unblocks it
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit(0))
        gc.disable()  # `monitor.cli.run` enables it
    from monitor.cli import main as run_command  # noqa: PLC0415 - takes most of the start

    run_command()


if __name__ == "__main__":
    main()
