"""A real Prometheus, from the machine's binaries."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.listening import listening

Config = dict[str, Any]
Series = dict[str, Any]
WAIT = 60.0
_PAUSE = 0.1


class Prometheus:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: Any) -> Any:
        """Ask its API; what it refuses fails, with its words."""
        answer = requests.post if path.startswith("query") else requests.get
        asked = {"data" if path.startswith("query") else "params": parameters}
        said = answer(f"{self.url}/api/v1/{path}", timeout=20, **asked).json()
        assert said["status"] == "success", f"{said.get('error')}\n{parameters}"
        return said["data"]

    def query(self, expression: str) -> list[Series]:
        """What an expression gives now."""
        return list(self.get("query", query=expression)["result"])

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """What an expression gave from one time to another, every `step` seconds."""
        return list(self.get("query_range", query=expression, start=start, end=end, step=step)["result"])

    def label_values(self, label: str, selector: str) -> list[str]:
        """The values of a label on the series of a selector."""
        return list(self.get(f"label/{label}/values", **{"match[]": selector}))

    def wait_for(self, expression: str) -> list[Series]:
        """What an expression gives, once it gives anything: Prometheus tells nobody, so it is asked again and again."""
        deadline = time.monotonic() + WAIT
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"nothing within {WAIT:.0f} s: {expression}\n{self.get('targets')}"
            time.sleep(_PAUSE)
        return found


@contextmanager
def running_prometheus(folder: Path, config: Config, program: str = "prometheus") -> Iterator[Prometheus]:
    """Run a server with this config, that keeps everything in `folder`, until the block is left."""
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    options = (f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}")
    with listening(program, "prometheus", *options, ready="Server is ready to receive web requests") as url:
        yield Prometheus(url)
