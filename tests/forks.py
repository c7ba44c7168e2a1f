"""Starts the daemon again and again without paying for its imports: a process that has them forks one when told to.

Run as a program: ``python -m tests.forks CONFIG LOG``. Each line ``start`` on its standard input forks a daemon, whose
process id it prints; each line ``reap`` waits for the last one and prints how it ended.
"""

import os
import sys
from pathlib import Path

from monitor.cli.run import run


def _serve(config: Path, log: Path) -> None:
    print("ready", flush=True)
    child = 0
    for line in sys.stdin:
        if line.strip() == "start":
            child = os.fork()
            if child == 0:
                _become_daemon(config, log)
            print(child, flush=True)
        elif child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become_daemon(config: Path, log: Path) -> None:
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(written, number)
    os.close(0)
    try:
        run(config)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is in the log and in the exit code
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(9)
    os._exit(0)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]))
