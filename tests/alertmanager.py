"""A real Alertmanager, from the machine's binaries, and somebody who takes its notifications."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.listening import listening

Config = dict[str, Any]
WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Notification:
    """One alert of one request of Alertmanager.

    Attributes:
        at: When it came, in seconds since the epoch.
        path: Of the URL it was sent to: the receiver.
        alert: `status`, `labels` and `annotations`, as Alertmanager sends them.
    """

    at: float
    path: str
    alert: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.alert["status"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.alert["labels"])

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.alert["annotations"])


class Receiver:
    """Webhooks at any path, on a real socket."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._came: list[Notification] = []
        self._more = threading.Condition()

    def take(self, path: str, body: bytes) -> None:
        at = time.time()
        with self._more:
            self._came += [Notification(at, path, alert) for alert in json.loads(body)["alerts"]]
            self._more.notify_all()

    def all(self) -> list[Notification]:
        """Everything that came so far."""
        with self._more:
            return list(self._came)

    def wait_for(
        self,
        alertname: str,
        status: str = "firing",
        *,
        where: Callable[[Notification], bool] = lambda _: True,
        count: int = 1,
    ) -> Notification:
        """Return the first notification of this alert and status, once there are `count`; fails after a minute."""

        def found() -> list[Notification]:
            return [
                one for one in self._came if (one.labels["alertname"], one.status) == (alertname, status) and where(one)
            ]

        with self._more:
            self._more.wait_for(lambda: len(found()) >= count, timeout=WAIT)
            assert len(found()) >= count, f"{alertname} {status} did not come; what came: {self._came}"
            return found()[0]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Take notifications until the block is left."""

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: the test reads the notifications."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        receiver = Receiver(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, name="receiver")
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def running_alertmanager(folder: Path, config: Config, program: str = "prometheus-alertmanager") -> Iterator[str]:
    """Run one with this config, that keeps everything in `folder`, until the block is left, and give its URL."""
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    options = (f"--config.file={file}", f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address=")
    with listening(program, "prometheus-alertmanager", *options) as url:
        yield url
