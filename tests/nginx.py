"""A real nginx as a reverse proxy, from the machine's binaries."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.venvs import missing

START_WITHIN = 30.0

_CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""


@contextmanager
def running_nginx(folder: Path, locations: str) -> Iterator[str]:
    """Run a server with these locations, which keeps everything in `folder`, and give its URL."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx") or missing("nginx is not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, locations=locations))
    with subprocess.Popen([program, "-c", config, "-p", folder], stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + START_WITHIN
            while not _answers(port):
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline, "it was not ready in time"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
