"""Programs of the Prometheus family, on a port of their own choice, which they tell in their log."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.venvs import missing

START_WITHIN = 60.0
STOP_WITHIN = 30.0
_LISTENS = re.compile(r'msg="Listening on" .*address=(127\.0\.0\.1:\d+)')


class _Log:
    """What a program writes to standard error, read as it comes so that it never waits for a reader."""

    def __init__(self, process: "subprocess.Popen[str]", ready: str) -> None:
        self._process = process
        self._ready = ready
        self._lines: list[str] = []
        self._address = ""
        self._told = threading.Event()
        self._reader = threading.Thread(target=self._read, name="program-log", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append(line)
            if found := _LISTENS.search(line):
                self._address = found[1]
            if self._ready in line:
                self._told.set()
        self._told.set()

    def address(self) -> str:
        assert self._told.wait(START_WITHIN), f"it was not ready in time: {self.text()}"
        assert self._address, f"it ended: {self.text()}"
        return self._address

    def text(self) -> str:
        return "".join(self._lines[-100:])

    def close(self) -> None:
        self._reader.join(STOP_WITHIN)


@contextmanager
def listening(program: str, package: str, *options: str, ready: str = "Listening on") -> Iterator[str]:
    """Run a program that takes `--web.listen-address`, and give its URL.

    Args:
        program: Its name.
        package: The Debian package that brings it; without it the test is skipped, or fails in CI.
        *options: Of the command line.
        ready: What it logs when it can be asked.
    """
    path = shutil.which(program) or missing(f"{program} is not installed (Debian: {package})")
    command = [path, "--web.listen-address=127.0.0.1:0", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        log = _Log(process, ready)
        try:
            yield f"http://{log.address()}"
            assert process.poll() is None, f"it ended: {log.text()}"
        finally:
            process.terminate()
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
            log.close()
