"""The memory of a running monitor, counted from inside: `python -m tests.memory COMMAND...` runs it with a counter.

The counter answers each connection to the Unix socket in ``MONITOR_COUNTER`` with the number of blocks of memory that
Python has allocated, after a garbage collection. What leaks is seen there long before it is seen in resident memory.
"""

import gc
import os
import re
import runpy
import socket
import sys
import threading
from pathlib import Path
from typing import Final

COUNTER: Final = "MONITOR_COUNTER"

_DOCKERFILE: Final = Path(__file__).parents[1] / "Dockerfile"


def image_environment(name: str) -> dict[str, str]:
    """Return a variable as the container image sets it."""
    found = re.search(rf"^ *(?:ENV )? *{name}=(\S+)", _DOCKERFILE.read_text(), re.MULTILINE)
    assert found is not None, f"the image does not set {name}"
    return {name: found[1]}


def allocated_blocks(counter: Path) -> int:
    """Ask the counter of a running monitor."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(counter))
        return int(client.makefile().read())


def _count(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            gc.collect()
            connection.sendall(str(sys.getallocatedblocks()).encode())


def main() -> None:
    """Run ``python -m monitor ARGUMENT...``, the rest of the command line, in this process."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.environ.pop(COUNTER))
    listener.listen()
    threading.Thread(target=_count, args=(listener,), name="counter", daemon=True).start()
    sys.argv = sys.argv[3:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
