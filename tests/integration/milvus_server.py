"""A real Milvus 2.3.5 for the tests: the server, and a client that imports files into it.

Both live in an environment of their own (`milvus`, `pymilvus`), so both are spoken to as programs.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

REQUIREMENTS = ("milvus==2.3.5", "pymilvus==2.3.7", "marshmallow<4", "setuptools<80")
START_WITHIN = 90.0

# The package's own command always starts at port 9091 and never notices that its server died. This one does, and it
# takes the server with it when its standard input closes, which happens however the test run ends.
SERVE = """
import sys, threading
import milvus

data, management_port, proxy_port = sys.argv[1:]
server = milvus.MilvusServer(wait_for_started=False)
server.webservice_port = int(management_port)
server.set_base_dir(data)
server.config.set("proxy_port", int(proxy_port))
server.start()
process = server.server_proc

def follow_parent():
    sys.stdin.buffer.read()
    process.kill()

threading.Thread(target=follow_parent, daemon=True).start()
if (server.webservice_port, server.listen_port) != (int(management_port), int(proxy_port)):
    sys.exit("a port was taken between choosing and using it")
sys.exit(process.wait())
"""

# [[collection, file], ...] on standard input: one bulk import each, in that order; the job ids on standard output.
IMPORT = """
import json, sys
from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections, utility

connections.connect(host="127.0.0.1", port=sys.argv[1])
wanted = json.load(sys.stdin)
schema = CollectionSchema([
    FieldSchema("id", DataType.INT64, is_primary=True),
    FieldSchema("vector", DataType.FLOAT_VECTOR, dim=8),
])
for collection in sorted({collection for collection, _ in wanted}):
    Collection(collection, schema)
print(json.dumps([utility.do_bulk_insert(collection, [file]) for collection, file in wanted]))
"""


@dataclass(frozen=True, slots=True)
class MilvusServer:
    """A running server: `management_url` answers the import API of 2.3, `proxy_url` has none of version 2."""

    python: Path
    data: Path
    management_url: str
    proxy_port: int

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.proxy_port}"

    def bulk_insert(self, *imports: tuple[str, Path]) -> list[str]:
        """Submits one import for each collection and file, in order, and returns the job ids."""
        done = subprocess.run(
            [self.python, "-c", IMPORT, str(self.proxy_port)],
            input=json.dumps([(collection, str(file)) for collection, file in imports]),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"pymilvus could not submit the imports:\n{done.stderr}"
        return [str(job_id) for job_id in json.loads(done.stdout.splitlines()[-1])]


def write_rows(file: Path, count: int) -> Path:
    """Writes a JSON file of `count` rows that fits the collections of `bulk_insert`."""
    rows = ",".join(f'{{"id":{row},"vector":[{row},1,2,3,4,5,6,7]}}' for row in range(count))
    file.write_text(f'{{"rows":[{rows}]}}')
    return file


@contextlib.contextmanager
def running_milvus(python: Path, data: Path) -> Iterator[MilvusServer]:
    """Runs a server that keeps everything under `data`, on ports of its own, until the block is left.

    Args:
        python: the interpreter of an environment with `REQUIREMENTS`.
        data: a folder that is made for it and removed afterwards; the server unpacks itself there (350 MB).
    """
    management_port, proxy_port, etcd_port, etcd_peer_port = free_ports(4)
    data.mkdir(parents=True, exist_ok=True)
    etcd_config = data / "etcd.yaml"
    etcd_config.write_text(
        f"name: default\n"
        f"listen-client-urls: http://127.0.0.1:{etcd_port}\n"
        f"advertise-client-urls: http://127.0.0.1:{etcd_port}\n"
        f"listen-peer-urls: http://127.0.0.1:{etcd_peer_port}\n"
        f"initial-advertise-peer-urls: http://127.0.0.1:{etcd_peer_port}\n"
        f"initial-cluster: default=http://127.0.0.1:{etcd_peer_port}\n"
    )
    output = data / "launcher.log"
    with (
        output.open("wb") as log,
        subprocess.Popen(
            [python, "-c", SERVE, data, str(management_port), str(proxy_port)],
            env=os.environ | {"ETCD_CONFIG_PATH": str(etcd_config)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as launcher,
    ):
        server = MilvusServer(python, data, f"http://127.0.0.1:{management_port}", proxy_port)
        try:
            _wait_until_ready(server, launcher, output)
            yield server
        finally:
            # Killed, not asked: an orderly shutdown takes half a minute, and the data is thrown away.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(launcher.pid, signal.SIGKILL)
            launcher.wait()
            shutil.rmtree(data, ignore_errors=True)


def _wait_until_ready(server: MilvusServer, launcher: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        if launcher.poll() is not None:
            raise AssertionError(f"Milvus ended with {launcher.returncode}:\n{_tail(server.data, output)}")
        with contextlib.suppress(requests.RequestException):
            health = requests.get(f"{server.management_url}/healthz", timeout=2)
            if health.text == "OK" and _answers_imports(server):
                return
        time.sleep(0.1)
    raise AssertionError(f"Milvus was not ready within {START_WITHIN:.0f} s:\n{_tail(server.data, output)}")


def _answers_imports(server: MilvusServer) -> bool:
    """Is the import API ready too? Until it is, it answers 200 with a `code` in `status`."""
    answer = requests.get(
        f"{server.management_url}/api/v1/import/tasks", json={"collection_name": "", "limit": 0}, timeout=2
    )
    return answer.ok and answer.json().get("status") == {}


def _tail(data: Path, output: Path) -> str:
    files = [output, *sorted(data.glob("logs/milvus-std*.log"))]
    return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files if file.exists())


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, all different."""
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [bound.getsockname()[1] for bound in sockets]
